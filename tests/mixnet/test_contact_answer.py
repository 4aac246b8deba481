"""A contact's answer: read by the authority alone, for one report alone; and the letter that comes back by it."""

import os
from typing import Any

import pytest
from anontrace.mixnet import contact_answer, letter, phone, surb, words
from anontrace.mixnet.contact_answer import ContactAnswer, OwnLog, Said
from anontrace_primitives import x25519, x25519_base
from anontrace_shared.errors import AuthenticationError, FormatError

from tests.mixnet.travel import NUMBERS, path, travel

SECRET = words.secret_of(os.urandom(32))
AUTHORITY = x25519_base(SECRET)
CASE, REPORT = os.urandom(16), os.urandom(8)
TAG = contact_answer.told_tag(CASE, REPORT)


def answer(**other: Any) -> ContactAnswer:
    given: dict[str, Any] = {"said": Said.TEST | Said.CALL, "day": 20788, "number": "+4930123456", "note": "Ada"}
    return ContactAnswer(**(given | other))


def sealed_of(made: ContactAnswer) -> bytes:
    return contact_answer.split(contact_answer.seal(AUTHORITY, TAG, made)[0])[1]


@pytest.mark.parametrize(
    "made",
    [
        answer(),
        answer(said=Said.NEGATIVE, number="", note=""),
        answer(said=Said.POSITIVE | Said.NEARNESS, number="", nearness=(6, 0, 1, 3), own_log=OwnLog.NOBODY),
        answer(note="x" * 24, number="123456789012345", first_mix=255, header=os.urandom(141)),
    ],
)
def test_the_authority_reads_what_the_contact_wrote_and_all_answers_are_of_one_size(made: ContactAnswer) -> None:
    payload, key = contact_answer.seal(AUTHORITY, TAG, made)
    shown, sealed = contact_answer.split(payload)
    assert (len(payload), shown) == (239, TAG)
    assert contact_answer.open(SECRET, AUTHORITY, shown, sealed) == contact_answer.Opened(made, key)


def test_an_answer_opens_for_no_other_report_or_authority_and_not_when_altered() -> None:
    sealed, other = sealed_of(answer()), words.secret_of(os.urandom(32))
    for secret, public, tag in (
        (other, x25519_base(other), TAG),
        (SECRET, AUTHORITY, contact_answer.told_tag(CASE, os.urandom(8))),
        (SECRET, AUTHORITY, contact_answer.told_tag(os.urandom(16), REPORT)),
    ):
        with pytest.raises(AuthenticationError):
            contact_answer.open(secret, public, tag, sealed)
    for at in range(len(sealed)):
        with pytest.raises(AuthenticationError):
            contact_answer.open(SECRET, AUTHORITY, TAG, sealed[:at] + bytes((sealed[at] ^ 1,)) + sealed[at + 1 :])
    with pytest.raises(AuthenticationError):
        contact_answer.open(SECRET, AUTHORITY, TAG, bytes(32) + sealed[32:])  # a key of low order


def test_the_nymserver_reads_nothing_of_an_answer_that_it_passes_on() -> None:
    """It knows case, report and the authority's public key. Same words look different each time, to the last byte."""
    sealed = [sealed_of(answer()) for _ in range(20)]
    assert len({each[at] for each in sealed for at in (0, 40, 229)}) > 20
    for each in sealed:
        for guess in (x25519(os.urandom(32), each[:32]), AUTHORITY, each[:32]):
            key, _ = contact_answer._keys(guess, each[:32], AUTHORITY)
            with pytest.raises(contact_answer.InvalidTag):
                contact_answer.AESSIV(key).decrypt(each[32:], [TAG])


