"""Virtual time in lock-step: it moves only when every badge is idle, straight to the next thing that happens.

Keeps the file that ANONTRACE_CLOCK names (anontrace.clock) up to date. Knows nothing about radio.
"""

import asyncio
import heapq
import mmap
import struct
from collections.abc import Callable
from pathlib import Path

SECOND = 1_000_000  # virtual time is counted in microseconds
_SETTLE_ROUNDS = 8  # rounds of the event loop without radio activity after which callbacks have died down
_MAX_LAG = 0.25  # real seconds by which virtual time may trail before it gives up catching up
_REFRESH = 0.05  # real seconds between updates of an otherwise uneventful clock


class Timer:
    """A callback at a virtual time; cancel() makes it not happen."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Forget the callback."""
        self.callback = None


class Clock:
    """Virtual microseconds since `start` (unix seconds). Holds until told to run."""

    def __init__(self, start: float, file: Path | None = None) -> None:
        self.start = start
        self.now = 0
        self._timers: list[tuple[int, int, Timer]] = []
        self._serial = 0
        self._running = 0
        self._settle = 0
        self._scheduled = False
        self._in_pump = False
        self._scale = 0.0
        self._talking_scale = 0.0
        self._talking = 0
        self.target: int | None = None  # where a run_until under way will end
        self._reached: asyncio.Future[None] | None = None
        self._anchor = (0.0, 0)
        self._alarm: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._map: mmap.mmap | None = None
        if file is not None:
            file.write_bytes(struct.pack("<d", start))
            with file.open("r+b") as handle:
                self._map = mmap.mmap(handle.fileno(), 8)

    @property
    def unix(self) -> float:
        """Simulated unix time in seconds."""
        return self.start + self.now / SECOND

    def close(self) -> None:
        """Stop for good."""
        self._scheduled = True
        if self._alarm is not None:
            self._alarm.cancel()
        if self._map is not None:
            self._map.close()
            self._map = None

    def at(self, time: int, callback: Callable[[], None]) -> Timer:
        """Call at virtual time `time` (not before now)."""
        timer = Timer(callback)
        self._serial += 1
        heapq.heappush(self._timers, (max(time, self.now), self._serial, timer))
        if not self._scheduled and not self._in_pump:
            self.kick()
        return timer

    def after(self, delay: int, callback: Callable[[], None]) -> Timer:
        """Call in `delay` virtual microseconds."""
        return self.at(self.now + delay, callback)

    def begin(self) -> None:
        """Somebody started to work: time stands until end()."""
        self._running += 1

    def end(self) -> None:
        """The counterpart of begin()."""
        self._running -= 1
        if not self._running and not self._scheduled and not self._in_pump:
            self._pump()

    def activity(self) -> None:
        """Callbacks of the event loop are at work: time stands until they have died down."""
        self._settle = _SETTLE_ROUNDS
        if not self._scheduled:
            self.kick()

    def kick(self) -> None:
        """Look soon whether time can move."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._on_kick)

    def catch_up(self) -> None:
        """Something came from outside: bring virtual time up to what it should be by now."""
        if not self._scheduled and not self._in_pump:
            self._pump()

    # Modes

    def hold(self) -> None:
        """Let time stand (events of this very instant still happen)."""
        self.realtime(0)

    def realtime(self, scale: float = 1.0, talking: float | None = None) -> None:
        """Let time pass at `scale` times real time; at `talking` times while a companion is connected, if given."""
        self._scale = scale
        self._talking_scale = scale if talking is None else talking
        self._re_anchor()
        self.kick()

    def talk(self, links: int) -> None:
        """Companions gained (+1) or lost (-1) connections."""
        self._talking += links
        self._re_anchor()

    async def run_until(self, unix: float) -> None:
        """Let time pass as fast as the badges can, up to `unix`; afterwards the mode is what it was."""
        target = round((unix - self.start) * SECOND)
        if target < self.now:
            raise ValueError(f"the clock is {(self.now - target) / SECOND:.3f} s past that time")
        if self._reached is not None:
            raise RuntimeError("run_until is already under way")
        self.target = target
        self._reached = self._loop.create_future()
        self.kick()
        try:
            await self._reached
        finally:
            self.target = self._reached = None
            self._re_anchor()
            self.kick()

    def fail(self, error: Exception) -> None:
        """Make a run_until under way raise `error`."""
        if self._reached is not None and not self._reached.done():
            self._reached.set_exception(error)

    # Moving

    @property
    def _rate(self) -> float:
        return self._talking_scale if self._talking else self._scale

    def _re_anchor(self) -> None:
        self._anchor = (self._loop.time(), self.now)

    def _limit(self) -> int:
        if self.target is not None:
            return self.target
        rate = self._rate
        if not rate:
            return self.now
        real, virtual = self._anchor
        limit = virtual + int((self._loop.time() - real) * rate * SECOND)
        furthest = self.now + int(_MAX_LAG * rate * SECOND)
        if limit > furthest:
            limit = furthest
            self._anchor = (self._loop.time(), limit)
        return max(limit, self.now)

    def _set(self, now: int) -> None:
        self.now = now
        if self._map is not None:
            struct.pack_into("<d", self._map, 0, self.start + now / SECOND)

    def _on_kick(self) -> None:
        self._scheduled = False
        self._pump()

    def _pump(self) -> None:
        if self._running or (self._reached is not None and self._reached.done()):
            return
        if self._settle:
            self._settle -= 1
            self.kick()
            return
        self._in_pump = True
        try:
            limit = self._limit()
            timers = self._timers
            while timers and timers[0][0] <= limit:
                due = timers[0][0]
                if due > self.now:
                    self._set(due)
                while timers and timers[0][0] <= due:
                    timer = heapq.heappop(timers)[2]
                    if timer.callback is not None:
                        self._call(timer.callback)
                if self._running:
                    return
                if self._settle:
                    self.kick()
                    return
            if limit > self.now:
                self._set(limit)
        finally:
            self._in_pump = False
        if self._reached is not None:
            self._reached.set_result(None)
        elif self._rate:
            self._set_alarm()

    def _call(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception as error:
            if self._reached is None:
                raise
            self.fail(error)  # run_until would wait for ever

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        delay = _REFRESH
        if self._timers:
            delay = min(delay, (self._timers[0][0] - self.now) / SECOND / self._rate)
        self._alarm = self._loop.call_later(max(delay, 0.0), self.kick)
