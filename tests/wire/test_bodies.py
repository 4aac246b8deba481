"""Tokens, permits, uploads, polls: what is refused, and how it is said."""

import os
from dataclasses import replace

import pytest
from anontrace.mixnet import fragment
from anontrace.mixnet.fragment import Fragment
from anontrace.wire import onetime, permit, result, upload
from anontrace.wire.permit import Permit
from anontrace.wire.upload import ChainAuthorization, Chunk, Opening, PermitAuthorization, Reason, Reply, State, Upload
from anontrace_shared.errors import AuthenticationError, FormatError
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.samples import verify_key

SYMBOLS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2043\u02d7\u2500\u30fc\uff0d\uff70\ufe63\u301c_"
FULL_WIDTH = 0xFEE0
CYRILLIC = str.maketrans("ABEKMHPCTX", "\u0410\u0412\u0415\u041a\u041c\u041d\u0420\u0421\u0422\u0425")
GREEK = str.maketrans("ABEZHKMNPTX", "\u0391\u0392\u0395\u0396\u0397\u039a\u039c\u039d\u03a1\u03a4\u03a7")
ARABIC_DIGITS = {ord("0") + value: 0x0660 + value for value in range(10)}


def test_a_token_is_taken_as_people_type_it() -> None:
    token = onetime.new_token()
    bare = token.replace("-", "")
    typed = [token.lower(), bare, f"  {token}\n", bare.replace("0", "O").replace("1", "l"), bare.replace("1", "i")]
    typed += [" ".join(bare), *(token.replace("-", dash) for dash in DASHES)]
    typed += [f"\ufeff{token}\u200b", token.replace("-", "-\u00ad"), "\u2060".join(bare), f"\u202a{token}\u202c"]
    typed += ["\u3164".join(bare), "\ufe0f".join(bare), "\u3000".join(bare), f"“{token}”.", f"'{token}'"]
    typed += ["".join(chr(ord(symbol) + FULL_WIDTH) for symbol in token.lower()), bare.translate(ARABIC_DIGITS)]
    typed += [token.replace("-", mark) for mark in ("/", " · ", "\u30fb", "\u2022", "|", "\r\n")]
    typed += [f"`{token}`", f"[{token}]", f"<{token}>;", token.translate(CYRILLIC), token.translate(GREEK)]
    for each in typed:
        assert onetime.normalise(each) == token
        assert onetime.token_hash(each) == onetime.token_hash(token)


@given(st.binary(min_size=10, max_size=10), st.integers(0, 15), st.sampled_from(SYMBOLS))
def test_every_single_mistyped_symbol_is_found(random: bytes, place: int, symbol: str) -> None:
    bare = onetime.new_token(lambda size: random).replace("-", "")
    if bare[place] == symbol:
        return
    with pytest.raises(FormatError, match="the check symbol does not fit: one symbol is mistyped"):
        onetime.normalise(bare[:place] + symbol + bare[place + 1 :])


@given(st.binary(min_size=10, max_size=10), st.integers(0, 15), st.integers(0, 15))
def test_every_swap_of_two_symbols_is_found(random: bytes, one: int, other: int) -> None:
    bare = onetime.new_token(lambda size: random).replace("-", "")
    swapped = list(bare)
    swapped[one], swapped[other] = bare[other], bare[one]
    if swapped != list(bare):
        with pytest.raises(FormatError, match="check symbol"):
            onetime.normalise("".join(swapped))


@given(st.binary(min_size=10, max_size=10))
def test_a_token_is_of_letters_and_digits_alone(random: bytes) -> None:
    assert set(onetime.new_token(lambda size: random)) <= set(SYMBOLS + "-")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "16 symbols, this has 0"),
        ("ABCD-ABCD-ABCD-ABC", "16 symbols, this has 15"),
        ("ABCU-ABCD-ABCD-ABCD", "symbol 4"),
        ("ABCD-ABCD-ABCD-ABC!", "symbol 16"),
        ("ÄBCD-ABCD-ABCD-ABCD", "symbol 1 "),
        ("ßBCD-ABCD-ABCD-ABCD", "symbol 1 "),
        ("ABCD-ABCD-ABCD-ABC\ud800", "symbol 16 "),
    ],
)
def test_what_is_no_token_is_refused_without_repeating_it(text: str, complaint: str) -> None:
    with pytest.raises(FormatError, match=complaint) as caught:
        onetime.normalise(text)
    assert text == "" or text not in str(caught.value)


