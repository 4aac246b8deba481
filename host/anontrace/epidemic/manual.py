"""Manual tracing, to compare with: patients name whom they remember, and staff call these, as many a day as they can.

A model of its own; nothing of it is in the shipped code.
"""

from collections import deque

import numpy as np

from .arrays import TRACING, Array, randomness
from .meetings import Day, Kind
from .scenario import MANUAL, Scenario
from .told import Diary, Told, join

_DAYS = 8  # that patients are asked about at most
_NO_SYMPTOMS = 5  # days before the result, of patients without symptoms
_PER = 1000


class Manual:
    """Call lists of one simulation. Days are asked for in their order, each once."""

    def __init__(self, scenario: Scenario, size: int, seed: int) -> None:
        self._scenario, self._size, self._seed = scenario, size, seed
        self._days: deque[tuple[int, Day]] = deque(maxlen=_DAYS)
        self._named = np.zeros(len(Kind))
        known = scenario.manual_known
        for kind, share in (
            (Kind.HOME, scenario.manual_home), (Kind.SCHOOL, known), (Kind.WORK, known), (Kind.LISTED, known),
            (Kind.OTHER, scenario.manual_other),
        ):  # fmt: skip
            self._named[kind] = share
        self._to_call = Diary()
        self._late = join([])
        self._cases = 0

    def log(self, number: int, day: Day) -> None:
        """Whom everybody met on a day."""
        self._days.append((number, day))

    def positive(self, who: Array, at: Array, onset: Array, today: int) -> None:
        """These people test positive and are asked whom they met since two days before their symptoms."""
        rng = randomness(self._seed, TRACING, 4 * today + 3)
        if not len(who):
            return
        case = np.full(self._size, -1)
        case[who] = np.arange(self._cases, self._cases + len(who))
        since = np.full(self._size, np.inf)
        since[who] = np.where(onset <= at, onset - MANUAL.before, at - _NO_SYMPTOMS)
        result = np.zeros(self._size)
        result[who] = at
        self._cases += len(who)
        parts = []
        for number, day in self._days:
            patient, other, kind = self._close(day, since <= number)
            kept = rng.random(len(other)) < self._named[kind]
            patient, other = patient[kept], other[kept]
            parts.append(
                Told(other, result[patient], case[patient], np.ones(len(other), np.int64), np.full(len(other), number))
            )
        named = join(parts[::-1])
        # The last day of each contact of a case counts, and each is called once.
        by = np.argsort(-named.last_day, kind="stable")
        _, first = np.unique((named.case * self._size + named.person)[by], return_index=True)
        named = named.where(by[first])
        later = rng.exponential(self._scenario.manual_days, len(named.person))
        self._to_call.add(Told(named.person, named.at + later, named.case, named.generation, named.last_day), today)

    def _close(self, day: Day, is_asked: Array) -> tuple[Array, Array, Array]:
        """Whom those who are asked were close to on a day for long enough: patient, other, where they met."""
        keys, minutes, kinds = [], [], []
        for mine, theirs in ((day.one, day.other), (day.other, day.one)):
            which = np.flatnonzero(is_asked[mine])
            met = day.take(which)
            close = met.metres <= self._scenario.manual_metres
            keys.append((mine[which].astype(np.int64) * self._size + theirs[which])[close])
            minutes.append(met.minutes[close])
            kinds.append(met.kind[close])
        key, first, pair = np.unique(np.concatenate(keys), return_index=True, return_inverse=True)
        long = np.bincount(pair, np.concatenate(minutes), len(key)) >= self._scenario.manual_minutes
        patient, other = np.divmod(key[long], self._size)
        return patient, other, np.concatenate(kinds)[first][long]

    def step(self, day: int) -> Told:
        """Who is called on a day: those who have waited longest, as many as can be."""
        due = join([self._late, self._to_call.take(day)])
        most = int(self._scenario.manual_calls * self._size / _PER)
        self._late = due.where(np.arange(most, len(due.person)))
        called = due.where(np.arange(min(most, len(due.person))))
        return Told(called.person, np.maximum(called.at, day), called.case, called.generation, called.last_day)
