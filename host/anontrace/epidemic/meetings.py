"""Who meets whom on a day: arrays of pairs, and of those that somebody asks for how long, when, how near.

A million people have millions of meetings a day, and nearly all of them concern nobody who is ill and nobody with a
badge. So a day has 64 random bits for each, and what they stand for is looked up for the few that are asked for.
"""

from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from statistics import NormalDist
from typing import Protocol

import numpy as np

from .arrays import Array

DAY_THIRDS = 4320  # thirds of a minute
_BITS = 12
_STEPS = 1 << _BITS
_NEAREST, _FARTHEST = 0.3, 12.0  # metres; what is farther a badge does not hear

# What a badge loses over the air at a metre, for each tenfold distance, and how much bodies and bags make of it, in dB.
_AT_A_METRE, _PER_DECADE, _SPREAD = 53.0, 20.0, 7.0


class Kind(IntEnum):
    """Where a meeting is."""

    HOME = 0
    SCHOOL = 1
    WORK = 2
    OTHER = 3
    LISTED = 4  # in a recorded list


@dataclass(frozen=True, slots=True)
class _Setting:
    """Medians and sigmas of log-normal distributions: minutes together, and metres apart."""

    minutes: float
    minutes_sigma: float
    metres: float
    metres_sigma: float


_SETTINGS = {
    Kind.HOME: _Setting(240, 0.5, 1.5, 0.5),
    Kind.SCHOOL: _Setting(20, 1.0, 1.8, 0.5),
    Kind.WORK: _Setting(30, 1.0, 1.8, 0.5),
    Kind.OTHER: _Setting(10, 1.0, 1.5, 0.5),
}


@dataclass(frozen=True, slots=True)
class Meetings:
    """Some meetings of a day, an element each: who (numbers of people), where (Kind), first third of the day, number of
    thirds, metres apart, and dB lost on the way at the best moment."""

    one: Array
    other: Array
    kind: Array
    start: Array
    thirds: Array
    metres: Array
    lost: Array

    @property
    def minutes(self) -> Array:
        return self.thirds / 3.0


class Day(Protocol):
    """All meetings of a day: who and where, and the rest of those that are asked for by their indices."""

    @property
    def one(self) -> Array: ...

    @property
    def other(self) -> Array: ...

    @property
    def kind(self) -> Array: ...

    def take(self, which: Array) -> Meetings: ...

    def without(self, gone: Array) -> "Day":
        """The day without the meetings for which this is true."""
        ...


@dataclass(frozen=True, slots=True)
class GeneratedDay:
    """A day whose meetings are drawn: `bits` says all else of each."""

    one: Array
    other: Array
    kind: Array
    bits: Array

    def take(self, which: Array) -> Meetings:
        kind, bits = self.kind[which], self.bits[which]
        minutes, metres, shadow = _quantiles()
        mask = np.uint64(_STEPS - 1)
        first, second, third, fourth = ((bits >> np.uint64(_BITS * place)) & mask for place in range(4))
        thirds = minutes[kind, first]
        apart = metres[kind, second]
        return Meetings(
            self.one[which], self.other[which], kind,
            (fourth.astype(np.int64) * (DAY_THIRDS - thirds)) >> _BITS, thirds, apart, lost_at(apart, shadow[third]),
        )  # fmt: skip

    def without(self, gone: Array) -> "GeneratedDay":
        kept = ~gone
        return GeneratedDay(self.one[kept], self.other[kept], self.kind[kept], self.bits[kept])


@dataclass(frozen=True, slots=True)
class ListedDay:
    """A day whose meetings are known."""

    all: Meetings

    @property
    def one(self) -> Array:
        return self.all.one

    @property
    def other(self) -> Array:
        return self.all.other

    @property
    def kind(self) -> Array:
        return self.all.kind

    def take(self, which: Array) -> Meetings:
        a = self.all
        return Meetings(
            a.one[which], a.other[which], a.kind[which], a.start[which], a.thirds[which], a.metres[which], a.lost[which]
        )

    def without(self, gone: Array) -> "ListedDay":
        return ListedDay(self.take(np.flatnonzero(~gone)))


def lost_at(metres: Array, shadow: Array) -> Array:
    """dB that are lost at these distances; `shadow`: standard normal, for bodies and bags."""
    lost: Array = np.rint(_AT_A_METRE + _PER_DECADE * np.log10(metres) + _SPREAD * shadow).astype(np.int64)
    return lost


@cache
def _quantiles() -> tuple[Array, Array, Array]:
    """By kind and 12 random bits: thirds of a minute, and metres; by 12 bits alone: a standard normal number."""
    normal = np.array([NormalDist().inv_cdf((step + 0.5) / _STEPS) for step in range(_STEPS)])
    minutes = np.array([each.minutes * np.exp(each.minutes_sigma * normal) for each in _SETTINGS.values()])
    metres = np.array([each.metres * np.exp(each.metres_sigma * normal) for each in _SETTINGS.values()])
    thirds = np.clip(np.rint(minutes * 3), 1, DAY_THIRDS - 1).astype(np.int64)
    return thirds, np.clip(metres, _NEAREST, _FARTHEST), normal
