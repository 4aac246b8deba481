"""What the soak takes for flat."""

from dataclasses import replace

import pytest

from tools.soak import KINDS, LIMITS, Day, judged, lived

DAY = Day(*(0.4 for _ in KINDS), memory=50_000_000, descriptors=20, files=12, log=0, manifest=1000, data=1_000_000)


def test_a_life_that_stays_as_it_was_is_flat() -> None:
    ratios, failures = judged([DAY] * 60, [DAY] * 60)
    assert failures == []
    assert all(set(each) == set(LIMITS) and set(each.values()) == {1.0} for each in ratios.values())


@pytest.mark.parametrize("what", LIMITS)
def test_whatever_grows_with_the_days_or_the_addresses_fails(what: str) -> None:
    grown = replace(DAY, **{what: getattr(DAY, what) * 3.5 or 5000})
    _, failures = judged([DAY] * 15 + [grown] * 5, [DAY] * 15 + [grown] * 5)
    assert len(failures) == 2
    _, failures = judged([DAY] * 55 + [grown] * 5, [DAY] * 55 + [grown] * 5)
    assert len(failures) == 4
    _, failures = judged([DAY] * 60, [grown] * 60)
    assert len(failures) == 1


def test_a_server_lives_through_its_days() -> None:
    seen: list[int] = []
    days = lived(2, 8, seen.append)
    assert seen == [1, 2]
    assert all(getattr(day, kind) > 0 for day in days[1:] for kind in KINDS)
    assert all(day.memory > 0 and day.files > 3 and day.manifest > 0 for day in days)
    assert days[1].log == 0
