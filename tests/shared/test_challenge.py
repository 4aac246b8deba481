"""The challenge: only the slot's own badge can answer, and only now."""

import pytest
from anontrace_shared import challenge, schedule
from anontrace_shared.errors import FormatError
from hypothesis import given, settings
from hypothesis import strategies as st

SLOT = 5_500_000
SECRET = schedule.slot_secret(bytes(range(32)), SLOT)
PUBLIC_KEY = schedule.public_key(SECRET)
ADDRESS = schedule.contact_address(PUBLIC_KEY)
N_SECRET = bytes(range(100, 132))
N = challenge.question(N_SECRET)
ANSWER = challenge.answer(SECRET, PUBLIC_KEY, N, SLOT)

LOW_ORDER = [
    bytes(32),
    (1).to_bytes(32, "little"),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    (2**255 - 20).to_bytes(32, "little"),
    (2**255 - 19).to_bytes(32, "little"),
    (2**255 - 18).to_bytes(32, "little"),
]


@pytest.mark.parametrize(("late", "accepted"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_the_owner_of_the_slot_passes_in_its_slot_and_beside_it(late: int, accepted: bool) -> None:
    assert len(ANSWER) == 48
    assert challenge.verify(N_SECRET, N, ANSWER, ADDRESS, SLOT + late) == accepted


@given(st.integers(0, 383))
@settings(max_examples=50)
def test_any_flipped_bit_fails(bit: int) -> None:
    changed = bytearray(ANSWER)
    changed[bit // 8] ^= 1 << bit % 8
    assert not challenge.verify(N_SECRET, N, bytes(changed), ADDRESS, SLOT)


def test_a_replayed_answer_fails_a_fresh_question() -> None:
    fresh = bytes(range(200, 232))
    assert not challenge.verify(fresh, challenge.question(fresh), ANSWER, ADDRESS, SLOT)


def test_who_replays_an_address_without_its_secret_fails() -> None:
    forged = PUBLIC_KEY + challenge.answer(bytes(range(32)), PUBLIC_KEY, N, SLOT)[32:]
    assert not challenge.verify(N_SECRET, N, forged, ADDRESS, SLOT)


def test_an_answer_of_another_badge_does_not_verify_this_address() -> None:
    other = schedule.slot_secret(bytes(32), SLOT)
    answer = challenge.answer(other, schedule.public_key(other), N, SLOT)
    assert not challenge.verify(N_SECRET, N, answer, ADDRESS, SLOT)


@pytest.mark.parametrize("point", LOW_ORDER)
def test_low_order_points_are_refused_on_both_sides(point: bytes) -> None:
    with pytest.raises(FormatError):
        challenge.answer(SECRET, PUBLIC_KEY, point, SLOT)
    assert not challenge.verify(N_SECRET, N, point + bytes(16), schedule.contact_address(point), SLOT)


@given(st.binary(max_size=80))
def test_arbitrary_bytes_are_no_answer(data: bytes) -> None:
    assert not challenge.verify(N_SECRET, N, data, ADDRESS, SLOT)


@given(st.binary(max_size=80).filter(lambda data: len(data) != 32))
def test_a_question_of_another_length_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        challenge.answer(SECRET, PUBLIC_KEY, data, SLOT)


def test_the_first_and_the_last_slot_have_one_neighbour() -> None:
    for slot in (0, 2**32 - 1):
        answer = challenge.answer(SECRET, PUBLIC_KEY, N, slot)
        assert challenge.verify(N_SECRET, N, answer, ADDRESS, slot)
