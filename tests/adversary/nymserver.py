"""The nymserver: which addresses of one log are one person's, which will be theirs, and whose network address is it?

It sees when each swap arrives, for which key, and whether the key is new; when an answer to the health authority comes;
and who connects to it.
"""

from collections.abc import Sequence
from itertools import combinations
from random import Random

from anontrace_shared.slots import SLOTS_PER_DAY, slot_of

from tests.adversary.crowd import DAY, DAYS, EVERY, Life
from tests.companion.paper import NYMSERVER, START

WITHIN = (60, 600, 3600)  # seconds by which it takes two arrivals for one person's
MEETING = 12  # addresses: an hour, and here a day
COPIES = 25  # of each life, at other times of the day, to make a crowd of two hundred
_FIRST_DAYS = 3  # whose addresses are registered at once, at the first start, by everybody alike


def connections(life: Life) -> int:
    """How many requests of the client came to it: each would show a network address."""
    return sum(host == str(NYMSERVER) for _, host, _ in life.network.connections)


def arrivals(life: Life) -> dict[int, float]:
    """When the new address of each slot came, from when on they come one by one."""
    first = slot_of(START) + _FIRST_DAYS * SLOTS_PER_DAY
    new = {each.key: each.time for each in life.network.swaps if each.is_new}
    return {slot: new[key] for key, slot in life.slots.items() if key in new and slot >= first}


def in_order(of_slots: dict[int, float]) -> dict[int, float]:
    """The same with the leak of sending slot by slot, batch by batch."""
    times = sorted(of_slots.values())
    times = [times[at - at % MEETING] for at in range(len(times))]
    return dict(zip(sorted(of_slots), times, strict=True))


def same_person(everybody: Sequence[dict[int, float]]) -> float:
    """For pairs of addresses met within an hour: by how much one person's arrive more often close to each other than
    two persons' do, at whichever closeness tells most. 0 is chance."""
    span = MEETING * EVERY
    same: list[float] = []
    other: list[float] = []
    first = slot_of(START) + _FIRST_DAYS * SLOTS_PER_DAY
    for begin in range(first, first + (DAYS - _FIRST_DAYS) * SLOTS_PER_DAY, span):
        met = [[time for slot, time in each.items() if begin <= slot < begin + span] for each in everybody]
        same += [abs(one - two) for times in met for one, two in combinations(times, 2)]
        other += [abs(one - two) for a, b in combinations(met, 2) for one in a for two in b]
    return max(
        abs(sum(gap < within for gap in same) / len(same) - sum(gap < within for gap in other) / len(other))
        for within in WITHIN
    )


def future_addresses(lives: Sequence[Life], leak: bool = False) -> float:
    """Of the new addresses that come within ten minutes of the re-arm of one that was notified, by how much a larger
    share is the same person's than of those that come at any other time. 0 is chance. `leak`: what is new leaves with
    the re-arm."""
    chance = Random(1)
    crowd = [
        (each.time + chance.uniform(-DAY, DAY), copy * len(lives) + at)
        for at, life in enumerate(lives)
        for copy in range(1, COPIES)
        for each in life.network.swaps
        if each.is_new
    ]
    hits = found = 0
    for at, life in enumerate(lives):
        for key, moment in life.told:
            armed = [e.time for e in life.network.swaps if e.key == key and not e.is_new and e.time > moment]
            if not armed:
                continue
            mine = [e.time for e in life.network.swaps if e.is_new]
            if leak:
                mine = [armed[0] if 0 < time - armed[0] < 6 * 3600 else time for time in mine]
            others = [time for time, who in crowd if who % len(lives) != at]
            close = sum(abs(time - armed[0]) < 600 for time in mine)
            hits += close
            found += close + sum(abs(time - armed[0]) < 600 for time in others)
    return hits / max(found, 1) - 1 / (COPIES * len(lives) - COPIES + 1)


def who_answered(lives: Sequence[Life], leak: bool = False) -> float:
    """Of the swaps that come within ten minutes of an answer to the health authority, by how much a larger share is of
    who answered than of those that come at any other time: they might have left together. 0 is chance. `leak`: what is
    sent with the answer comes with it."""
    chance = Random(2)
    crowd = [
        (each.time + chance.uniform(-DAY, DAY), at)
        for at, life in enumerate(lives)
        for _ in range(1, COPIES)
        for each in life.network.swaps
    ]
    hits = found = 0
    for at, life in enumerate(lives):
        for moment in life.network.answered:
            mine = [each.time for each in life.network.swaps]
            if leak:
                mine = [moment if abs(time - moment) < 6 * 3600 else time for time in mine]
            close = sum(abs(time - moment) < 600 for time in mine)
            hits += close
            found += close + sum(abs(time - moment) < 600 for time, who in crowd if who != at)
    return hits / max(found, 1) - 1 / (COPIES * len(lives) - COPIES + 1)
