"""A small world for tests: people whose meetings are logged, and patients among them who hand in."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from anontrace.epidemic import people
from anontrace.epidemic.chain import Chain
from anontrace.epidemic.people import MadePeople
from anontrace.epidemic.scenario import Scenario, Strategy
from anontrace.epidemic.told import Told
from anontrace.epidemic.wearers import Wearers

SEED, SIZE = 3, 600
PERFECT: dict[str, Any] = {
    "people": SIZE, "wearers": 1.0, "loss": 0.0, "clock_error": 0.0, "wrong_clocks": 0.0, "hands_in": 1.0,
    "passes_on": 1.0, "wearer_hours": 0.0, "staff_hours": 0.0,
}  # fmt: skip
FIRST_RESULT = 4  # the day


@dataclass
class World:
    """Days that are logged and traced one after the other; patients on FIRST_RESULT, symptoms a day before."""

    strategy: Strategy
    patients: tuple[int, ...] = (5, 77, 400)
    settings: dict[str, Any] = field(default_factory=dict)
    days: int = 12
    told: list[tuple[int, int, int, float]] = field(default_factory=list)  # person, case, generation, moment
    sent: list[int] = field(default_factory=list)  # notifications, by day
    waiting: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        scenario = Scenario(**PERFECT | self.settings)
        self.people: MadePeople = people.make(SIZE, SEED)
        self.wearers = Wearers(scenario, SIZE, SEED)
        self.chain = Chain(scenario, self.strategy, self.wearers, SEED)
        for day in range(self.days):
            self.wearers.log(day, self.people.day(day))
            if day == FIRST_RESULT:
                who = np.array(self.patients)
                self.chain.positive(who, np.full(len(who), day + 0.1), np.full(len(who), day - 1.0), day)
            self._note(self.chain.step(day), day)

    def _note(self, told: Told, day: int) -> None:
        self.sent.append(self.chain.books.notifications)
        self.waiting.append(self.chain.books.waiting)
        self.told += zip(
            told.person.tolist(), told.case.tolist(), told.generation.tolist(), told.at.tolist(), strict=True
        )
        self.chain.passed_on(told, day)

    def minutes(self) -> dict[tuple[int, int], float]:
        """How long each two were near each other, over all days."""
        found: dict[tuple[int, int], float] = {}
        for number in range(self.days):
            day = self.people.day(number)
            met = day.take(np.arange(len(day.one)))
            for one, other, minutes in zip(met.one.tolist(), met.other.tolist(), met.minutes.tolist(), strict=True):
                for pair in ((one, other), (other, one)):
                    found[pair] = found.get(pair, 0.0) + minutes
        return found
