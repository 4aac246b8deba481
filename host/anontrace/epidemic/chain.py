"""Tracing by badges: logs are handed in, reports decided, notifications let through, and companions tell.

What is decided, of whom and in which order is asked of the servers' and companions' own code, here and in shipped.py;
this module only says when, and keeps books.
"""

from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
from anontrace_shared.slots import SLOTS_PER_DAY

from anontrace.backend.config import NymserverSettings
from anontrace.backend.nymserver import decisions, growth, quota, risk
from anontrace.backend.nymserver.records import Case, Decision, LimitSettings, Outcome, Report, State, Tally
from anontrace.wire import sums
from anontrace.wire.levels import LEVELS, LOOK_GAPS

from . import shipped, waiting
from .arrays import TRACING, Array, randomness
from .scenario import DEFAULT_LIMIT, NO_LIMIT, Scenario, Strategy
from .told import Diary, Told
from .waiting import Batch
from .wearers import Rows, Wearers

_SETTINGS = NymserverSettings()
_HOURS, _DAY_SECONDS = 24.0, 86_400.0
_NEVER_ILL = -1


@dataclass
class Books:
    """What a day's tracing came to."""

    reports: int = 0
    notifications: int = 0
    waiting: int = 0
    alarm: bool = False


@dataclass
class _Pairs:
    """A report and a person near whom its log was: numbers that only grow."""

    other: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    case: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    generation: Array = field(default_factory=lambda: np.zeros(0, np.int64))  # that is told
    last_day: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    own: Array = field(default_factory=lambda: np.zeros(0, np.int64))  # it is the patient of the case
    thirds: Array = field(default_factory=lambda: np.zeros(0, np.int64))  # by notifications that are there

    def add(self, **columns: Array) -> None:
        for name, values in columns.items():
            setattr(self, name, np.concatenate([getattr(self, name), values]))


