"""A listener among badges that turn: which of the new addresses belongs to which of the old ones?

It hears every advert, by whom it does not know, and lays old and new beside one another by what outlives a turn: the
moments of falling silent and of speaking again (clocks differ, and go on differing), the rhythm of the adverts, the
order in which badges send. Then it makes the best assignment as a whole. `crowd` makes what it hears as the firmware
sends it; `tests/adversary/test_listener.py` holds that against the firmware itself.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]

Times = NDArray[np.float64]

SLOT = 300.0
INTERVAL = 0.5  # seconds between adverts, before the random delay
DELAY = 0.010
REFRESH = 6.55  # seconds after which, on average, a badge advertises anew, and at once
STEP = INTERVAL + DELAY / 2  # mean seconds from advert to advert while it does not
GAP = STEP * (1 - STEP / REFRESH / 2)  # and with that
SILENCE = 10.0  # at most, before a turn and after it
PPM = 19e-6
SPREAD = 2.4  # seconds over which clocks are spread evenly: of eight badges, 0.3 from one to the next


@dataclass(frozen=True)
class Slot:
    """What is heard of each badge in one slot, in seconds since the slot began."""

    first: Times
    last: Times
    gap: Times  # mean seconds from advert to advert


def crowd(
    badges: int,
    turns: int,
    random: np.random.Generator,
    silence: float = SILENCE,
    planted: float | None = None,
    spread: float = SPREAD,
) -> list[Slot]:
    """Slots with a turn between each two; badge i of one is badge i of the next.

    The last badge is `planted`, if given: it falls silent so many seconds before the edge, and speaks again by a rhythm
    of its own, two such times later, where its adverts would have come had it gone on.
    """
    clock = random.permutation(badges) * spread / badges
    rate = random.normal(0, PPM, badges)
    heard: list[Slot] = []
    for _ in range(turns + 1):
        before, after = random.uniform(0, silence, (2, badges))
        first = clock + after + random.uniform(0, DELAY, badges)
        if planted is not None:
            before[-1] = planted
            steps = round(2 * planted / STEP) + 1
            first[-1] = heard[-1].last[-1] - SLOT + steps * STEP if heard else clock[-1]
        end = SLOT + clock - before
        shape = badges, int(1.1 * SLOT / INTERVAL)
        gaps = (INTERVAL + random.uniform(0, DELAY, shape)) * (1 + rate)[:, None]
        gaps *= np.where(random.random(shape) < gaps / REFRESH, random.random(shape), 1.0)
        times = first[:, None] + np.cumsum(gaps, axis=1)
        times = np.where(times < end[:, None], times, -np.inf)
        last = times.max(axis=1)
        heard.append(Slot(first, last, (last - first) / np.isfinite(times).sum(axis=1)))
        clock = clock + rate * SLOT
    return heard


def _apart(old: Times, new: Times) -> Times:
    """Squared distances, each side taken from its own mean."""
    return np.asarray(((old - old.mean())[:, None] - (new - new.mean())[None, :]) ** 2)


def _order(values: Times) -> Times:
    return np.argsort(np.argsort(values)).astype(float)


def _places(old: Slot, new: Slot) -> tuple[Times, Times]:
    """Where in the interval each sends: in the last that all were heard in, and in the first."""
    return (old.last - old.last.min()) % INTERVAL, (new.first - new.first.max()) % INTERVAL


def by_speaking(old: Slot, new: Slot) -> Times:
    """The moments of speaking again, from slot to slot."""
    return _apart(old.first, new.first)


def by_silence(old: Slot, new: Slot) -> Times:
    """The moment of falling silent, and the one of speaking again after it."""
    return _apart(old.last - SLOT, new.first)


def by_both(old: Slot, new: Slot) -> Times:
    """The middle of what was heard."""
    return _apart((old.first + old.last) / 2, (new.first + new.last) / 2)


def by_reach(old: Slot, new: Slot) -> Times:
    """How likely one clock has made both: by the part of their possible clocks that they share."""

    def clocks(slot: Slot) -> tuple[Times, Times]:
        early = np.maximum(slot.first - SILENCE - DELAY, slot.last - SLOT)
        late = np.minimum(slot.first, slot.last - SLOT + SILENCE + INTERVAL + DELAY)
        return early, late

    (early, late), (new_early, new_late) = clocks(old), clocks(new)
    shared = np.minimum(late[:, None], new_late[None, :]) - np.maximum(early[:, None], new_early[None, :])
    whole = np.log(np.maximum(late - early, 1e-6))[:, None] + np.log(np.maximum(new_late - new_early, 1e-6))[None, :]
    return np.where(shared > 0, whole - np.log(np.maximum(shared, 1e-9)), 50.0)


def by_rhythm(old: Slot, new: Slot) -> Times:
    """Whether the first advert of the new comes when one of the old would have."""
    off = (new.first[None, :] + SLOT - old.last[:, None]) % STEP
    return np.asarray(np.log(np.minimum(off, STEP - off) + DELAY))


def by_gap(old: Slot, new: Slot) -> Times:
    """How far apart the adverts are, to which the crystal and the settings add."""
    return _apart(old.gap, new.gap)


def by_order_of_turning(old: Slot, new: Slot) -> Times:
    """Who falls silent first speaks first."""
    return _apart(_order(old.last), _order(new.first))


def by_order_of_sending(old: Slot, new: Slot) -> Times:
    """Who sends before whom within an interval."""
    before, after = _places(old, new)
    return _apart(_order(before), _order(after))


WAYS: dict[str, Callable[[Slot, Slot], Times]] = {
    way.__name__.removeprefix("by_").replace("_", " "): way
    for way in (
        by_speaking, by_silence, by_both, by_reach, by_rhythm, by_gap, by_order_of_turning, by_order_of_sending
    )
}  # fmt: skip


def linked(heard: list[Slot], way: Callable[[Slot, Slot], Times], random: np.random.Generator) -> NDArray[np.bool_]:
    """For each turn, whether each badge's old address was assigned its own new one."""
    turns = []
    for old, new in itertools.pairwise(heard):
        cost = way(old, new)
        order = random.permutation(len(cost))  # so that what is alike is not assigned by its place
        _, column = linear_sum_assignment(cost[:, order])
        turns.append(order[column] == np.arange(len(cost)))
    return np.array(turns)


def shares(heard: list[Slot], seed: int = 1) -> dict[str, float]:
    """By each way, the share of the addresses that it assigns right."""
    random = np.random.default_rng(seed)
    return {name: float(linked(heard, way, random).mean()) for name, way in WAYS.items()}
