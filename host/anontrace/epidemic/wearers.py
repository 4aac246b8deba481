"""The badges and what they log: the meetings of the last days between people who wear one, and how their clocks are
wrong."""

from collections import deque
from dataclasses import dataclass

import numpy as np
from anontrace_shared.figures import THIRDS
from anontrace_shared.slots import SLOT_SECONDS

from anontrace.companion.reports.contact_log import HANDED_IN_DAYS

from . import shipped
from .arrays import HABITS, Array, randomness
from .meetings import Day, Meetings
from .scenario import Scenario

_THIRD_SECONDS = SLOT_SECONDS // THIRDS


@dataclass(frozen=True, slots=True)
class Rows:
    """Records of logs, an element for `count` slots of one meeting that are alike: whose log (place in what was asked
    for), day, the other person, present thirds of a minute in each of these slots, attenuation in dB."""

    log: Array
    day: Array
    other: Array
    count: Array
    present: Array
    attenuation: Array

    def where(self, kept: Array) -> "Rows":
        return Rows(
            self.log[kept], self.day[kept], self.other[kept], self.count[kept], self.present[kept],
            self.attenuation[kept],
        )  # fmt: skip


class Wearers:
    """Who wears a badge, and what the badges have logged."""

    def __init__(self, scenario: Scenario, size: int, seed: int) -> None:
        rng = randomness(seed, HABITS)
        self.wears = rng.random(size) < scenario.wearers
        wrong = np.where(rng.random(size) < scenario.wrong_clocks, scenario.wrong_by, scenario.clock_error)
        self.clock = rng.normal(0, 1, size) * wrong  # seconds ahead
        self._loss = scenario.loss
        self._days: deque[tuple[int, Meetings]] = deque(maxlen=HANDED_IN_DAYS)

    @property
    def number(self) -> int:
        return int(self.wears.sum())

    def log(self, number: int, day: Day) -> None:
        """A day's meetings between wearers; those of more than HANDED_IN_DAYS ago are forgotten."""
        both = self.wears[day.one]
        both &= self.wears[day.other]
        self._days.append((number, day.take(np.flatnonzero(both))))

    def handed_in(self, whose: Array, rng: np.random.Generator) -> Rows:
        """The records of these people's logs that a nymserver finds an address for."""
        order = np.argsort(whose, kind="stable")
        people = whose[order]
        is_wanted = np.zeros(len(self.wears), bool)
        is_wanted[people] = True
        parts = [
            self._of(number, meetings, mine, theirs, is_wanted, people, order)
            for number, meetings in self._days
            for mine, theirs in ((meetings.one, meetings.other), (meetings.other, meetings.one))
        ]
        if not parts:
            nothing = np.zeros(0, np.int64)
            return Rows(nothing, nothing, nothing, nothing, nothing, nothing)
        log, day, other, count, present, attenuation = (np.concatenate(each) for each in zip(*parts, strict=True))
        count = rng.binomial(count, 1 - self._loss)
        return Rows(log, day, other, count, present, attenuation).where(count > 0)

    def _of(
        self, number: int, meetings: Meetings, mine: Array, theirs: Array, is_wanted: Array, people: Array, order: Array
    ) -> tuple[Array, ...]:
        which = np.flatnonzero(is_wanted[mine])
        first, last = (np.searchsorted(people, mine[which], side=side) for side in ("left", "right"))
        many = last - first
        place = np.repeat(first, many) + np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
        which, log = np.repeat(which, many), order[place]
        start, thirds, other = meetings.start[which], meetings.thirds[which], theirs[which].astype(np.int64)
        moment = start * _THIRD_SECONDS
        by_mine = np.floor_divide(moment + self.clock[mine[which]], SLOT_SECONDS)
        by_theirs = np.floor_divide(moment + self.clock[other], SLOT_SECONDS)
        found = shipped.hears(by_theirs - by_mine)
        head = np.minimum(thirds, THIRDS - start % THIRDS)
        full, tail = np.divmod(thirds - head, THIRDS)
        ones = np.ones(len(which), np.int64)
        count = np.concatenate([ones, full, (tail > 0).astype(np.int64)])
        present = np.concatenate([head, ones * THIRDS, tail])
        kept = np.tile(found, 3) & (count > 0)
        attenuation = shipped.attenuation_of(meetings.lost[which])
        return (
            np.tile(log, 3)[kept], np.full(int(kept.sum()), number), np.tile(other, 3)[kept], count[kept],
            present[kept], np.tile(attenuation, 3)[kept],
        )  # fmt: skip