class Chain:
    """All cases of one simulation. Days are asked for in their order, each once."""

    def __init__(self, scenario: Scenario, strategy: Strategy, wearers: Wearers, seed: int) -> None:
        self._scenario, self._strategy, self._wearers, self._seed = scenario, strategy, wearers, seed
        self._size = len(wearers.wears)
        self._staff = shipped.Staff(strategy)
        self._companion = shipped.Companion(strategy.minutes)
        self._level = LEVELS[strategy.level]
        self._solves = sum(not sums.is_thin(each) for each in range(self._level.sums))
        self._decision = Decision(
            approve=True, minutes=strategy.minutes, depth=strategy.depth, case_budget=strategy.case_budget,
            day_budget=strategy.day_budget,
        )  # fmt: skip
        self._cases: list[Case] = []
        self._patient: list[int] = []
        self._onset: list[int] = []  # day, or _NEVER_ILL
        self._decided_on: dict[int, int] = {}  # the last day on which something of a case was decided
        self._to_decide = Diary()
        self._waiting = waiting.nothing()
        self._pairs = _Pairs()
        self._to_tell = Diary()
        self._is_told: set[int] = set()
        self.books = Books()
        self.sent = waiting.nothing()  # on the last day

    @property
    def a_day(self) -> int | None:
        """How many notifications a day; None: no limit."""
        limit = self._strategy.limit
        if limit == NO_LIMIT:
            return None
        settings = LimitSettings(a_day=None if limit == DEFAULT_LIMIT else int(limit))
        return quota.a_day(settings, self._wearers.number, _SETTINGS.day_limit)

    def positive(self, who: Array, at: Array, onset: Array, today: int) -> None:
        """These people test positive; those with a badge who agree hand in their logs."""
        rng = self._random(today, 0)
        kept = self._wearers.wears[who] & (rng.random(len(who)) < self._scenario.hands_in)
        who, at, onset = who[kept], at[kept], onset[kept]
        first = len(self._cases)
        self._cases += [Case(disease="") for _ in who]
        self._patient += who.tolist()
        self._onset += [int(begun) if begun <= known else _NEVER_ILL for begun, known in zip(onset, at, strict=True)]
        self._hand_in(who, at, np.arange(first, len(self._cases)), np.zeros(len(who), np.int64), today, rng)

    def passed_on(self, by: Told, today: int) -> None:
        """These are told; those who agree pass it on, which staff decide tomorrow at the earliest."""
        rng = self._random(today, 1)
        by = by.where(rng.random(len(by.person)) < self._scenario.passes_on)
        self._hand_in(by.person, by.at, by.case, by.generation, today + 1, rng)

    def _hand_in(
        self, who: Array, at: Array, case: Array, generation: Array, first: int, rng: np.random.Generator
    ) -> None:
        given = self._scenario
        later = rng.exponential(given.wearer_hours, len(who)) + rng.exponential(given.staff_hours, len(who))
        self._to_decide.add(Told(who, at + later / _HOURS, case, generation, np.zeros_like(case)), first)

    def step(self, day: int) -> Told:
        """Decide and send what is due on a day; who is told on it."""
        rng, room = self._random(day, 2), self.a_day
        queue = self._waiting.where(self._waiting.last_day >= day)
        leaves, queue = waiting.first(queue, (queue.place,), room, rng)
        decided = self._decide(self._to_decide.take(day), day, rng)
        left = None if room is None else room - leaves.number
        now, later = waiting.first(decided, (decided.since, decided.place), left, rng)
        self._waiting = waiting.join(queue, later)
        leaves = waiting.join(replace(leaves, since=np.full(len(leaves.count), float(day))), now)
        self.books = Books(self.books.reports, leaves.number, self._waiting.number, self._alarm(day))
        self.sent = leaves
        self._to_tell.add(self._arrive(leaves, rng), day)
        return self._to_tell.take(day)

    def _decide(self, reports: Told, day: int, rng: np.random.Generator) -> Batch:
        """What staff make of a day's reports."""
        goes_on = [
            self._cases[case].goes_on(generation)
            for case, generation in zip(reports.case.tolist(), reports.generation.tolist(), strict=True)
        ]
        reports = reports.where(np.array(goes_on, bool))
        self.books.reports = len(reports.person)
        rows = self._wearers.handed_in(reports.person, rng)
        rows = rows.where(rows.day < day)
        onset = np.array(self._onset, np.int64)[reports.case][rows.log]
        offset = np.where(onset == _NEVER_ILL, shipped.NO_ONSET, rows.day - onset)
        rows = rows.where(self._staff.takes(offset, rows.present, rows.attenuation))
        rows = self._within_budgets(rows, reports, day)
        return self._queued(rows, reports, day)

    def _within_budgets(self, rows: Rows, reports: Told, day: int) -> Rows:
        """What the budgets leave of the reports; each is decided."""
        rank = self._staff.order(rows.present, rows.attenuation)
        by = np.lexsort((rank, rows.log))
        rows = rows.where(by)
        number = np.bincount(rows.log, rows.count, len(reports.person)).astype(np.int64)
        before = np.cumsum(rows.count) - rows.count
        before -= np.repeat(np.cumsum(number) - number, np.bincount(rows.log, minlength=len(reports.person)))
        room = np.empty(len(number), np.int64)
        for place, (index, generation) in enumerate(
            zip(reports.case.tolist(), reports.generation.tolist(), strict=True)
        ):
            case = self._cases[index]
            most = decisions.approve(case, _report(generation), self._decision, day)
            room[place] = number[place] if most is None else min(most, int(number[place]))
            case.reports[f"{day}-{place}"] = Outcome(
                state=State.APPROVED, day=day, notifications=int(room[place]), generation=generation
            )
            self._decided_on[index] = day
        count = np.clip(room[rows.log] - before, 0, rows.count)
        return Rows(rows.log, rows.day, rows.other, count, rows.present, rows.attenuation).where(count > 0)

    def _queued(self, rows: Rows, reports: Told, day: int) -> Batch:
        key, first, pair = np.unique(rows.log * self._size + rows.other, return_index=True, return_inverse=True)
        log = rows.log[first]
        last = np.zeros(len(key), np.int64)
        np.maximum.at(last, pair, rows.day)
        case, other = reports.case[log], rows.other[first]
        base = len(self._pairs.other)
        self._pairs.add(
            other=other, case=case, generation=reports.generation[log] + 1, last_day=last,
            own=(np.array(self._patient, np.int64)[case] == other).astype(np.int64),
            thirds=np.zeros(len(key), np.int64),
        )  # fmt: skip
        decided = reports.at[rows.log]
        at_risk = self._staff.risk(rows.present, rows.attenuation)
        expiry = day + _SETTINGS.chain_days
        ages = day - rows.day
        last_days = np.array(
            [quota.last_day(max(day - age, 0) * SLOTS_PER_DAY, expiry) for age in range(int(ages.max(initial=0)) + 1)]
        )
        place = risk.place(at_risk, decided * _DAY_SECONDS)  # type: ignore[arg-type]
        return Batch(np.asarray(place, float), base + pair, rows.count, rows.present, last_days[ages], decided)

    def _arrive(self, leaves: Batch, rng: np.random.Generator) -> Told:
        """Whom the companions tell of what leaves, and when."""
        pair, inverse = np.unique(leaves.pair, return_inverse=True)
        number = np.bincount(inverse, leaves.count, len(pair))
        thirds = np.bincount(inverse, leaves.count * leaves.present, len(pair)).astype(np.int64)
        since = np.bincount(inverse, leaves.count * leaves.since, len(pair)) / np.maximum(number, 1)
        before, own = self._pairs.thirds[pair], self._pairs.own[pair]
        self._pairs.thirds[pair] = before + thirds
        new = self._companion.tells(before + thirds, own) & ~self._companion.tells(before, own)
        pair, number, since = pair[new], number[new], since[new]
        # Of so many that leave at random moments, how many have to be there, and when the last of these comes.
        needed = np.ceil(number * (3 * self._strategy.minutes - before[new]) / np.maximum(thirds[new], 1))
        needed = np.clip(needed, 1, number)
        comes = since + rng.beta(needed, number + 1 - needed) * _SETTINGS.spread / _DAY_SECONDS
        gap = rng.uniform(*LOOK_GAPS, len(pair)) / self._level.looks
        looks = rng.random(len(pair)) + (number > self._solves)
        at = comes + self._scenario.mix_hours / _HOURS + looks * gap
        return self._once(pair, at)

    def _once(self, pair: Array, at: Array) -> Told:
        """Each person once for a case, by whichever report tells first."""
        by = np.argsort(at, kind="stable")
        pair, at = pair[by], at[by]
        keys = (self._pairs.case[pair] * self._size + self._pairs.other[pair]).tolist()
        new = np.zeros(len(keys), bool)
        for place, key in enumerate(keys):
            if key not in self._is_told:
                self._is_told.add(key)
                new[place] = True
        pair, at = pair[new], at[new]
        p = self._pairs
        return Told(p.other[pair], at, p.case[pair], p.generation[pair], p.last_day[pair])

    def _alarm(self, day: int) -> bool:
        """Whether the nymserver raises an alarm over growing chains; looked at once a week."""
        if day % growth.DAYS != growth.DAYS - 1:
            return False
        lately = [self._cases[case] for case, last in self._decided_on.items() if last > day - growth.DAYS]
        return bool(growth.alarms(growth.told(lately), growth.DEFAULT_FACTOR))

    def _random(self, day: int, part: int) -> np.random.Generator:
        return randomness(self._seed, TRACING, 4 * day + part)


@cache
def _report(generation: int) -> Report:
    """A report of this generation; nothing else of one matters to a decision."""
    return Report(report=b"", case=b"", generation=generation, disease="", received=0, exposures=[], log=Tally())
