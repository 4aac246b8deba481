"""Arbitrary bytes and texts at every parser of bodies and documents: only the project's own errors come out."""

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from anontrace.wire import directory, keylist, network, onetime, permit, poll, redeem, signed, upload
from anontrace_shared.errors import AuthenticationError, FormatError
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire.samples import DISCOVERY, NETWORK, NOW, SEEDS, key_list, verify_key

BYTES: dict[str, tuple[int, Callable[[bytes], Any]]] = {
    "permit": (129, lambda data: permit.verify(data, verify_key(DISCOVERY))),
    "disease": (8, permit.disease_text),
    "upload": (160, upload.parse),
    "chunk": (upload.CHUNK, upload.parse_chunk),
    "chunk reply": (upload.REPLY, upload.parse_reply),
    "poll request": (68, poll.parse_request),
    "poll reply": (241, lambda data: poll.parse_reply(data, 3, poll.OPEN)),
    "poll reply of a fixed size": (241, lambda data: poll.parse_reply(data, 3, 1)),
    "redeem request": (40, redeem.read_request),
    "redeem reply": (40, redeem.read_reply),
    "envelope": (40, signed.read),
    "key list": (40, keylist.read),
    "directory": (40, directory.read),
    "page": (40, directory.read_page),
}


@pytest.mark.parametrize("name", BYTES)
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_bytes_give_only_clear_errors(name: str, data: st.DataObject) -> None:
    size, parser = BYTES[name]
    body = data.draw(st.binary(max_size=min(2 * size, 400)))
    if data.draw(st.booleans()):
        body = body.ljust(size, b"\0")[:size]
    with contextlib.suppress(FormatError, AuthenticationError):
        parser(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_signed_key_list_with_any_value_in_any_field_gives_only_clear_errors(data: st.DataObject) -> None:
    document = json.loads(key_list(5).to_json())
    document[data.draw(st.sampled_from(sorted(document)))] = data.draw(json_values)
    envelope = signed.sign(keylist.LABEL, json.dumps(document), SEEDS[5])
    with contextlib.suppress(FormatError, AuthenticationError):
        keylist.verify(envelope, NETWORK.pins, NOW)
    made = directory.make(1, None, NOW, [envelope], DISCOVERY)
    with contextlib.suppress(FormatError):
        directory.usable(directory.verify(made, verify_key(DISCOVERY)), NETWORK.pins, NOW)


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_a_signed_text_gives_only_clear_errors(text: str) -> None:
    with contextlib.suppress(FormatError, AuthenticationError):
        keylist.verify(signed.sign(keylist.LABEL, text, SEEDS[5]), NETWORK.pins, NOW)
    with contextlib.suppress(FormatError, AuthenticationError):
        head = signed.sign(directory.LABEL, text, DISCOVERY)
        made = directory.Edition(document=head.document, signature=head.signature, lists=())
        directory.verify(made, verify_key(DISCOVERY))


@given(st.text())
@settings(max_examples=300, deadline=None)
def test_a_token_of_any_text_gives_only_clear_errors(text: str) -> None:
    with contextlib.suppress(FormatError):
        onetime.normalise(text)


TOML = NETWORK.to_toml()


@given(st.text(max_size=20), st.integers(0, len(TOML)), st.integers(0, 20))
@settings(max_examples=300, deadline=None)
def test_a_damaged_network_file_gives_only_clear_errors(text: str, at: int, length: int) -> None:
    with contextlib.suppress(FormatError):
        network.parse(TOML[:at] + text + TOML[at + length :])


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_network_file_with_any_line_replaced_gives_one_line(data: st.DataObject) -> None:
    lines = TOML.splitlines()
    lines[data.draw(st.integers(0, len(lines) - 1))] = data.draw(
        st.sampled_from(["[mix]", "mix = 1", "number = -1", "key = 1979-05-27", "[[network]]", "url = []", "[a.b]", ""])
    )
    try:
        network.parse("\n".join(lines))
    except FormatError as error:
        assert "\n" not in str(error)