def test_a_hash_is_of_what_can_be_a_token() -> None:
    for text in ("", "ABCD", "ÄBCD-ABCD-ABCD-ABCD", "ABCD-ABCD-ABCD-ABC\ud800"):
        with pytest.raises(FormatError):
            onetime.token_hash(text)


def test_tokens_differ() -> None:
    assert len({onetime.new_token() for _ in range(100)}) == 100


SIGNING_KEY = os.urandom(32)
PERMIT = Permit(os.urandom(16), "U07.1", os.urandom(32), 1000, 2000)


@given(st.integers(0, permit.PERMIT * 8 - 1))
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
        replace(PERMIT, case_id=bytes(17)),
        replace(PERMIT, log_hash=b""),
        replace(PERMIT, log_hash=bytes(33)),
        replace(PERMIT, commitment=bytes(9)),
        replace(PERMIT, case_id=bytes(15), log_hash=bytes(33)),  # together as long as they should be
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


def test_a_permit_may_be_for_a_second_at_any_time_and_a_disease_have_one_to_eight_letters() -> None:
    for issued, expires, disease in ((0, 1, "A"), ((1 << 32) - 2, (1 << 32) - 1, "ABCDEF~8")):
        made = replace(PERMIT, issued=issued, expires=expires, disease=disease)
        assert permit.verify(made.sign(SIGNING_KEY), verify_key(SIGNING_KEY)) == made


def test_bytes_that_are_no_permit_are_refused() -> None:
    key = verify_key(SIGNING_KEY)
    for size in (138, 140):
        with pytest.raises(FormatError, match=f"{size} bytes instead of 139"):
            permit.verify(PERMIT.sign(SIGNING_KEY)[:size].ljust(size, b"\0"), key)
    for other in (b"", b"\0" + bytes(138), b"\3" + bytes(138)):
        with pytest.raises(FormatError, match="of this version"):
            permit.verify(other, key)
    with pytest.raises(AuthenticationError):  # cut down to what one of version 1 has
        permit.verify(b"\1" + PERMIT.sign(SIGNING_KEY)[1:129], key)
    for wrong in (b"\0" * 8, b"U\0 7\0\0\0\0", b"\xff" * 8):
        with pytest.raises(FormatError, match="disease"):
            permit.disease_text(wrong)


CHAIN = ChainAuthorization(os.urandom(16), os.urandom(20), 5_500_000, os.urandom(96))


@given(st.binary(max_size=40000), st.booleans())
def test_an_upload_survives_its_chunks(log: bytes, by_permit: bool) -> None:
    made = Upload(PermitAuthorization(b"\2" + bytes(138)) if by_permit else CHAIN, log)
    sent = upload.chunks(made.encode(), bytes(16))
    assert {len(chunk) for chunk in sent} == {upload.CHUNK}
    assert upload.parse(b"".join(upload.parse_chunk(chunk).data for chunk in sent)) == made


@given(st.binary(max_size=2000), st.booleans())
def test_an_upload_survives_its_fragments(log: bytes, by_permit: bool) -> None:
    made = Upload(PermitAuthorization(b"\2" + bytes(138)) if by_permit else CHAIN, log)
    sent = [Fragment.decode(each) for each in upload.fragments(made, bytes(range(16)))]
    assert [each.number for each in sent] == list(range(1 + fragment.count(len(log))))
    assert {each.upload_id for each in sent} == {bytes(range(16))}
    opening = upload.opening_in(sent[0])
    assert opening == made.opening and opening.total == len(made.encode())
    assert b"".join(each.data for each in sent[1:])[: opening.log_length] == log


def test_a_fragment_that_does_not_open_an_upload_is_refused() -> None:
    sent = Fragment.decode(upload.fragments(Upload(CHAIN, b"log"), bytes(16))[0])
    for wrong in (sent.data[:-1] + b"\1", b"\0" + sent.data[1:], b"\3" + sent.data[1:], sent.data[:140]):
        with pytest.raises(FormatError):
            upload.opening_in(replace(sent, data=wrong))


