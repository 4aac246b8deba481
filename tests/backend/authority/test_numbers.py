"""Rules and numbers: what is computed of exposures before anybody is told, and that nothing below ten is shown."""

from typing import Any

import pytest
from anontrace.backend.authority import numbers, rules
from anontrace.backend.authority.numbers import LEAST, Row
from anontrace.backend.authority.register import Listed, State
from anontrace.backend.authority.rules import Rule

DAY = 20_000


def exposure(number: int, minutes: float = 5.0, attenuation: int = 60, day: int = DAY) -> dict[str, Any]:
    return {"id": number, "minutes": minutes, "attenuation": attenuation, "day": day, "verified": True}


def test_a_rule_takes_who_was_near_enough_on_an_infectious_day_with_weight_enough() -> None:
    near, far, early = exposure(1, 5, 50), exposure(2, 5, 70), exposure(3, 5, 50, DAY - 5)
    everybody = [near, far, early]
    for rule, taken in (
        (Rule(), [1, 2, 3]),
        (Rule(attenuation=60), [1, 3]),
        (Rule(onset=DAY), [1, 2]),
        (Rule(onset=DAY, before=5), [1, 2, 3]),
        (Rule(onset=DAY - 20, after=10), []),
        (Rule(far_weight=0), [1, 3]),
        (Rule(far_weight=50, least=3), [1, 3]),
        (Rule(far_weight=50, least=2.5), [1, 2, 3]),
        (Rule(day_weights={DAY - 5: 0}), [1, 2]),
    ):
        assert rules.effect(rule, everybody).ids == taken, rule
    assert Rule(attenuation=60, minutes=3).is_plain
    assert not any(each.is_plain for each in (Rule(onset=DAY), Rule(far_weight=0), Rule(least=1)))


def test_no_more_people_can_meet_a_rule_than_there_are_minutes_or_exposures() -> None:
    half_an_hour = [exposure(number) for number in range(6)]
    for minutes, people in ((0, 6), (1, 6), (5, 6), (10, 3), (15, 2), (30, 1), (31, 0)):
        assert rules.effect(Rule(minutes=minutes), half_an_hour).people == people
    curve = rules.by_minutes(Rule(), half_an_hour)
    assert [y for _, y in curve] == sorted((y for _, y in curve), reverse=True)
    by_attenuation = rules.by_attenuation(Rule(), [exposure(1, attenuation=50), exposure(2, attenuation=52)])
    assert by_attenuation == [(49.0, 0.0), (50.0, 1.0), (51.0, 1.0), (52.0, 2.0)]
    assert rules.by_attenuation(Rule(), []) == [(0.0, 0.0)]


@pytest.mark.parametrize("count", [0, 1, LEAST - 1, LEAST, LEAST + 5])
def test_nothing_below_ten_is_told(count: int) -> None:
    tokens = [
        Listed(f"{n:032x}", "U07.1", DAY * 86400, DAY * 86400, "tess", "City", "", State.DECIDED, f"{n:032x}")
        for n in range(count)
    ]
    reports = [
        {
            "case": f"{n:032x}", "generation": 0, "received": (DAY + 1) * 86400,
            "effect": {"day": DAY + 2, "notifications": 1},
        }
        for n in range(count)
    ]  # fmt: skip
    found = numbers.of(tokens, reports, DAY, DAY + 3)
    shown = count if count >= LEAST else None
    assert found.tokens[0] == Row(DAY, shown)
    assert (found.reports[1].number, found.notifications[2].number) == (shown, shown)
    assert found.generations[0].number == shown
    assert [row.number for row in found.delays][-1:] == ([shown] if count else [None])
    text = numbers.as_csv(found)
    assert all(cell == "" or int(cell) >= LEAST for cell in (line.split(",")[2] for line in text.splitlines()[1:]))
