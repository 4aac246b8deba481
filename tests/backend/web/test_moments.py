"""An answer leaves at a moment that was drawn before the work began, however long that took."""

import asyncio
from random import Random
from types import SimpleNamespace

import pytest
from anontrace.backend.web import moments
from anontrace.backend.web.moments import Moments


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which passes while somebody works or waits."""
    found = [1000.0]

    async def sleep(seconds: float) -> None:
        found[0] += seconds

    monkeypatch.setattr(moments, "time", SimpleNamespace(monotonic=lambda: found[0]))
    monkeypatch.setattr(moments, "asyncio", SimpleNamespace(sleep=sleep))
    return found


def left(now: list[float], delay: float, work: float, seed: int) -> float:
    """After how many seconds an answer leaves."""

    async def working() -> str:
        now[0] += work
        return "done"

    began, here = now[0], Moments(delay)
    here._random = Random(seed)  # type: ignore[assignment]
    assert asyncio.run(here.answer(working())) == "done"
    return now[0] - began


def test_the_moment_does_not_depend_on_the_work(now: list[float]) -> None:
    for seed in range(20):
        moments_left = {round(left(now, 300.0, work, seed), 6) for work in (0.0, 0.001, 0.1, 0.24)}
        assert len(moments_left) == 1 and 0.25 <= min(moments_left) <= 0.75
    # What takes longer leaves at a later moment that was drawn, not as soon as it is done.
    assert len({round(left(now, 300.0, work, 1), 6) for work in (0.76, 0.8, 0.85)}) == 1


def test_a_network_without_delays_does_not_wait(now: list[float]) -> None:
    assert left(now, 0.0, 0.125, 1) == 0.125
