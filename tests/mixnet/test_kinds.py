"""What a payload asks of a nymserver: each kind is of one size, refuses what it is not, and its answer comes home."""

import os
from collections.abc import Callable
from typing import Any

import pytest
from anontrace.mixnet import contact_answer, kinds, packet, receipt, relay, surb, swap, words
from anontrace.mixnet.contact_answer import ContactAnswer, Said
from anontrace.mixnet.fragment import Fragment, count
from anontrace.mixnet.header import NO_MAILBOX
from anontrace.mixnet.kinds import Kind
from anontrace.mixnet.receipt import (
    MAX_RANGES,
    Answer,
    ContactAnswerQuestion,
    NymAnswer,
    NymQuestion,
    Receipt,
    UploadAnswer,
    UploadQuestion,
    UploadState,
)
from anontrace.mixnet.relay import Relay
from anontrace.mixnet.swap import Swap
from anontrace_shared.errors import AuthenticationError, FormatError
from hypothesis import given
from hypothesis import strategies as st

from tests.mixnet.travel import NUMBERS, path, travel

REPLY = surb.make_reply(path(NUMBERS[:2]), bytes(32))[0]
SWAP = Swap(os.urandom(32), swap.NEW, os.urandom(174)).encode()
ABOUT_NYM = Receipt(NymQuestion(os.urandom(32), os.urandom(8)), REPLY).encode()
ABOUT_UPLOAD = Receipt(UploadQuestion(os.urandom(16), 7), REPLY).encode()
RELAYED = relay.of(REPLY, os.urandom(32)).encode()
FRAGMENT = Fragment(os.urandom(16), 7, os.urandom(218)).encode()
ABOUT_ANSWER = Receipt(ContactAnswerQuestion(os.urandom(8), os.urandom(16)), REPLY).encode()
ANSWERED, _ = contact_answer.seal(words.key_of(b"\x58" + b"\x66" * 31), os.urandom(8), ContactAnswer(Said.TEST, 20000))

DECODERS: dict[Kind, Callable[[bytes], Any]] = {
    Kind.SWAP: Swap.decode,
    Kind.RECEIPT: Receipt.decode,
    Kind.RELAY: Relay.decode,
    Kind.FRAGMENT: Fragment.decode,
    Kind.CONTACT_ANSWER: contact_answer.split,
}
MADE = {
    Kind.SWAP: [SWAP],
    Kind.RECEIPT: [ABOUT_NYM, ABOUT_UPLOAD, ABOUT_ANSWER],
    Kind.RELAY: [RELAYED],
    Kind.FRAGMENT: [FRAGMENT],
    Kind.CONTACT_ANSWER: [ANSWERED],
}


def test_a_payload_is_of_the_kind_that_made_it_and_of_no_other() -> None:
    for kind, payloads in MADE.items():
        for payload in payloads:
            assert len(payload) == 239
            assert kinds.of(payload) is kind
            for other, decode in DECODERS.items():
                if other is kind:
                    decode(payload)
                else:
                    with pytest.raises(FormatError, match=f"not a {other.name.lower()}"):
                        decode(payload)


@pytest.mark.parametrize("size", [0, 1, 238, 240])
def test_a_payload_of_another_size_is_of_no_kind(size: int) -> None:
    for decode in (kinds.of, *DECODERS.values()):
        with pytest.raises(FormatError, match=f"{size} bytes instead of 239"):
            decode(bytes(size))


def test_cover_is_of_no_kind_and_ends_with_every_other_byte() -> None:
    many = [kinds.cover() for _ in range(6000)]
    assert {len(each) for each in many} == {239}
    assert {kinds.of(each) for each in many} == {None}
    assert {each[-1] for each in many} == set(range(5, 256))


ANSWERS: list[Answer] = [
    NymAnswer(True),
    NymAnswer(False),
    UploadAnswer(UploadState.UNKNOWN),
    UploadAnswer(UploadState.RECEIVING, 0, ((1, 3), (9, 1))),
    UploadAnswer(UploadState.REFUSED, 4),
]


@pytest.mark.parametrize("answer", ANSWERS, ids=str)
@pytest.mark.parametrize("hops", [1, 4])
def test_an_answer_arrives_as_whoever_asked_knew_beforehand(answer: Answer, hops: int) -> None:
    mailbox = os.urandom(32)
    made, secrets = surb.make_reply(path(NUMBERS[:hops]), mailbox)
    asked = Receipt(NymQuestion(os.urandom(32), os.urandom(8)), made).encode()
    _, _, delivery = travel(NUMBERS[4], packet.forward(path(NUMBERS[4:]), NO_MAILBOX, asked))
    at_nymserver = Receipt.decode(delivery.payload).parsed()
    outgoing = surb.use(at_nymserver, receipt.seal(at_nymserver.message_key, answer))
    _, _, arrived = travel(at_nymserver.first_mix, outgoing)
    assert arrived.mailbox == mailbox
    assert arrived.payload == receipt.expected(secrets, answer)
    assert type(answer).decode(receipt.open(secrets, arrived.payload)) == answer