@pytest.mark.parametrize(
    ("other", "complaint"),
    [
        ({"said": Said.NOTHING, "number": ""}, "asks for a test or a call"),
        ({"said": Said.NEARNESS, "number": ""}, "asks for a test or a call"),
        ({"said": Said.POSITIVE | Said.NEGATIVE, "number": ""}, "not both"),
        ({"said": Said.CALL, "number": ""}, "holds a telephone number"),
        ({"said": Said.TEST}, "holds a telephone number"),
        ({"number": "0301 23456"}, "5 to 15 digits"),
        ({"number": "1" * 16}, "5 to 15 digits"),
        ({"number": "+٠١٢٣٤٥"}, "5 to 15 digits"),
        ({"nearness": (1, 0, 0, 0)}, "only where it says so"),
        ({"own_log": OwnLog.SOMEBODY}, "only where it says so"),
        ({"said": Said.TEST | Said.CALL | Said.NEARNESS, "nearness": (7, 0, 0, 0)}, "classes"),
        ({"said": Said.TEST | Said.CALL | Said.NEARNESS, "nearness": (1, 0, 0)}, "classes"),
        ({"day": 1 << 16}, "out of range"),
        ({"note": "x" * 25}, "at most 24 bytes"),
        ({"note": "\x1b[2J"}, "control or invisible"),
        ({"note": "a\u202eb"}, "control or invisible"),
        ({"note": "a\0b"}, "control or invisible"),
        ({"first_mix": 1}, "way back"),
        ({"header": bytes(141)}, "way back"),
    ],
    ids=str,
)
def test_an_answer_that_makes_no_sense_is_neither_made_nor_read(other: dict[str, Any], complaint: str) -> None:
    with pytest.raises(FormatError, match=complaint):
        answer(**other).encode()


@pytest.mark.parametrize(
    "change",
    [(0, b"\x20"), (0, b"\x0e"), (3, b"\xbb" * 8), (3, b"0\xaf" + b"\xff" * 6), (3, b"\x12\xff" * 4), (15, b"\4"),
     (16, b"\x1b[2J"), (16, b"a\0b"), (16, "\u202ea".encode()), (16, b"\xff"), (11, b"\1")],
    ids=str,
)  # fmt: skip
def test_what_somebody_made_who_knows_the_format_too_is_refused_where_it_makes_no_sense(
    change: tuple[int, bytes],
) -> None:
    at, data = change
    content = answer().encode()
    with pytest.raises(FormatError):
        ContactAnswer.decode(content[:at] + data + content[at + len(data) :])


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ("030 1234-567", "0301234567"),
        ("+49 (0) 30 / 12 34 56", "+4930123456"),
        ("+49 (0)30 123456", "+4930123456"),
        ("(555) 010.0199", "5550100199"),
        ("0800\u20111116117", "08001116117"),
        ("112", None),
        ("call me", None),
        ("", None),
        ("+", None),
        ("12345+6", None),
        ("٠١٢٣٤٥٦", None),
        ("12345\x1b[2J", None),
        ("1" * 16, None),
    ],
)
def test_a_telephone_number_is_taken_as_people_type_it_and_nothing_else(typed: str, number: str | None) -> None:
    if number is None:
        with pytest.raises(FormatError, match="5 to 15 digits"):
            phone.normalise(typed)
    else:
        assert phone.normalise(typed) == number
        assert phone.decode(phone.encode(number)) == number


def test_a_letter_comes_home_by_the_header_and_opens_for_who_answered_alone() -> None:
    block, kept = surb.make_reply(path(NUMBERS[:3]), os.urandom(32))
    way = surb.parse(block)
    payload, key = contact_answer.seal(AUTHORITY, TAG, answer(first_mix=way.first_mix, header=way.header))
    opened = contact_answer.open(SECRET, AUTHORITY, *contact_answer.split(payload))
    text = "Bitte kommen Sie morgen um 9 Uhr. " + "x" * 189
    sent = letter.seal(opened.reply_key, TAG, text)
    assert sent == letter.seal(opened.reply_key, TAG, text) != letter.seal(opened.reply_key, TAG, text[:-1])
    _, _, arrived = travel(opened.answer.first_mix, opened.answer.header + sent)
    assert letter.open(kept, key, TAG, arrived.payload) == text
    for wrong in ((os.urandom(64), TAG), (key, os.urandom(8))):
        with pytest.raises(AuthenticationError):
            letter.open(kept, *wrong, arrived.payload)
    for unfit in ("x" * 224, "\x07", "a\0b"):
        with pytest.raises(FormatError, match="of a letter"):
            letter.seal(key, TAG, unfit)


