"""Tokens, permits, uploads, polls: what is refused, and how it is said."""

import os
from dataclasses import replace

import pytest
from anontrace.wire import onetime, permit, poll, redeem, upload
from anontrace.wire.permit import Permit
from anontrace.wire.upload import ChainAuthorization, Chunk, PermitAuthorization, Reason, Reply, State, Upload
from anontrace_shared.errors import AuthenticationError, FormatError
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.samples import verify_key

SYMBOLS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def test_a_token_is_taken_as_people_type_it() -> None:
    token = onetime.new_token()
    bare = token.replace("-", "")
    typed = [token.lower(), bare, f"  {token}\n", bare.replace("0", "O").replace("1", "l"), bare.replace("1", "i")]
    typed += [" ".join(bare), token.replace("-", "–")]  # noqa: RUF001  an en dash, as word processors make it
    for each in typed:
        assert onetime.normalise(each) == token
        assert onetime.token_hash(each) == onetime.token_hash(token)


@given(st.binary(min_size=10, max_size=10), st.integers(0, 14), st.sampled_from(SYMBOLS))
def test_every_single_mistyped_symbol_is_found(random: bytes, place: int, symbol: str) -> None:
    bare = onetime.new_token(lambda size: random).replace("-", "")
    if bare[place] == symbol:
        return
    with pytest.raises(FormatError, match="the check symbol does not fit: one symbol is mistyped"):
        onetime.normalise(bare[:place] + symbol + bare[place + 1 :])


@given(st.binary(min_size=10, max_size=10), st.integers(0, 13))
def test_every_swap_of_neighbours_is_found(random: bytes, place: int) -> None:
    bare = onetime.new_token(lambda size: random).replace("-", "")
    swapped = bare[:place] + bare[place + 1] + bare[place] + bare[place + 2 :]
    if swapped != bare:
        with pytest.raises(FormatError, match="check symbol"):
            onetime.normalise(swapped)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "16 symbols, this has 0"),
        ("ABCD-ABCD-ABCD-ABC", "16 symbols, this has 15"),
        ("ABCU-ABCD-ABCD-ABCD", "symbol 4"),
        ("ABCD-ABCD-ABCD-ABC!", "symbol 16"),
        ("ÄBCD-ABCD-ABCD-ABCD", "symbol 1 "),
        ("ßBCD-ABCD-ABCD-ABCD", "symbol 1 "),
    ],
)
def test_what_is_no_token_is_refused_without_repeating_it(text: str, complaint: str) -> None:
    with pytest.raises(FormatError, match=complaint) as caught:
        onetime.normalise(text)
    assert text == "" or text not in str(caught.value)


def test_tokens_differ() -> None:
    assert len({onetime.new_token() for _ in range(100)}) == 100


SIGNING_KEY = os.urandom(32)
PERMIT = Permit(os.urandom(16), "U07.1", os.urandom(32), 1000, 2000)


