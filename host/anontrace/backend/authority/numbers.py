"""Numbers of a health authority by day, of which nothing below ten is told: who is one of few could be known by it.

Pure: computed from the tokens that were issued and the nymserver's reports.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from anontrace.mixnet import keydays

from .register import Listed

LEAST = 10
_MAX_GENERATION = 9


@dataclass(frozen=True, slots=True)
class Row:
    """A name, and how many; None: fewer than ten, or none at all."""

    name: int
    number: int | None


@dataclass(frozen=True, slots=True)
class Numbers:
    """By day (number since 1970): tokens issued, reports received, notifications queued. Reports by generation. Cases
    by whole days from the test to the decision that told."""

    tokens: list[Row]
    reports: list[Row]
    notifications: list[Row]
    generations: list[Row]
    delays: list[Row]

    def tables(self) -> dict[str, list[Row]]:
        return {
            "tokens": self.tokens,
            "reports": self.reports,
            "notifications": self.notifications,
            "generations": self.generations,
            "delays": self.delays,
        }


def of(tokens: Iterable[Listed], reports: Iterable[Mapping[str, Any]], first: int, last: int) -> Numbers:
    """Of the days from `first` to `last`."""
    issued, received, told, generations, delays = (Counter[int]() for _ in range(5))
    tested: dict[str, int] = {}
    for token in tokens:
        day = keydays.day_at(token.issued)
        issued[day] += 1
        if token.case:
            tested[token.case] = day
    for report in reports:
        day = keydays.day_at(report["received"])
        if not first <= day <= last:
            continue
        received[day] += 1
        generations[min(int(report["generation"]), _MAX_GENERATION)] += 1
        effect = report.get("effect")
        if effect is None or not effect["notifications"]:
            continue
        told[int(effect["day"])] += int(effect["notifications"])
        if report["generation"] == 0 and report["case"] in tested:
            delays[max(0, int(effect["day"]) - tested[report["case"]])] += 1
    days = range(first, last + 1)
    return Numbers(
        _rows(issued, days), _rows(received, days), _rows(told, days),
        _rows(generations, range(max(generations, default=0) + 1)), _rows(delays, range(max(delays, default=0) + 1)),
    )  # fmt: skip


def _rows(counts: Mapping[int, int], names: Iterable[int]) -> list[Row]:
    return [Row(name, counts[name] if counts[name] >= LEAST else None) for name in names]


def as_csv(numbers: Numbers) -> str:
    """All of it: table, name (of days the number since 1970), number, empty where that is below ten."""
    lines = ["table,name,number"]
    for table, rows in numbers.tables().items():
        lines += [f"{table},{row.name},{'' if row.number is None else row.number}" for row in rows]
    return "\r\n".join(lines) + "\r\n"
