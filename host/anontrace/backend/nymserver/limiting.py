"""What a nymserver does about its limit by itself: lets through what waits, watches how chains grow, counts wearers.

Tells operators of a day that is full and of a chain that grows: in the log, once each time, and by numbers.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from anontrace import clock
from anontrace.mixnet import keydays

from . import growth
from .limit import Limit
from .records import LimitStanding
from .wearers import Wearers

_log = logging.getLogger("anontrace.backend")

_LOOK_SECONDS = 30.0
_SWEEP_SECONDS = 3600.0


class Limiting:
    """The background work of a nymserver of this name. `held`: whether its clock is wrong, so that nothing is to be
    dated."""

    def __init__(self, name: str, limit: Limit, wearers: Wearers, held: Callable[[], bool]) -> None:
        self._name = name
        self._limit = limit
        self._wearers = wearers
        self._held = held
        self._woken = asyncio.Event()
        self._swept = float("-inf")
        self._standing: LimitStanding | None = None
        self._full_on = 0
        self._alarms: dict[int, float] = {}

    def wake(self) -> None:
        """Something was decided."""
        self._woken.set()

    async def run(self) -> None:
        while True:
            if not self._held():
                await self.look()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._woken.wait()
            self._woken.clear()

    async def look(self) -> None:
        """Once."""
        await self._wearers.note(keydays.day_at(clock.now()))
        await self._limit.let_through()
        if time.monotonic() - self._swept > _SWEEP_SECONDS:
            await self._limit.sweep()
            self._swept = time.monotonic()
        self._standing = await self._limit.standing(with_queue=False)
        self._say(self._standing)

    def _say(self, now: LimitStanding) -> None:
        if now.waiting and now.used >= now.a_day and now.day != self._full_on:
            self._full_on = now.day
            _log.warning(
                "%s: the limit of %d notifications a day is reached; %d wait: see `anontrace-server authority queue`",
                self._name, now.a_day, now.waiting,
            )  # fmt: skip
        alarms = {each.generation: each.times for each in now.alarms}
        for generation, times in alarms.items():
            if generation not in self._alarms:
                _log.warning(
                    "%s: chains grow: in the cases of the last %d days generation %d was told %.1f times as often as"
                    " generation %d, more than the %.1f that are set: see `anontrace-server authority queue`",
                    self._name, growth.DAYS, generation, times, generation - 1, now.growth,
                )  # fmt: skip
        for generation in self._alarms.keys() - alarms.keys():
            _log.info("%s: generation %d no longer grows", self._name, generation)
        self._alarms = alarms

    def status(self) -> dict[str, Any]:
        """As it was at the last look."""
        now = self._standing
        if now is None:
            return {}
        shown = now.model_dump(include={"day", "a_day", "used", "waiting", "growth", "alarms"})
        return {"limit": shown}

    def gauges(self) -> Mapping[str, float]:
        """The same for Prometheus."""
        now = self._standing
        if now is None:
            return {}
        times = max((each.times for each in now.alarms), default=0.0)
        return {
            "day_limit": now.a_day,
            "day_limit_used": now.used,
            "growth_limit": now.growth,
            "growth_alarm": times,
        }
