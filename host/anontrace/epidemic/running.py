"""One epidemic from its first day to its last, with one strategy and one seed."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .arrays import COURSE, HABITS, NEVER, SPREAD, Array, randomness
from .chain import Chain
from .course import NOBODY, Course
from .disease import Disease
from .manual import Manual
from .meetings import Kind
from .people import People
from .scenario import Scenario, Strategy
from .told import Told
from .wearers import Wearers

IN_VAIN_DAYS = 14.0  # before somebody is told: who was not infected in them is told in vain
_PER = 100_000
_MOST_DAYS = 1_000_000


@dataclass(frozen=True)
class Result:
    """`daily`: by name, an element a day. `totals`: of all days. Counts are of people, but for notifications, which are
    of addresses, and quarantine, which is days."""

    strategy: str
    seed: int
    people: int
    wearers: int
    a_day: int | None
    daily: dict[str, list[float]] = field(repr=False)
    totals: dict[str, float]


DAILY = (
    *("infections", "positive", "reports", "notifications", "waiting", "told", "in_vain", "quarantine", "alarms"),
    *("cohort", "infected_by_cohort"),
)


class _Habits:
    """What each does about a result or about being told: drawn once, so that it is the same with every strategy."""

    def __init__(self, scenario: Scenario, size: int, seed: int) -> None:
        rng = randomness(seed, HABITS, 1)
        self.tests = rng.random(size) < scenario.tested
        self.test_after = rng.exponential(scenario.test_days, size) if scenario.test_days else np.zeros(size)
        self.isolates = rng.random(size) < scenario.isolates
        self.quarantines = rng.random(size) < scenario.quarantines


class _Epidemic:
    """The state of everybody, changed a day at a time."""

    def __init__(
        self, people: People, disease: Disease, scenario: Scenario, strategy: Strategy, beta: float, seed: int
    ) -> None:
        self._people, self._scenario, self._beta, self._seed = people, scenario, beta, seed
        size = people.size
        self.course = Course(disease, size, seed, scenario.immune)
        self._habits = _Habits(scenario, size, seed)
        self._wearers = Wearers(scenario, size, seed)
        self.chain = Chain(scenario, strategy, self._wearers, seed) if strategy.tracing == "chain" else None
        self._manual = Manual(scenario, size, seed) if strategy.tracing == "manual" else None
        self._result_at = np.full(size, NEVER)
        self._is_positive = np.zeros(size, bool)
        self._isolates_until = np.full(size, -NEVER)
        self._quarantine_until = np.full(size, -NEVER)
        self.told_of: dict[int, int] = {}  # how many were told, by generation
        self._infect_elsewhere(0, scenario.initial * size)

    @property
    def wearers(self) -> int:
        return self._wearers.number

    def _infect_elsewhere(self, day: int, number: float) -> None:
        rng = randomness(self._seed, COURSE, day + 1)
        who = np.flatnonzero(self.course.susceptible)
        many = min(len(who), rng.poisson(number) if day else round(number))
        infected = rng.choice(who, many, replace=False)
        moments = randomness(self._seed, SPREAD, _MOST_DAYS + day).random(many)  # another one than that of meetings
        self.course.infect(infected, day + moments)
        self._schedule_tests(infected)

    def _schedule_tests(self, who: Array) -> None:
        tests = self._habits.tests[who] & self.course.symptomatic[who]
        self._result_at[who[tests]] = self.course.onset[who[tests]] + self._habits.test_after[who[tests]]

    def live(self, day: int) -> dict[str, float]:
        """One day of everybody."""
        if day:
            self._infect_elsewhere(day, self._scenario.imports * self._people.size / _PER)
        isolated, quarantined = self._isolates_until > day, self._quarantine_until > day
        apart = isolated | quarantined
        meetings = self._people.day(day)
        meetings = meetings.without((meetings.kind != Kind.HOME) & (apart[meetings.one] | apart[meetings.other]))
        infected = self.course.spread(meetings, day, self._beta, apart, self._scenario.home_contact)
        self._schedule_tests(infected)
        if self.chain is not None:
            self._wearers.log(day, meetings)
        if self._manual is not None:
            self._manual.log(day, meetings)
        positive = self._results(day)
        told = self._trace(positive, day)
        counts = {"infections": len(infected), "positive": len(positive)}
        counts["quarantine"] = int((quarantined & ~isolated).sum())
        if told is not None:
            counts |= self._tell(told, day)
        if self.chain is not None:
            books = self.chain.books
            counts |= {
                "reports": books.reports, "notifications": books.notifications, "waiting": books.waiting,
                "alarms": books.alarm,
            }  # fmt: skip
        return {name: float(counts.get(name, 0)) for name in DAILY[:-2]}

    def _results(self, day: int) -> Array:
        """Who learns today of a positive test."""
        who = np.flatnonzero((self._result_at < day + 1) & ~self._is_positive)
        self._is_positive[who] = True
        stays = who[self._habits.isolates[who]]
        self._isolates_until[stays] = self._result_at[stays] + self._scenario.isolation_days
        return who

    def _trace(self, positive: Array, day: int) -> Told | None:
        tracing = self.chain or self._manual
        if tracing is None:
            return None
        tracing.positive(positive, np.maximum(self._result_at[positive], day), self.course.onset[positive], day)
        return tracing.step(day)

    def _tell(self, told: Told, day: int) -> dict[str, int]:
        """Whoever is told stays apart, has a test, and passes on, or not."""
        given, who = self._scenario, told.person
        rng = randomness(self._seed, HABITS, 2 + day)
        vain = int((~self.course.caught_lately(who, told.at, IN_VAIN_DAYS)).sum())
        stays = self._habits.quarantines[who] & ~self._is_positive[who]
        np.maximum.at(self._quarantine_until, who[stays], told.last_day[stays] + 1.0 + given.quarantine_days)
        tests = (rng.random(len(who)) < given.tested_told) & ~self._is_positive[who]
        result = told.at + rng.exponential(given.told_test_days or 1e-9, len(who))
        shows = (self.course.infectious[who] <= result) & (self.course.over[who] > result)
        found = tests & shows & (rng.random(len(who)) < given.sensitivity)
        np.minimum.at(self._result_at, who[found], result[found])
        for generation, number in zip(*np.unique(told.generation, return_counts=True), strict=True):
            self.told_of[int(generation)] = self.told_of.get(int(generation), 0) + int(number)
        if self.chain is not None:
            self.chain.passed_on(told, day)
        return {"told": len(who), "in_vain": vain}


def run(
    people: People, disease: Disease, scenario: Scenario, strategy: Strategy, beta: float, seed: int,
    each_day: Callable[[], None] = lambda: None,
) -> Result:  # fmt: skip
    """Simulate. The same arguments give the same result."""
    epidemic = _Epidemic(people, disease, scenario, strategy, beta, seed)
    days = []
    for day in range(scenario.days):
        days.append(epidemic.live(day))
        each_day()
    daily = {name: [each[name] for each in days] for name in DAILY[:-2]}
    daily |= _cohorts(epidemic.course, scenario.days)
    totals = {name: sum(values) for name, values in daily.items() if name != "waiting"}
    totals["waiting"] = daily["waiting"][-1]
    for generation, number in sorted(epidemic.told_of.items()):
        totals[f"told_{generation}"] = float(number)
    chain = epidemic.chain
    return Result(
        strategy.name, seed, people.size, epidemic.wearers, None if chain is None else chain.a_day, daily, totals
    )


def _cohorts(course: Course, days: int) -> dict[str, list[float]]:
    """By the day on which people were infected: how many, and how many they infected in turn."""
    who = np.flatnonzero(np.isfinite(course.infected))
    begun = np.floor(course.infected[who]).astype(np.int64)
    others = np.bincount(course.by[course.by != NOBODY], minlength=len(course.by))[who]
    return {
        "cohort": np.bincount(begun, minlength=days)[:days].astype(float).tolist(),
        "infected_by_cohort": np.bincount(begun, others, minlength=days)[:days].tolist(),
    }