def test_a_relay_with_a_field_of_a_wrong_size_is_not_made() -> None:
    for header, seed, mix in ((142, 31, 1), (140, 33, 1), (141, 31, 1), (141, 33, 1), (141, 32, 0), (141, 32, 256)):
        with pytest.raises(FormatError):
            Relay(mix, bytes(header), bytes(seed)).encode()
    for mix in (1, 255):
        assert Relay.decode(Relay(mix, bytes(141), bytes(32)).encode()).first_mix == mix


def test_a_relayed_dummy_arrives_as_its_maker_knew_beforehand() -> None:
    mailbox, seed = os.urandom(32), os.urandom(32)
    old, secrets = surb.make(path(NUMBERS[:3]), mailbox)
    at_nymserver = Relay.decode(relay.of(old, seed).encode())
    _, _, arrived = travel(at_nymserver.first_mix, at_nymserver.header + at_nymserver.payload())
    assert arrived.mailbox == mailbox
    assert arrived.payload == secrets.arrives(relay.of(old, seed).payload())


def test_an_answer_to_another_receipt_or_one_that_was_altered_does_not_open() -> None:
    _, secrets = surb.make_reply(path(NUMBERS[:2]), bytes(32))
    _, others = surb.make_reply(path(NUMBERS[:2]), bytes(32))
    arrived = receipt.expected(secrets, NymAnswer(True))
    altered = arrived[:-1] + bytes((arrived[-1] ^ 1,))
    for wrong_secrets, payload in ((others, arrived), (secrets, altered), (secrets, os.urandom(239))):
        with pytest.raises(AuthenticationError):
            receipt.open(wrong_secrets, payload)


@pytest.mark.parametrize("asked", [ABOUT_UPLOAD, ABOUT_ANSWER], ids=["upload", "answer"])
@given(st.integers(0, 41), st.integers(1, 255))
def test_a_question_that_cannot_be_is_refused(asked: bytes, at: int, change: int) -> None:
    altered = bytearray(asked)
    altered[at] ^= change
    try:
        found = Receipt.decode(bytes(altered))
    except FormatError:
        return
    assert found.question.encode() == bytes(altered[:41])


@pytest.mark.parametrize("payload", [ABOUT_NYM, RELAYED], ids=["receipt", "relay"])
def test_a_reply_block_that_names_no_mix_is_refused(payload: bytes) -> None:
    at = payload.index(REPLY[:142])
    with pytest.raises(FormatError, match="first mix"):
        DECODERS[Kind(payload[-1])](payload[:at] + b"\0" + payload[at + 1 :])


@pytest.mark.parametrize(
    "content",
    [
        bytes((4,)) + bytes(222),  # no such state
        bytes((3,)) + bytes(222),  # refused for no reason
        bytes((2, 1)) + bytes(221),  # accepted, and a reason
        bytes((2, 0, 1, 0)) + bytes((1, 0, 0, 0) * 2) + bytes(211),  # accepted, and one is missing
        bytes((1, 0, 28, 0)) + bytes(219),  # more ranges than there is room for
        bytes((1, 0, 1, 0)) + bytes(219),  # a range of none
        bytes((1, 0, 2, 0)) + bytes((5, 0, 0, 0, 2, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0)) + bytes(203),  # they touch
        bytes((1, 0, 0, 0)) + bytes(218) + b"\1",  # something behind them
        bytes(222),
        bytes(224),
    ],
    ids=lambda content: content[:12].hex(),
)
def test_an_answer_about_an_upload_that_cannot_be_is_refused(content: bytes) -> None:
    with pytest.raises(FormatError):
        UploadAnswer.decode(content)