@pytest.mark.parametrize(("minutes", "number"), [
    (0, 0), (0.1, 1), (5, 1), (5.1, 2), (15, 2), (15.1, 3), (30, 3), (30.1, 4), (60, 4), (60.1, 5), (120, 5),
    (120.1, 6),
])  # fmt: skip
def test_minutes_are_handed_over_in_classes_and_nearness_in_the_bins_of_protocol_section_7(
    minutes: float, number: int
) -> None:
    assert contact_answer.minutes_class(minutes) == number
    assert contact_answer.NEAR_BINS == (55, 63, 73)


def test_nothing_of_an_answer_shows_in_its_repr() -> None:
    made = answer(
        said=Said.CALL | Said.NEARNESS, nearness=(6, 5, 4, 3), own_log=OwnLog.PARTLY, first_mix=1, header=b"head" * 35
    )
    shown = repr(contact_answer.Opened(made, b"reply key"))
    assert not any(each in shown for each in ("4930", "Ada", "reply key", "6, 5", "PARTLY", "head"))


def test_each_field_is_taken_up_to_its_bounds_and_not_beyond() -> None:
    near: dict[str, Any] = {"said": Said.TEST | Said.NEARNESS, "number": ""}
    for good in ({"day": 0}, {"day": 65535}, near | {"nearness": (0, 6, 0, 6)}):
        assert ContactAnswer.decode(answer(**good).encode()) == answer(**good)
    for mix in (1, 255):
        made = answer(first_mix=mix, header=bytes(141))
        assert ContactAnswer.decode(made.encode()) == made
    for bad, complaint in (
        ({"day": -1}, "out of range"),
        (near | {"nearness": (0, -1, 0, 0)}, "classes"),
        (near | {"nearness": (0, 0, 0, 0, 0)}, "classes"),
        ({"first_mix": -1, "header": bytes(141)}, "way back"),
        ({"first_mix": 256, "header": bytes(141)}, "way back"),
        ({"first_mix": 1, "header": bytes(140)}, "way back"),
        ({"first_mix": 1, "header": bytes(142)}, "way back"),
    ):
        with pytest.raises(FormatError, match=complaint):
            answer(**bad).encode()


def test_what_has_another_size_is_no_answer() -> None:
    content, sealed = answer().encode(), sealed_of(answer())
    for wrong in (content[:-1], content + b"\0"):
        with pytest.raises(FormatError, match="instead of 182"):
            ContactAnswer.decode(wrong)
    for wrong in (sealed[:-1], sealed + b"\0"):
        with pytest.raises(FormatError, match="wrong size"):
            contact_answer.open(SECRET, AUTHORITY, TAG, wrong)
    for case, report in ((15, 8), (17, 8), (16, 7), (16, 9), (15, 9), (17, 7)):
        with pytest.raises(FormatError, match="wrong size"):
            contact_answer.told_tag(bytes(case), bytes(report))
    for size in (7, 9):
        with pytest.raises(FormatError, match="is none"):
            phone.decode(b"\x12\x34\x56".ljust(size, b"\xff"))
    for said in (0x20, 0x21, 0x40, 0x80, 0xFF):
        with pytest.raises(FormatError, match="no meaning"):
            ContactAnswer.decode(bytes((said,)) + content[1:])


def test_a_secret_and_the_filling_of_an_answer_are_drawn_once_each() -> None:
    drawn: list[int] = []

    def draw(size: int) -> bytes:
        drawn.append(size)
        return os.urandom(size)

    contact_answer.seal(AUTHORITY, TAG, answer(), draw)
    contact_answer.seal(AUTHORITY, TAG, answer(first_mix=1, header=bytes(141)), draw)
    assert drawn == [32, 141, 32]