def test_an_upload_cut_short_or_too_long_is_refused() -> None:
    data = Upload(CHAIN, b"log").encode()
    for wrong in (b"", b"\3", data[:1], data[:140], data[:-1], data + b"x"):
        with pytest.raises(FormatError):
            upload.parse(wrong)
    for broken in (
        PermitAuthorization(bytes(139)),
        PermitAuthorization(b"\2" + bytes(137)),
        PermitAuthorization(b"\2" + bytes(139)),
        replace(CHAIN, case_id=b""),
        replace(CHAIN, case_id=bytes(17)),
        replace(CHAIN, address=bytes(21)),
        replace(CHAIN, chain_token=bytes(97)),
        replace(CHAIN, slot=-1),
    ):
        with pytest.raises(FormatError):
            Upload(broken, b"").encode()


def test_a_log_has_as_many_bytes_as_four_can_say() -> None:
    longest = Opening(CHAIN, (1 << 32) - 1)
    assert upload.parse_opening(longest.encode()) == longest
    assert upload.parse_opening(Opening(CHAIN, 0).encode()).log_length == 0
    for length in (-1, 1 << 32):
        with pytest.raises(FormatError, match="too long"):
            Opening(CHAIN, length).encode()


@pytest.mark.parametrize(
    "wrong",
    [
        Chunk(bytes(15), 1, 0, b"x"),
        Chunk(bytes(17), 1, 0, b"x"),
        Chunk(bytes(16), 1, -1, b"x"),
        Chunk(bytes(16), 0, 0, b""),
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


@pytest.mark.parametrize(
    "whole",
    [
        Chunk(bytes(16), 1, 0, b"x"),
        Chunk(bytes(16), upload.CHUNK_DATA, 0, bytes(range(251)) * 65 + bytes(43)),
        Chunk(bytes(16), (1 << 32) - 1, (1 << 32) - 2, b"x"),
    ],
)
def test_a_chunk_may_hold_a_byte_or_all_that_it_has_room_for_wherever_that_lies(whole: Chunk) -> None:
    assert upload.parse_chunk(whole.encode()) == whole


def test_bytes_that_are_no_chunk_are_refused() -> None:
    good = Chunk(bytes(16), 9, 0, b"hello").encode()
    behind = good[:31] + b"\1" + good[32:]
    for wrong in (good[:-1], good + b"\0", good[:-1] + b"\1", good[:24] + b"\xff\xff" + good[26:], behind):
        with pytest.raises(FormatError):
            upload.parse_chunk(wrong)


def test_bytes_that_are_no_answer_to_a_chunk_are_refused() -> None:
    good = Reply(State.REFUSED, 0, Reason.EXPIRED).encode()
    for wrong in (good + b"\0", good[:6] + b"\1" + good[7:], Reply(State.ACCEPTED, 0, Reason.EXPIRED).encode()):
        with pytest.raises(FormatError):
            upload.parse_reply(wrong)
    for wrong in (good[:-1], b"\3" + good[1:], good[:5] + b"\x08" + good[6:], good[:-1] + b"\1", b"\1" + good[1:]):
        with pytest.raises(FormatError):
            upload.parse_reply(wrong)


def test_a_question_or_an_answer_that_does_not_fit_is_refused() -> None:
    for size in (63, 65):
        with pytest.raises(FormatError):
            result.Question.parse(bytes(size))
    for wrong in (bytes(31), bytes(33)):
        with pytest.raises(FormatError):
            result.Question(wrong).encode()
    good = result.Answer(result.State.REFUSED, reason=result.Reason.EXPIRED).encode()
    assert result.Answer.parse(good).reason is result.Reason.EXPIRED
    for other in (good + b"\0", b"\5" + good[1:], b"\4\0" + good[2:], b"\0\1" + good[2:], good[:-1] + b"\1"):
        with pytest.raises(FormatError):
            result.Answer.parse(other)


@given(st.integers(0, result.STATEMENT * 8 - 1))
def test_a_statement_with_a_flipped_bit_does_not_hold(bit: int) -> None:
    altered = bytearray(result.Statement(bytes(16), "U07.1", 20000).sign(SIGNING_KEY))
    altered[bit // 8] ^= 1 << bit % 8
    with pytest.raises((AuthenticationError, FormatError)):
        result.verify(bytes(altered), verify_key(SIGNING_KEY))


def test_secrets_do_not_show_in_reprs() -> None:
    made = Upload(replace(CHAIN, chain_token=b"toke" * 24), b"the log")
    chunk = Chunk(b"upid" * 4, 100, 0, b"the log")
    shown = repr((made, chunk, replace(PERMIT, case_id=b"case" * 4), PermitAuthorization(b"perm" * 32)))
    assert not any(word in shown for word in ("toketoke", "the log", "upid", "casecase", "permperm", "\\x"))
