"""What a rule makes of a report's exposures, before anybody is told: whom it takes, and how many people that can be.

Pure. An exposure is one contact address in one slot of five minutes, and nobody here can tell which are one person's
(docs/design.md, "Minutes are added up by the contact"). So how many people meet a rule of minutes has an upper bound
only: all minutes that are told, divided by the rule's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

WHOLE = 100  # per cent
MAX_WINDOW = 30  # days


@dataclass(frozen=True, slots=True)
class Rule:
    """Minutes and attenuation (dB; None: any). `onset`: the day (number since 1970) on which symptoms began, from which
    `before` and `after` days count as infectious; None: all do. Weights in per cent: of what is nearer than `near` dB,
    of what is farther, of single days. `least`: weighted minutes below which an exposure is left out. `later`: also
    what came after the log was committed at the test; without a commitment that is no question."""

    minutes: int = 15
    attenuation: int | None = None
    onset: int | None = None
    before: int = 2
    after: int = 10
    near: int = 55
    near_weight: int = WHOLE
    far_weight: int = WHOLE
    day_weights: Mapping[int, int] = field(default_factory=dict)
    least: float = 0.0
    later: bool = False

    def is_infectious(self, day: int) -> bool:
        return self.onset is None or self.onset - self.before <= day <= self.onset + self.after

    def weighted(self, exposure: Mapping[str, Any]) -> float:
        """The minutes of an exposure, as this rule weighs them; 0 outside the infectious days."""
        day = int(exposure["day"])
        if not self.is_infectious(day):
            return 0.0
        side = self.near_weight if exposure["attenuation"] <= self.near else self.far_weight
        return float(exposure["minutes"]) * side * self.day_weights.get(day, WHOLE) / WHOLE**2

    def takes(self, exposure: Mapping[str, Any]) -> bool:
        """Whether the contact is told of this exposure."""
        is_near = self.attenuation is None or exposure["attenuation"] <= self.attenuation
        weighted = self.weighted(exposure)
        counts = self.later or exposure.get("committed") is not False
        return counts and is_near and weighted > 0 and weighted >= self.least

    @property
    def is_plain(self) -> bool:
        """Whether minutes and attenuation say all of it, so that no exposure has to be named."""
        weights = (self.near_weight, self.far_weight, *self.day_weights.values())
        return self.onset is None and not self.least and all(weights)


@dataclass(frozen=True, slots=True)
class Effect:
    """What a rule would do: whom of the exposures it takes, their minutes, and how many people can meet it at most."""

    ids: list[int]
    minutes: float
    people: int


def effect(rule: Rule, exposures: Sequence[Mapping[str, Any]]) -> Effect:
    """Of this rule."""
    taken = [each for each in exposures if rule.takes(each)]
    minutes = sum(float(each["minutes"]) for each in taken)
    return Effect([int(each["id"]) for each in taken], minutes, _people(minutes, len(taken), rule.minutes))


def by_minutes(rule: Rule, exposures: Sequence[Mapping[str, Any]], most: int = 60) -> list[tuple[float, float]]:
    """How many people can meet the rule at most, for each number of minutes that it could ask for."""
    taken = [each for each in exposures if rule.takes(each)]
    minutes = sum(float(each["minutes"]) for each in taken)
    return [(float(each), float(_people(minutes, len(taken), each))) for each in range(most + 1)]


def by_attenuation(rule: Rule, exposures: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """How many exposures are told of, for each limit of attenuation."""
    counting = [each for each in exposures if rule.later or each.get("committed") is not False]
    weighted = [(int(each["attenuation"]), rule.weighted(each)) for each in counting]
    there = sorted(value for value, minutes in weighted if minutes > 0 and minutes >= rule.least)
    if not there:
        return [(0.0, 0.0)]
    limits = range(there[0] - 1, there[-1] + 1)
    return [(float(limit), float(sum(value <= limit for value in there))) for limit in limits]


def _people(minutes: float, exposures: int, rule: int) -> int:
    """Each of whom has so many minutes; and as many exposures at least as it has people."""
    return exposures if rule == 0 else min(exposures, int(minutes / rule + 1e-9))
