"""Slots, day keys, contact addresses, beacons."""

import pytest
from anontrace_shared import schedule, slots
from anontrace_shared.errors import FormatError
from hypothesis import given, settings
from hypothesis import strategies as st

keys = st.binary(min_size=32, max_size=32)
slot_numbers = st.integers(0, 2**32 - 1)


@given(st.integers(0, 2**32 * 300 - 1))
def test_a_moment_lies_in_its_slot_and_its_slot_in_its_day(unix: int) -> None:
    slot = slots.slot_of(unix)
    assert slots.slot_start(slot) <= unix < slots.slot_start(slot + 1)
    assert slots.day_of(slot) == unix // 86400


def test_a_fraction_of_a_second_before_the_boundary_is_still_the_old_slot() -> None:
    assert slots.slot_of(299.999) == 0
    assert slots.slot_of(300.0) == 1


@pytest.mark.parametrize("slot", [-1, 2**32])
def test_a_slot_that_does_not_fit_is_refused(slot: int) -> None:
    with pytest.raises(FormatError):
        slots.slot_bytes(slot)


@given(keys, st.integers(0, 20000), st.integers(0, 40), st.integers(0, 40))
@settings(max_examples=30)
def test_the_day_key_of_a_day_does_not_depend_on_the_steps_taken(key: bytes, day: int, first: int, second: int) -> None:
    middle = schedule.day_key(key, day, day + first)
    assert schedule.day_key(middle, day + first, day + first + second) == schedule.day_key(
        key, day, day + first + second
    )


def test_a_day_key_does_not_turn_back() -> None:
    with pytest.raises(FormatError, match="earlier"):
        schedule.day_key(bytes(32), 100, 99)


def test_a_wild_date_does_not_make_the_badge_hash_for_hours() -> None:
    with pytest.raises(FormatError, match="ten years"):
        schedule.day_key(bytes(32), 100, 2**31)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_day_key_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(FormatError):
        schedule.next_day_key(bytes(size))
    with pytest.raises(FormatError):
        schedule.slot_secret(bytes(size), 1)


@given(keys, slot_numbers)
@settings(max_examples=30)
def test_the_address_is_the_hash_of_the_slot_public_key(key: bytes, slot: int) -> None:
    public_key = schedule.public_key(schedule.slot_secret(key, slot))
    assert schedule.address_at(key, slot) == schedule.contact_address(public_key)


def test_addresses_and_nym_keys_of_a_day_are_all_different() -> None:
    addresses = [schedule.address_at(bytes(32), slot) for slot in range(288)]
    assert len(set(addresses)) == 288
    assert len({schedule.nym_key(address, slot) for slot in (1, 2) for address in addresses}) == 576


@given(keys, keys, slot_numbers, st.integers(0, 65535), st.binary(min_size=2, max_size=2))
def test_a_beacon_tells_its_moment_to_its_owner_only(
    owner: bytes, stranger: bytes, number: int, boot: int, random: bytes
) -> None:
    key = schedule.beacon_key(owner)
    beacon = schedule.beacon(key, number.to_bytes(4, "little") + boot.to_bytes(2, "little") + random)
    assert len(beacon) == 20
    said = schedule.open_beacon(key, beacon)
    assert said is not None and said.boot == boot and number in (said.slot, said.period)
    assert (said.slot is None) == (number < schedule.FIRST_SLOT) == (said.period is not None)
    assert schedule.is_beacon(schedule.beacon_key(stranger), beacon) == (owner == stranger)


@given(keys, st.integers(0, 159))
def test_a_beacon_of_which_a_bit_is_changed_is_none(owner: bytes, bit: int) -> None:
    key = schedule.beacon_key(owner)
    changed = bytearray(schedule.beacon(key, bytes(8)))
    changed[bit // 8] ^= 1 << bit % 8
    assert not schedule.is_beacon(key, changed)


@given(st.binary(max_size=40))
def test_arbitrary_bytes_are_no_beacon(data: bytes) -> None:
    assert not schedule.is_beacon(bytes(32), data)


def test_a_beacon_holds_eight_bytes() -> None:
    with pytest.raises(FormatError):
        schedule.beacon(bytes(32), bytes(7))
