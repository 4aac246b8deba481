"""The standard set of `make simulate`: what docs/epidemic.md takes its figures from."""

from pathlib import Path

from .disease import Disease
from .experiments import Part
from .scenario import MANUAL, NOTHING, Scenario, Strategy, strategies

_PEOPLE = 20_000
_SEEDS, _SUMMER_SEEDS, _LIST_SEEDS = 6, 3, 12

# Everyday restraint, but no lockdown: an epidemic that grows unless something is done, and can be stopped.
_R = 2.0
_COMPARED = ("nothing", "manual", "1", "1-off", "1-low", "2", "2-off", "2-low", "3", "3-off")

# England and Wales, the week to 21 July 2021, a thousandth of it. docs/epidemic.md names the sources.
_SUMMER = Scenario(
    people=59_600, days=49, initial=0.01, imports=0, immune=0.68, r=5.08, wearers=0.28, hands_in=0.9, tested=0.55,
    quarantines=0.5,
)  # fmt: skip
_SUMMER_LIMIT = 1500

_LIST = Scenario(days=60, initial=0.02, imports=100.0, wearers=1.0, manual_calls=20.0)


def parts(disease: Disease, contacts: Path | None, seeds: int | None = None) -> list[Part]:
    """All of it; with a recorded list if there is one. `seeds`: how many of each part instead of its own."""

    def numbers(usual: int) -> tuple[int, ...]:
        return tuple(range(1, (seeds or usual) + 1))

    made = Scenario(people=_PEOPLE, r=_R)
    found = [
        Part("strategies", "What is done, and how deep chains go", disease, made, tuple(strategies(_COMPARED)),
             numbers(_SEEDS)),
        Part("rules", "Rules and budgets, at depth 1 if nothing else is said", disease, made, (NOTHING, *_rules()),
             numbers(_SEEDS)),
        Part("summer", "England and Wales in the summer of 2021, a thousandth", disease, _SUMMER, (
            *strategies(["nothing", "1-off", "1"]),
            Strategy(name=f"chain 1, {_SUMMER_LIMIT} a day", limit=_SUMMER_LIMIT),
            *strategies(["2-off", "2"]),
        ), numbers(_SUMMER_SEEDS)),
    ]  # fmt: skip
    if contacts is not None:
        found.append(
            Part("list", "A recorded contact list, repeated over weeks", disease, _LIST,
                 (NOTHING, MANUAL, *strategies(["1", "2", "3"])), numbers(_LIST_SEEDS), contacts)
        )  # fmt: skip
    return found


def _rules() -> tuple[Strategy, ...]:
    return (
        Strategy(name="15 min"),
        Strategy(name="5 min", minutes=5),
        Strategy(name="30 min", minutes=30),
        Strategy(name="60 min", minutes=60),
        Strategy(name="15 min, 63 db", attenuation=63),
        Strategy(name="15 min, 55 db", attenuation=55),
        Strategy(name="15 min, 200 a case", case_budget=200),
        Strategy(name="2 deep, 200 a case", depth=2, case_budget=200),
        Strategy(name="2 deep, 55 db", depth=2, attenuation=55),
    )
