"""Work that a server does by itself: loops that outlive their errors, and the draining of delay queues.

Queue times are real time, since what they space out travels over real sockets; everything dated uses anontrace.clock.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from .errors import BackendError, PeerError, StoreError
from .store import Store

_log = logging.getLogger("anontrace.backend")

_FIRST_BACK_OFF = 0.25
_MAX_BACK_OFF = 60.0
_MAX_IDLE = 5.0
_HELD_SECONDS = 0.5
_LEASE = 30.0  # renewed while a handler is at work: so long what a crashed worker had in hand waits for another
_LATE_SECONDS = 10.0  # between two looks for what is due too late
_LATE_AT_ONCE = 1000
_MEANS, _MAX_WAIT = 50, 600.0  # nothing is put off for longer than so many mean delays, and these seconds
_FAILURES_PER_LINE = 10  # of one kind in a row: a dead peer must not fill the log

_random = random.SystemRandom()

Handler = Callable[[Sequence[bytes]], Awaitable[None]]


def back_off(failures: int, at_least: float | None = None) -> float:
    """Seconds to wait after that many failures in a row: doubling, randomised so that senders do not march in step."""
    longest = min(_MAX_BACK_OFF, _FIRST_BACK_OFF * 2.0 ** min(failures, 12))
    return max(random.uniform(0.5, 1.0) * longest, at_least or 0.0)  # noqa: S311  (spreads load, guards nothing)


class Background:
    """The tasks of one server. A task that ends with an error is logged by its kind and started again."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.create_task(self._keep(what, work), name=f"{self._name}: {what}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            try:
                await work()
                return
            except BackendError as error:
                if failures % _FAILURES_PER_LINE == 0:
                    _log.warning("%s: %s: %s; trying again", self._name, what, error)
            except Exception as error:
                # Only the kind: the text of a foreign exception may quote what it choked on.
                _log.error("%s: %s: %s", self._name, what, type(error).__name__, exc_info=_log.isEnabledFor(10))
            failures = 0 if time.monotonic() - began > _MAX_BACK_OFF else failures + 1
            await asyncio.sleep(back_off(failures))

    async def stop(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


class Drain:
    """Hands the due entries of one queue to a handler, at most `batch` at once, forgetting them when it returns.

    They are its own for as long as that takes. When the handler raises PeerError or StoreError they come again after a
    back-off, so handlers must be repeatable. `held`: whether entries are to be left alone now; `pause` gives seconds to
    rest after each batch; `gather` are seconds to rest after one that was not full, so that entries that become due one
    by one are handed over together; `delay` is the mean of what entries are put off by at random: one that is due much
    later was queued while the system's clock was ahead, and is put off anew.
    """

    def __init__(
        self,
        store: Store,
        queue: str,
        handler: Handler,
        batch: int,
        held: Callable[[], bool],
        pause: Callable[[], float] | None = None,
        gather: float = 0.0,
        lease: float = _LEASE,
        delay: float = 0.0,
    ) -> None:
        self._store = store
        self.queue = queue
        self._handler = handler
        self._batch = batch
        self._held = held
        self._pause = pause
        self._gather = gather
        self._lease = lease
        self._delay = delay
        self._looked = -_LATE_SECONDS
        self._wake = asyncio.Event()
        self._failures = 0

    @property
    def is_stuck(self) -> bool:
        """Whether the last batch could not be handled."""
        return self._failures > 0

    def wake(self) -> None:
        """Something was put into the queue."""
        self._wake.set()

    async def run(self) -> None:
        while True:
            if self._held():
                await asyncio.sleep(_HELD_SECONDS)
                continue
            self._wake.clear()
            await self._take_up_late()
            taking = await self._store.take(self.queue, time.time(), self._batch, self._lease)
            if not taking.entries:
                idle = _MAX_IDLE if taking.next_due is None else max(0.0, taking.next_due - time.time())
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(idle, _MAX_IDLE)):
                        await self._wake.wait()
                continue
            ids = [entry.id for entry in taking.entries]
            try:
                async with self._kept(ids):
                    await self._handler([entry.item for entry in taking.entries])
            except BackendError as error:
                wait = back_off(self._failures, error.retry_after if isinstance(error, PeerError) else None)
                if self._failures % _FAILURES_PER_LINE == 0:
                    _log.warning("%s; trying again", error)
                self._failures += 1
                await self._store.again(self.queue, ids, time.time() + wait)
                await asyncio.sleep(wait)
                continue
            self._failures = 0
            await self._store.done(self.queue, ids)
            if self._pause is not None:
                await asyncio.sleep(self._pause())
            if self._gather and len(ids) < self._batch:
                await asyncio.sleep(self._gather)

    async def _take_up_late(self) -> None:
        if time.monotonic() - self._looked < _LATE_SECONDS:
            return
        latest = time.time() + _MEANS * self._delay + _MAX_WAIT
        while ids := await self._store.late(self.queue, latest, _LATE_AT_ONCE):
            _log.warning(
                "%d entries of the queue %s were due only at a time that a wrong clock had shown", len(ids), self.queue
            )
            for each in [[identity] for identity in ids] if self._delay else [ids]:
                wait = _random.expovariate(1 / self._delay) if self._delay else 0.0
                await self._store.again(self.queue, each, time.time() + wait)
        self._looked = time.monotonic()

    @asynccontextmanager
    async def _kept(self, ids: Sequence[bytes]) -> AsyncIterator[None]:
        """Renew the lease of entries all the while."""

        async def renew() -> None:
            while True:
                await asyncio.sleep(self._lease / 3)
                with suppress(StoreError):
                    await self._store.renew(self.queue, ids, time.time() + self._lease)

        renewing = asyncio.create_task(renew())
        try:
            yield
        finally:
            renewing.cancel()