@pytest.mark.parametrize(
    "content",
    [bytes((2,)) + bytes(222), bytes((0, 1)) + bytes(221), bytes(222) + b"\1", bytes(222), bytes(224)],
    ids=bytes.hex,
)
def test_an_answer_about_a_nym_that_cannot_be_is_refused(content: bytes) -> None:
    with pytest.raises(FormatError):
        NymAnswer.decode(content)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Receipt(NymQuestion(bytes(31), bytes(8)), REPLY).encode(),
        lambda: Receipt(NymQuestion(bytes(32), bytes(9)), REPLY).encode(),
        lambda: Receipt(UploadQuestion(bytes(15)), REPLY).encode(),
        lambda: Receipt(UploadQuestion(bytes(16), 1 << 32), REPLY).encode(),
        lambda: Receipt(UploadQuestion(bytes(16), -1), REPLY).encode(),
        lambda: Receipt(UploadQuestion(bytes(16)), REPLY[:-1]).encode(),
        lambda: Receipt(ContactAnswerQuestion(bytes(7), bytes(17)), REPLY).encode(),
        lambda: Receipt(ContactAnswerQuestion(bytes(9), bytes(16)), REPLY).encode(),
        lambda: Relay(0, bytes(141), bytes(32)).encode(),
        lambda: Relay(256, bytes(141), bytes(32)).encode(),
        lambda: Relay(1, bytes(140), bytes(32)).encode(),
        lambda: Relay(1, bytes(141), bytes(31)).encode(),
        lambda: Swap(bytes(31), bytes(32), bytes(174)).encode(),
        lambda: Swap(bytes(31), bytes(32), bytes(175)).encode(),  # together as long as they should be
        lambda: Swap(bytes(33), bytes(31), bytes(174)).encode(),
        lambda: Fragment(bytes(15), 0, bytes(218)).encode(),
        lambda: Fragment(bytes(15), 0, bytes(219)).encode(),  # together as long as they should be
        lambda: Fragment(bytes(17), 0, bytes(217)).encode(),
        lambda: Fragment(bytes(16), 0, bytes(217)).encode(),
        lambda: Fragment(bytes(16), 1 << 32, bytes(218)).encode(),
        lambda: Fragment(bytes(16), -1, bytes(218)).encode(),
        lambda: UploadAnswer(UploadState.RECEIVING, 0, ((1, 1),) * (MAX_RANGES + 1)).encode(),
        lambda: receipt.seal(bytes(31), NymAnswer(True)),
        lambda: kinds.mark(Kind.RELAY, bytes(239)),
    ],
)
def test_what_does_not_fit_is_not_encoded(make: Callable[[], bytes]) -> None:
    with pytest.raises(FormatError):
        make()


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (NymQuestion(bytes(31), bytes(8)).encode, "a key of 32 bytes and a fingerprint of 8"),
        (NymQuestion(bytes(33), bytes(8)).encode, "a key of 32 bytes and a fingerprint of 8"),
        (NymQuestion(bytes(32), bytes(7)).encode, "a key of 32 bytes and a fingerprint of 8"),
        (NymQuestion(bytes(32), bytes(9)).encode, "a key of 32 bytes and a fingerprint of 8"),
        (UploadQuestion(bytes(15)).encode, "an upload-ID has 15 bytes instead of 16"),
        (UploadQuestion(bytes(17)).encode, "an upload-ID has 17 bytes instead of 16"),
        (Receipt(UploadQuestion(bytes(16)), bytes(173)).encode, "a reply block has 173 bytes instead of 174"),
        (Receipt(UploadQuestion(bytes(16)), bytes(175)).encode, "a reply block has 175 bytes instead of 174"),
        (lambda: receipt.seal(bytes(33), NymAnswer(True)), "the key of a reply block has 33 bytes instead of 32"),
    ],
)
def test_what_has_another_size_in_a_receipt_is_named(make: Callable[[], bytes], complaint: str) -> None:
    with pytest.raises(FormatError, match=complaint):
        make()


def test_an_upload_is_asked_about_from_its_first_fragment_on_and_a_number_that_cannot_be_is_told() -> None:
    assert UploadQuestion(bytes(16)).encode()[17:] == bytes(24)
    for number in (-1, 1 << 32):
        with pytest.raises(FormatError, match=f"numbered 0 to 4294967295, not {number}"):
            UploadQuestion(bytes(16), number).encode()
        with pytest.raises(FormatError, match=f"numbered 0 to 4294967295, not {number}"):
            Fragment(bytes(16), number, bytes(218)).encode()


def test_a_log_of_no_bytes_has_no_fragments_and_the_last_one_may_be_full() -> None:
    assert [count(size) for size in (0, 1, 217, 218, 219, 436, 437)] == [0, 1, 1, 1, 2, 2, 3]


def test_nothing_of_a_question_shows_in_its_repr() -> None:
    made = [
        Receipt(NymQuestion(b"nymk" * 8, b"fing" * 2), b"repl" * 43 + b"re"),
        UploadQuestion(b"upid" * 4),
        Relay(1, b"head" * 35 + b"h", b"seed" * 8),
        Fragment(b"upid" * 4, 1, b"data" * 54 + b"da"),
    ]
    shown = " ".join(map(repr, made))
    assert not any(word in shown for word in ("nymk", "fing" * 2, "repl", "upid", "head" * 2, "seed" * 2, "data" * 2))