@given(st.integers(0, 129 * 8 - 1))
def test_a_permit_with_a_flipped_bit_does_not_hold(bit: int) -> None:
    altered = bytearray(PERMIT.sign(SIGNING_KEY))
    altered[bit // 8] ^= 1 << bit % 8
    with pytest.raises((AuthenticationError, FormatError)):
        permit.verify(bytes(altered), verify_key(SIGNING_KEY))


def test_a_permit_of_another_authority_does_not_hold() -> None:
    with pytest.raises(AuthenticationError, match="not signed by the health authority"):
        permit.verify(PERMIT.sign(SIGNING_KEY), verify_key(os.urandom(32)))


def test_a_permit_is_live_until_it_expires() -> None:
    assert PERMIT.is_live(1999.9)
    assert not PERMIT.is_live(2000)


@pytest.mark.parametrize(
    "wrong",
    [
        replace(PERMIT, case_id=b""),
        replace(PERMIT, log_hash=b""),
        replace(PERMIT, disease=""),
        replace(PERMIT, disease="U07.12345"),
        replace(PERMIT, disease="Ü"),
        replace(PERMIT, disease="a\0"),
        replace(PERMIT, expires=1000),
        replace(PERMIT, issued=-1),
        replace(PERMIT, expires=1 << 32),
    ],
)
def test_a_permit_that_does_not_fit_is_not_signed(wrong: Permit) -> None:
    with pytest.raises(FormatError):
        wrong.sign(SIGNING_KEY)


def test_bytes_that_are_no_permit_are_refused() -> None:
    key = verify_key(SIGNING_KEY)
    with pytest.raises(FormatError, match="128 bytes"):
        permit.verify(bytes(128), key)
    with pytest.raises(FormatError, match="version 2"):
        permit.verify(b"\2" + bytes(128), key)
    for wrong in (b"\0" * 8, b"U\0 7\0\0\0\0", b"\xff" * 8):
        with pytest.raises(FormatError, match="disease"):
            permit.disease_text(wrong)


CHAIN = ChainAuthorization(os.urandom(16), os.urandom(20), 5_500_000, os.urandom(96))


@given(st.binary(max_size=40000), st.booleans())
def test_an_upload_survives_its_chunks(log: bytes, by_permit: bool) -> None:
    made = Upload(PermitAuthorization(bytes(129)) if by_permit else CHAIN, log)
    sent = upload.chunks(made.encode(), bytes(16))
    assert {len(chunk) for chunk in sent} == {upload.CHUNK}
    assert upload.parse(b"".join(upload.parse_chunk(chunk).data for chunk in sent)) == made


def test_an_upload_cut_short_or_too_long_is_refused() -> None:
    data = Upload(CHAIN, b"log").encode()
    for wrong in (b"", b"\3", data[:1], data[:140], data[:-1], data + b"x"):
        with pytest.raises(FormatError):
            upload.parse(wrong)
    for broken in (PermitAuthorization(bytes(128)), replace(CHAIN, case_id=b""), replace(CHAIN, slot=-1)):
        with pytest.raises(FormatError):
            Upload(broken, b"").encode()


def test_a_dummy_chunk_carries_nothing() -> None:
    chunk = upload.parse_chunk(Chunk(bytes(16), 0, 0, b"").encode())
    assert chunk.is_dummy
    with pytest.raises(FormatError, match="dummy"):
        Chunk(bytes(16), 0, 0, b"x").encode()
    with pytest.raises(FormatError, match="dummy"):
        upload.parse_chunk((bytes(16) + bytes(4) + b"\1").ljust(upload.CHUNK, b"\0"))


@pytest.mark.parametrize(
    "wrong",
    [
        Chunk(bytes(15), 1, 0, b"x"),
        Chunk(bytes(16), 1, 1, b"x"),
        Chunk(bytes(16), 1, 0, b""),
        Chunk(bytes(16), 1, 0, b"xy"),
        Chunk(bytes(16), 1 << 32, 0, b"x"),
        Chunk(bytes(16), 20000, 0, bytes(upload.CHUNK_DATA + 1)),
    ],
)
def test_a_chunk_outside_its_upload_is_refused(wrong: Chunk) -> None:
    with pytest.raises(FormatError):
        wrong.encode()


def test_bytes_that_are_no_chunk_are_refused() -> None:
    good = Chunk(bytes(16), 5, 0, b"hello").encode()
    for wrong in (good[:-1], good + b"\0", good[:-1] + b"\1", good[:24] + b"\xff\xff" + good[26:]):
        with pytest.raises(FormatError):
            upload.parse_chunk(wrong)


def test_bytes_that_are_no_answer_to_a_chunk_are_refused() -> None:
    good = Reply(State.REFUSED, 0, Reason.EXPIRED).encode()
    for wrong in (good[:-1], b"\3" + good[1:], good[:5] + b"\7" + good[6:], good[:-1] + b"\1", b"\1" + good[1:]):
        with pytest.raises(FormatError):
            upload.parse_reply(wrong)


boxes = st.lists(st.tuples(st.binary(min_size=32, max_size=32), st.integers(0, 255)), min_size=1, max_size=20)
held = st.lists(st.binary(min_size=239, max_size=239), min_size=1, max_size=3)


@given(boxes, st.integers(0, poll.MOST_ROOM))
def test_a_poll_survives_its_encoding(mailboxes: list[tuple[bytes, int]], room: int) -> None:
    assert poll.parse_request(poll.encode_request(mailboxes, room)) == (mailboxes, room)


@given(st.dictionaries(st.integers(0, 99), held, max_size=5), st.integers(0, 40))
def test_the_answer_to_a_poll_survives_its_encoding(found: dict[int, list[bytes]], more: int) -> None:
    assert poll.parse_reply(poll.encode_reply(found, poll.OPEN), 100, poll.OPEN) == found
    room = sum(map(len, found.values())) + more
    if room:
        assert poll.parse_reply(poll.encode_reply(found, room), 100, room) == found


@given(st.dictionaries(st.integers(0, 99), held, max_size=5), st.integers(1, 40))
def test_the_size_of_an_answer_is_the_one_asked_for_whatever_was_found(
    found: dict[int, list[bytes]], room: int
) -> None:
    if sum(map(len, found.values())) > room:
        with pytest.raises(FormatError):
            poll.encode_reply(found, room)
    else:
        assert len(poll.encode_reply(found, room)) == room * poll.ANSWER


def test_288_empty_mailboxes_cost_less_than_10_kilobytes_both_ways_also_when_the_answer_hides_that() -> None:
    asked = [(os.urandom(32), 0)] * 288
    for room in (poll.OPEN, 2):
        assert len(poll.encode_request(asked, room)) + len(poll.encode_reply({}, room)) < 10_000


def test_polls_of_impossible_sizes_are_refused() -> None:
    for wrong in ([], [(bytes(32), 0)] * 1001, [(bytes(31), 0)], [(bytes(32), 256)]):
        with pytest.raises(FormatError):
            poll.encode_request(wrong, poll.OPEN)
    with pytest.raises(FormatError):
        poll.encode_request([(bytes(32), 0)], poll.MOST_ROOM + 1)
    for body in (b"", b"\0", bytes(2), bytes(33), bytes(34), bytes(36), bytes(2 + 33 * 1001), b"\x01\x10" + bytes(33)):
        with pytest.raises(FormatError):
            poll.parse_request(body)
    for found in ({1000: [bytes(239)]}, {0: [bytes(238)]}, {0: [bytes(239)] * 256}):
        with pytest.raises(FormatError):
            poll.encode_reply(found, poll.OPEN)


def test_an_answer_to_a_poll_that_cannot_be_is_refused() -> None:
    one = poll.encode_reply({0: [bytes(239)]}, 0)
    filling = poll.encode_reply({}, 1)
    for wrong in (one[:-1], one + b"\0", b"\0\0", poll.encode_reply({2: [bytes(239)]}, 0), one * 256, filling):
        with pytest.raises(FormatError):
            poll.parse_reply(wrong, 2, poll.OPEN)
    for wrong in (b"", one, one * 3, filling + one, poll.encode_reply({0: [bytes(239)]}, 3)):
        with pytest.raises(FormatError):
            poll.parse_reply(wrong, 2, 2)


def test_redeeming() -> None:
    request = redeem.RedeemRequest(token="ABCD", log_hash=bytes(32))
    assert redeem.read_request(request.model_dump_json().encode()) == request
    assert "ABCD" not in repr(request)
    reply = redeem.RedeemReply(permit=bytes(129))
    assert redeem.read_reply(reply.model_dump_json().encode()) == reply
    for body in (b"", b"{}", b"\xff", b'{"token": "x", "log_hash": "00"}', b'{"permit": "00"}'):
        with pytest.raises(FormatError):
            redeem.read_request(body)
        with pytest.raises(FormatError):
            redeem.read_reply(body)


def test_secrets_do_not_show_in_reprs() -> None:
    made = Upload(replace(CHAIN, chain_token=b"toke" * 24), b"the log")
    chunk = Chunk(b"upid" * 4, 100, 0, b"the log")
    shown = repr((made, chunk, replace(PERMIT, case_id=b"case" * 4), PermitAuthorization(b"perm" * 32)))
    assert not any(word in shown for word in ("toketoke", "the log", "upid", "casecase", "permperm", "\\x"))
