"""People and their days: made ones, who live in households and meet at school, at work and by chance."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .arrays import MEETINGS, PEOPLE, Array, randomness
from .meetings import Day, GeneratedDay, Kind

WEEK, WORKDAYS = 7, 5

_HOUSEHOLD_SIZES = (0.30, 0.34, 0.16, 0.13, 0.05, 0.02)  # shares of households of 1, 2, ... people
_CHILD = 0.8  # of those in a household beyond the first two
_CLASS, _TEAM = 25, 10  # children in a class, colleagues in a team
_AT_WORK = 0.6  # of adults
_MEETS = {Kind.HOME: 1.0, Kind.SCHOOL: 0.5, Kind.WORK: 0.5}  # of those of a group, on a day on which it meets
_BY_CHANCE = 4.0  # people met elsewhere on a day, in the mean
_BY_CHANCE_SHAPE = 1.0  # of the gamma distribution of how many each meets: some meet many more


class People(Protocol):
    """Whoever is in a simulation."""

    @property
    def size(self) -> int: ...

    def day(self, number: int) -> Day:
        """Whom they meet on a day, the same each time it is asked for."""
        ...


@dataclass(frozen=True)
class MadePeople:
    """People by these numbers of groups; `seed` decides who lives, learns and works with whom."""

    size: int
    seed: int
    one: Array
    other: Array
    kind: Array
    often: Array  # how likely each pair of a group meets on a workday
    weekend: Array  # whether it does on other days, too
    sociable: Array  # by person: how many are met by chance, in the mean

    def day(self, number: int) -> Day:
        rng = randomness(self.seed, MEETINGS, number)
        meets = rng.random(len(self.one), dtype=np.float32) < self.often
        if number % WEEK >= WORKDAYS:
            meets &= self.weekend
        chance = np.repeat(np.arange(self.size, dtype=np.int32), rng.poisson(self.sociable))
        rng.shuffle(chance)
        half = len(chance) // 2
        one, other = chance[:half], chance[half : 2 * half]
        apart = one != other
        one = np.concatenate([self.one[meets], one[apart]])
        other = np.concatenate([self.other[meets], other[apart]])
        kind = np.concatenate([self.kind[meets], np.full(int(apart.sum()), Kind.OTHER, np.int8)])
        return GeneratedDay(one, other, kind, rng.integers(0, 1 << 63, len(one), dtype=np.uint64))


def make(size: int, seed: int) -> MadePeople:
    """So many people."""
    rng = randomness(seed, PEOPLE)
    sizes = rng.choice(np.arange(1, len(_HOUSEHOLD_SIZES) + 1), size, p=_HOUSEHOLD_SIZES)
    ends = np.cumsum(sizes)
    household = np.searchsorted(ends, np.arange(size), side="right")
    place = np.arange(size) - (ends - sizes)[household]
    child = (place >= 2) & (rng.random(size) < _CHILD)
    works = ~child & (rng.random(size) < _AT_WORK)
    groups = [
        (Kind.HOME, household),
        (Kind.SCHOOL, _grouped(rng, child, _CLASS)),
        (Kind.WORK, _grouped(rng, works, _TEAM)),
    ]
    ones, others, kinds = [], [], []
    for kind, group in groups:
        one, other = _pairs(group)
        ones.append(one)
        others.append(other)
        kinds.append(np.full(len(one), kind, np.int8))
    kind_of = np.concatenate(kinds)
    return MadePeople(
        size, seed, np.concatenate(ones), np.concatenate(others), kind_of,
        np.array([_MEETS[each] for each in (Kind.HOME, Kind.SCHOOL, Kind.WORK)], np.float32)[kind_of],
        kind_of == Kind.HOME, rng.gamma(_BY_CHANCE_SHAPE, _BY_CHANCE / _BY_CHANCE_SHAPE, size),
    )  # fmt: skip


def _grouped(rng: np.random.Generator, members: Array, size: int) -> Array:
    """A group of about this size for each of these people, by chance; -1 for the others."""
    group = np.full(len(members), -1)
    who = rng.permutation(np.flatnonzero(members))
    group[who] = np.arange(len(who)) // size
    return group


def _pairs(group: Array) -> tuple[Array, Array]:
    """All pairs of people who are in the same group; those in -1 are in none."""
    who = np.flatnonzero(group >= 0)
    who = who[np.argsort(group[who], kind="stable")]
    sizes = np.bincount(group[who]) if len(who) else np.zeros(0, np.int64)
    ends = np.cumsum(sizes)
    after = np.repeat(ends, sizes) - np.arange(len(who)) - 1  # members of the group behind each
    one = np.repeat(np.arange(len(who)), after)
    other = one + 1 + np.arange(len(one)) - np.repeat(np.cumsum(after) - after, after)
    return who[one].astype(np.int32), who[other].astype(np.int32)
