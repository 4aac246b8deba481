"""The sealed log as it is handed on: whole blocks, each once, none of people who could not be told in time."""

from anontrace.companion.reports.contact_log import HANDED_IN_DAYS, count, gather, summarise
from anontrace.companion.reports.periods import parse
from anontrace.companion.schedule import run
from anontrace.mixnet import keydays
from anontrace_primitives import x25519_base
from anontrace_shared import figures, log
from anontrace_shared.slots import SLOTS_PER_DAY, slot_of

NOW = 1_800_000_000
SLOT = slot_of(NOW)
LOG_KEY = x25519_base(b"\x01" * 32)
FIGURES = figures.pack(False, 0, 14, 15, -60, -70, 3, 5)


def block(
    slot: int, records: int = 2, kind: int = log.KNOWN_SLOT, address: bytes = bytes(20), log_key: bytes = LOG_KEY
) -> bytes:
    """Records of an address that was heard all slot long."""
    sealer = log.Sealer(log_key, kind, slot)
    return sealer.begin(records) + b"".join(sealer.record(address, FIGURES) for _ in range(records)) + sealer.end()


def test_segments_are_joined_in_order():
    first, second, third = block(SLOT - 3), block(SLOT - 2), block(SLOT - 1)
    assert gather([[first + second, third]], NOW) == first + second + third


def test_a_block_that_was_fetched_twice_is_sent_once():
    first, second = block(SLOT - 3), block(SLOT - 2)
    assert gather([[first, first + second]], NOW) == first + second


def test_blocks_of_people_who_could_not_be_told_in_time_and_empty_ones_stay_behind():
    old, young, empty = block(SLOT - 11 * 288 - 1), block(SLOT - 11 * 288), block(SLOT, records=0)
    assert gather([[old + young + empty]], NOW) == young


def test_what_is_handed_in_can_still_be_told_when_staff_have_decided():
    """A reply block that was made five days ahead lives until the last day on which its contact may be told."""
    assert (keydays.TELLABLE_DAYS, keydays.DECIDING_DAYS) == (14, 3)
    assert HANDED_IN_DAYS + keydays.DECIDING_DAYS == keydays.TELLABLE_DAYS
    assert run.AHEAD_SLOTS // SLOTS_PER_DAY + keydays.TELLABLE_DAYS < keydays.LIFE_DAYS


def test_a_damaged_segment_is_sent_as_far_as_it_holds():
    blocks = [block(SLOT - 4), block(SLOT - 3), block(SLOT - 2)]
    whole, next_segment = b"".join(blocks), block(SLOT - 1)
    for at in range(len(whole)):
        rotten = bytearray(whole)
        rotten[at] ^= 1 << at % 8
        left = b"".join(blocks[: at // len(blocks[0])])
        assert gather([[bytes(rotten), next_segment]], NOW) == left + next_segment, at


def test_blocks_without_time_go_with_the_anchor_that_dates_them():
    undated = block(log.unknown_slot(7, 2), kind=log.UNKNOWN_SLOT)
    anchor = log.clock_anchor(7, 900, NOW)
    assert gather([[undated + anchor]], NOW) == undated + anchor
    long_ago = log.clock_anchor(7, 900, NOW - 40 * 86400)
    assert gather([[undated + long_ago]], NOW) == long_ago
    assert gather([[undated]], NOW) == undated
    assert summarise(undated).undated == 1


def test_an_anchor_dates_the_blocks_of_its_own_badge_only():
    lost = block(log.unknown_slot(7, 2), kind=log.UNKNOWN_SLOT)
    other = log.clock_anchor(7, 900, NOW) + block(SLOT)
    assert gather([[lost], [other]], NOW) == lost + other
    assert gather([[lost], [other]], NOW, [parse("2000-01-01")]) == other
    assert gather([[lost, other]], NOW, [parse("2000-01-01")]) == lost + other


def test_the_summary_says_what_will_be_sent():
    data = block(SLOT - 288, 3) + block(SLOT, 4)
    summary = summarise(data)
    assert (summary.bytes, summary.blocks, summary.records, len(summary.days)) == (len(data), 2, 7, 2)
    assert count(data) == (2, 7)
