"""What many runs come to: a row for each strategy, with the interval over its seeds, and the same by day.

Infections averted are counted seed by seed against the run of the same seed in which nobody is told, so that people,
their meetings and the course of their disease are the same.
"""

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from .arrays import Array
from .experiments import Part, Task
from .running import DAILY, Result
from .scenario import NOTHING

INTERVAL = (5.0, 95.0)  # per cent of the seeds that lie below: nine of ten lie between
_WEEK = 7
_EARLY_DAYS = 42
_UNFINISHED_DAYS = 21  # at the end, in which those infected have not infected all others yet


@dataclass(frozen=True)
class Figure:
    """A mean, and between which values nine of ten seeds lie; None: it cannot be said."""

    mean: float | None
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Figure":
        if not values:
            return cls(None)
        low, high = np.percentile(values, INTERVAL)
        return cls(float(np.mean(values)), float(low), float(high))


@dataclass
class Row:
    """A strategy of a part. Ratios are of the sums over all seeds."""

    part: str
    strategy: str
    runs: int
    a_day: int | None
    infections: Figure
    averted: Figure
    averted_share: float | None
    r: Figure
    told: Figure
    told_per_infection: float | None
    in_vain_share: float | None
    quarantine_per_averted: float | None
    most_notifications: Figure  # on a day
    days_at_limit: Figure
    alarms: Figure  # weeks


@dataclass
class Findings:
    """All results of a part so far."""

    part: Part
    results: dict[str, dict[int, Result]] = field(default_factory=dict)  # by strategy and seed

    def add(self, task: Task, result: Result) -> None:
        self.results.setdefault(task.strategy.name, {})[task.seed] = result

    @property
    def number(self) -> int:
        return sum(map(len, self.results.values()))

    @property
    def is_whole(self) -> bool:
        return self.number == self.part.runs

    def rows(self) -> list[Row]:
        """In the order in which the part has the strategies; those of which there is nothing are left out."""
        return [self._row(each.name) for each in self.part.strategies if each.name in self.results]

    def _row(self, name: str) -> Row:
        runs = self.results[name]
        found = list(runs.values())
        averted = self._averted(name)
        told, vain, infections = (_sum(found, each) for each in ("told", "in_vain", "infections"))
        against, quarantine = sum(averted), _sum([runs[seed] for seed in self._paired(name)], "quarantine")
        without = sum(self.results[NOTHING.name][seed].totals["infections"] for seed in self._paired(name))
        return Row(
            part=self.part.name,
            strategy=name,
            runs=len(found),
            a_day=found[0].a_day,
            infections=_figure(found, lambda each: each.totals["infections"]),
            averted=Figure.of(averted),
            averted_share=against / without if without else None,
            r=_r(found),
            told=_figure(found, lambda each: each.totals["told"]),
            told_per_infection=told / infections if infections else None,
            in_vain_share=vain / told if told else None,
            quarantine_per_averted=quarantine / against if against > 0 else None,
            most_notifications=_figure(found, lambda each: max(each.daily["notifications"])),
            days_at_limit=_figure(found, _days_at_limit),
            alarms=_figure(found, lambda each: each.totals["alarms"]),
        )

    def _paired(self, name: str) -> list[int]:
        """The seeds that were run with this strategy, and with nothing done."""
        return [
            seed for seed in self.results[name] if name != NOTHING.name and seed in self.results.get(NOTHING.name, {})
        ]

    def _averted(self, name: str) -> list[float]:
        nothing = self.results.get(NOTHING.name, {})
        return [
            nothing[seed].totals["infections"] - self.results[name][seed].totals["infections"]
            for seed in self._paired(name)
        ]

    def by_day(self, name: str, what: str) -> Array:
        """A row for each seed, a column for each day."""
        return np.array([each.daily[what] for each in self.results[name].values()])

    def r_by_week(self, name: str) -> Array:
        """How many were infected by those infected in each week, a row for each seed; NaN if nobody was."""
        cohort, others = self.by_day(name, "cohort"), self.by_day(name, "infected_by_cohort")
        weeks = max(0, cohort.shape[1] - _UNFINISHED_DAYS) // _WEEK
        if not weeks:
            return np.zeros((len(cohort), 0))
        shape = (len(cohort), weeks, _WEEK)
        infected, in_turn = (each[:, : weeks * _WEEK].reshape(shape).sum(axis=2) for each in (cohort, others))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(in_turn / infected)


def _sum(results: Iterable[Result], name: str) -> float:
    return sum(each.totals[name] for each in results)


def _figure(results: Iterable[Result], value: Callable[[Result], float]) -> Figure:
    return Figure.of([value(each) for each in results])


def _days_at_limit(result: Result) -> float:
    limit = result.a_day
    return 0.0 if limit is None else float(sum(sent >= limit for sent in result.daily["notifications"]))


def _r(results: Sequence[Result]) -> Figure:
    """Whom those infected in the first weeks infected, in the mean: later, few are left who can be."""
    pairs = []
    for each in results:
        until = max(0, min(_EARLY_DAYS, len(each.daily["cohort"]) - _UNFINISHED_DAYS))
        pairs.append((sum(each.daily["infected_by_cohort"][:until]), sum(each.daily["cohort"][:until])))
    spread = Figure.of([others / infected for others, infected in pairs if infected])
    infected = sum(infected for _, infected in pairs)
    return Figure(sum(others for others, _ in pairs) / infected if infected else None, spread.low, spread.high)


class RunsFile:
    """A CSV with a line for each run, written as they come: what is done is there whatever happens next."""

    COLUMNS = ("part", "strategy", "seed", "people", "wearers", "a_day", *(name for name in DAILY if name != "waiting"),
               "waiting", "told_1", "told_2", "told_3")  # fmt: skip

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._writer = csv.DictWriter(file, self.COLUMNS, restval=0, extrasaction="ignore", lineterminator="\n")
        self._writer.writeheader()

    def add(self, task: Task, result: Result) -> None:
        row: dict[str, Any] = {
            "part": task.part.name, "strategy": result.strategy, "seed": result.seed, "people": result.people,
            "wearers": result.wearers, "a_day": "" if result.a_day is None else result.a_day,
        }  # fmt: skip
        self._writer.writerow(row | {name: f"{value:.10g}" for name, value in result.totals.items()})
        self._file.flush()


def write_days(path: Path, findings: Iterable[Findings]) -> None:
    """A CSV with a line for each part, strategy and day: means over the seeds, and the interval of infections."""
    columns = ["part", "strategy", "day", *DAILY, "infections_low", "infections_high"]
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for each in findings:
            for name in each.results:
                by_name = {what: each.by_day(name, what) for what in DAILY}
                low, high = np.percentile(by_name["infections"], INTERVAL, axis=0)
                means = np.stack([values.mean(axis=0) for values in by_name.values()] + [low, high], axis=1)
                writer.writerows(
                    [each.part.name, name, day, *(f"{value:.6g}" for value in row)] for day, row in enumerate(means)
                )


def document(findings: Iterable[Findings], is_whole: bool) -> Mapping[str, Any]:
    """All rows, for a program; `whole`: whether every run was done."""
    return {
        "whole": is_whole,
        "parts": [
            {
                "part": each.part.name, "title": each.part.title, "whole": each.is_whole, "runs": each.number,
                "of": each.part.runs, "disease": each.part.disease.name, "scenario": each.part.scenario.model_dump(),
                "strategies": [row.__dict__ | {
                    name: value.__dict__ for name, value in row.__dict__.items() if isinstance(value, Figure)
                } for row in each.rows()],
            }
            for each in findings
        ],
    }  # fmt: skip
