"""The challenge: only the slot's own badge can answer, and only now."""

import hmac

import pytest
from anontrace_primitives import x25519
from anontrace_shared import challenge, hkdf, schedule
from anontrace_shared.errors import AnontraceError, AuthenticationError, FormatError
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


def passes(secret: bytes, asked: bytes, answered: bytes, address: bytes, slot: int) -> bool:
    try:
        challenge.verify(secret, asked, answered, address, slot)
    except AnontraceError:
        return False
    return True


@pytest.mark.parametrize(("late", "accepted"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_the_owner_of_the_slot_passes_in_its_slot_and_beside_it(late: int, accepted: bool) -> None:
    assert len(ANSWER) == 48
    assert passes(N_SECRET, N, ANSWER, ADDRESS, SLOT + late) == accepted


@given(st.integers(0, 383))
@settings(max_examples=50)
def test_any_flipped_bit_fails(bit: int) -> None:
    changed = bytearray(ANSWER)
    changed[bit // 8] ^= 1 << bit % 8
    assert not passes(N_SECRET, N, bytes(changed), ADDRESS, SLOT)


def test_a_replayed_answer_fails_a_fresh_question() -> None:
    fresh = bytes(range(200, 232))
    assert not passes(fresh, challenge.question(fresh), ANSWER, ADDRESS, SLOT)


def test_who_replays_an_address_without_its_secret_fails() -> None:
    forged = PUBLIC_KEY + challenge.answer(bytes(range(32)), PUBLIC_KEY, N, SLOT)[32:]
    assert not passes(N_SECRET, N, forged, ADDRESS, SLOT)


def test_an_answer_of_another_badge_does_not_verify_this_address() -> None:
    other = schedule.slot_secret(bytes(32), SLOT)
    answer = challenge.answer(other, schedule.public_key(other), N, SLOT)
    assert not passes(N_SECRET, N, answer, ADDRESS, SLOT)


@pytest.mark.parametrize("point", LOW_ORDER)
def test_low_order_points_are_refused_on_both_sides(point: bytes) -> None:
    with pytest.raises(FormatError):
        challenge.answer(SECRET, PUBLIC_KEY, point, SLOT)
    assert not passes(N_SECRET, N, point + bytes(16), schedule.contact_address(point), SLOT)


@given(st.binary(max_size=80))
def test_arbitrary_bytes_are_no_answer(data: bytes) -> None:
    assert not passes(N_SECRET, N, data, ADDRESS, SLOT)


@given(st.binary(max_size=80).filter(lambda data: len(data) != 32))
def test_a_question_of_another_length_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        challenge.answer(SECRET, PUBLIC_KEY, data, SLOT)


def test_the_first_and_the_last_slot_have_one_neighbour() -> None:
    for slot in (0, 2**32 - 1):
        answer = challenge.answer(SECRET, PUBLIC_KEY, N, slot)
        assert passes(N_SECRET, N, answer, ADDRESS, slot)


def test_the_mac_covers_question_public_key_and_slot() -> None:
    """By hand, after the protocol page: leaving one out on both sides alike would pass everything else here."""
    key = hkdf.extract(b"anontrace/1 challenge", x25519(N_SECRET, PUBLIC_KEY))
    covered = N + PUBLIC_KEY + SLOT.to_bytes(4, "little")
    assert PUBLIC_KEY + hmac.digest(key, covered, "sha256")[:16] == ANSWER


@pytest.mark.parametrize("left_out", [N, PUBLIC_KEY, SLOT.to_bytes(4, "little")], ids=["N", "P", "slot"])
def test_an_answer_whose_mac_leaves_something_out_proves_nothing(left_out: bytes) -> None:
    key = hkdf.extract(b"anontrace/1 challenge", x25519(N_SECRET, PUBLIC_KEY))
    covered = b"".join(part for part in (N, PUBLIC_KEY, SLOT.to_bytes(4, "little")) if part != left_out)
    forged = PUBLIC_KEY + hmac.digest(key, covered, "sha256")[:16]
    with pytest.raises(AuthenticationError):
        challenge.verify(N_SECRET, N, forged, ADDRESS, SLOT)
