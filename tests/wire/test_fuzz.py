"""Arbitrary bytes and texts at every parser of bodies and documents: only the project's own errors come out."""

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from anontrace.wire import (
    announcement,
    description,
    directory,
    look,
    mixes,
    network,
    onetime,
    permit,
    places,
    result,
    upload,
)  # fmt: skip
from anontrace.wire import content as contents
from anontrace.wire.commitment import Commitment
from anontrace.wire.content import Content
from anontrace.wire.look import Answer, Group, Look
from anontrace_shared.errors import AuthenticationError, FormatError
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire.samples import DISCOVERY, NETWORK, NOW, SEEDS, TODAY, content, edition, verify_key

LOOK = Look(2, 0, 1, bytes(16), [Group(bytes(16), 0, 1)], [(bytes(32), 0)])

BYTES: dict[str, tuple[int, Callable[[bytes], Any]]] = {
    "permit": (139, lambda data: permit.verify(data, verify_key(DISCOVERY))),
    "disease": (8, permit.disease_text),
    "upload": (160, upload.parse),
    "chunk": (upload.CHUNK, upload.parse_chunk),
    "places": (places.PLAIN, places.decode),
    "places behind a log": (places.SIZE, lambda data: places.unseal(bytes(range(1, 33)), data)),
    "chunk reply": (upload.REPLY, upload.parse_reply),
    "look": (LOOK.size, Look.parse),
    "answer to a look": (LOOK.answer_size, lambda data: Answer.parse(LOOK, data)),
    "answer bound to a look": (
        LOOK.answer_size - 16,
        lambda data: Answer.parse(LOOK, look.bound_to(LOOK.encode()) + data),
    ),
    "question for a result": (result.QUESTION, result.Question.parse),
    "answer with a result": (result.ANSWER, result.Answer.parse),
    "statement": (result.STATEMENT, lambda data: result.verify(data, verify_key(DISCOVERY))),
    "commitment": (120, Commitment.decode),
    "description": (40, description.parse),
    "announcement": (99, lambda data: announcement.parse(data, 1)),
    "content": (120, contents.parse),
    "directory": (150, lambda data: directory.parse(data, verify_key(DISCOVERY))),
    "difference": (190, lambda data: directory.parse_difference(data, verify_key(DISCOVERY))),
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


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_what_a_mix_signed_gives_only_clear_errors_whatever_it_is_and_costs_no_other(
    data: st.DataObject,
) -> None:
    text = bytearray(content([5]).descriptions[5])
    at = data.draw(st.integers(1, len(text)))
    text[at : at + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    key = data.draw(st.binary(min_size=32, max_size=32))
    each = announcement.sign(5, TODAY, key, data.draw(st.sampled_from([(), (1,), (1, 2)])), bytes(text), SEEDS[5])
    whole = content()
    changed = Content(
        {**whole.descriptions, 5: bytes(text)[: description.MAX_DESCRIPTION]},
        {**whole.announcements, 5: {TODAY: each.encode()}},
    )
    made = directory.parse(edition(1, None, changed).encode(), verify_key(DISCOVERY))
    found = mixes.known(made.content, NETWORK.pins, NOW)
    assert found.mixes.keys() | {5} == SEEDS.keys()
    assert len(found.refused) == len(SEEDS) - len(found.mixes)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_directory_or_difference_with_any_bytes_changed_gives_only_clear_errors(data: st.DataObject) -> None:
    whole = edition(1, None, content([1, 2]))
    news = directory.Difference([whole.head], whole.signature, frozenset((1, 2)), content([2]))
    parse = {whole.encode(): directory.parse, news.encode(): directory.parse_difference}
    original = data.draw(st.sampled_from(list(parse)))
    body = bytearray(original)
    at = data.draw(st.integers(0, len(body) - 1))
    body[at : at + data.draw(st.integers(0, 200))] = data.draw(st.binary(max_size=16))
    with contextlib.suppress(FormatError, AuthenticationError):
        parse[original](bytes(body), verify_key(DISCOVERY))


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
