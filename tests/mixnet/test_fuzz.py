"""Arbitrary bytes at every parser of the packet format: only the project's own errors come out."""

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from anontrace.mixnet import blob, chain, contact_answer, kinds, letter, lioness, notification, packet, receipt, surb
from anontrace.mixnet.contact_answer import ContactAnswer
from anontrace.mixnet.fragment import Fragment
from anontrace.mixnet.notification import Notification
from anontrace.mixnet.receipt import NymAnswer, Receipt, UploadAnswer
from anontrace.mixnet.relay import Relay
from anontrace.mixnet.surb import SurbSecrets
from anontrace.mixnet.swap import Swap
from anontrace_shared.errors import AuthenticationError, FormatError
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.mixnet.travel import KEYS, NUMBERS, SECRETS

SURB_SECRETS = SurbSecrets((bytes(32), bytes(range(32))), bytes(range(32, 64)))

PARSERS: dict[str, tuple[int, Callable[[bytes], Any]]] = {
    "message": (380, lambda data: packet.unwrap(SECRETS[NUMBERS[0]], KEYS[NUMBERS[0]], data)),
    "key select": (380, packet.key_select),
    "surb": (174, surb.parse),
    "surb secrets": (96, SurbSecrets.from_bytes),
    "blob": (174, lambda data: surb.parse(blob.open(bytes(20), 0, data))),
    "kind": (239, kinds.of),
    "swap": (239, Swap.decode),
    "receipt": (239, Receipt.decode),
    "answer about a nym": (223, NymAnswer.decode),
    "answer about an upload": (223, UploadAnswer.decode),
    "sealed answer": (239, lambda data: receipt.open(SURB_SECRETS, data)),
    "relay": (239, Relay.decode),
    "fragment": (239, Fragment.decode),
    "notification": (191, Notification.decode),
    "sealed notification": (239, lambda data: notification.open(SURB_SECRETS, data)),
    "contact's answer": (239, contact_answer.split),
    "content of an answer": (182, ContactAnswer.decode),
    "sealed answer of a contact": (
        230,
        lambda data: contact_answer.open(bytes(range(32)), bytes(range(32)), bytes(8), data),
    ),
    "letter": (239, lambda data: letter.open(SURB_SECRETS, bytes(64), bytes(8), data)),
    "chain token": (96, lambda data: chain.open(bytes(32), data)),
    "lioness": (239, lambda data: lioness.decrypt(bytes(128), data)),
}


@pytest.mark.parametrize("name", PARSERS)
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_only_clear_errors_come_out(name: str, data: st.DataObject) -> None:
    size, parser = PARSERS[name]
    given_bytes = data.draw(st.one_of(st.binary(min_size=size, max_size=size), st.binary(max_size=2 * size)))
    with contextlib.suppress(FormatError, AuthenticationError):
        parser(given_bytes)


@given(st.binary(min_size=190, max_size=190), st.integers(1, 2))
def test_what_decodes_as_a_notification_encodes_the_same(rest: bytes, kind: int) -> None:
    content = bytes([kind]) + rest
    try:
        found = Notification.decode(content)
    except FormatError:
        return
    assert found.encode() == content


@given(st.integers(1, 31), st.binary(min_size=181, max_size=181))
def test_what_decodes_as_an_answer_encodes_the_same(said: int, rest: bytes) -> None:
    for content in (bytes([said]) + rest, bytes((said & ~2,)) + rest[:2] + b"\xff" * 8 + bytes(29) + rest[39:]):
        try:
            found = ContactAnswer.decode(content)
        except FormatError:
            continue
        assert found.encode(lambda size: rest[-size:]) == content
