"""Reading for many at once: what is asked for in one turn of the event loop, or while the reads before it are under
way, is read by one call in one thread, since handing a read over costs more than the read.

Nothing waits for more to come. Who asks for many keys is read for alone, so that the others need not wait for it. Never
interprets values.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field

from anontrace.backend.errors import StoreError

from .writer import failed

FEW = 8  # keys; who asks for more is read for alone
_MOST = 512  # keys of one call

_Values = list[bytes | None]


@dataclass(slots=True)
class _Request:
    table: str
    keys: Sequence[bytes] = field(repr=False)
    values: "asyncio.Future[_Values]"


_Found = list[tuple[_Request, _Values | None, StoreError | None]]


class Reads:
    """`read` gives the values of a table's keys, in their order, from any thread of `threads`."""

    def __init__(self, threads: Executor, read: Callable[[str, Sequence[bytes]], _Values]) -> None:
        self._threads = threads
        self._read = read
        self._waiting: list[_Request] = []
        self._is_under_way = False

    def get(self, table: str, keys: Sequence[bytes]) -> "asyncio.Future[_Values]":
        """The values in the order of the keys. StoreError if they cannot be read. For the event loop."""
        loop = asyncio.get_running_loop()
        request = _Request(table, keys, loop.create_future())
        if len(keys) > FEW:
            self._submit([request], self._tell)
        else:
            self._waiting.append(request)
            if not self._is_under_way:
                self._is_under_way = True
                loop.call_soon(self._begin)
        return request.values

    def _begin(self) -> None:
        """Have what waits read, up to a number of keys."""
        batch, self._waiting = self._waiting[: _MOST // FEW], self._waiting[_MOST // FEW :]
        self._is_under_way = bool(batch)
        if batch:
            self._submit(batch, self._end)

    def _submit(self, batch: Sequence[_Request], then: Callable[[_Found], None]) -> None:
        try:
            self._threads.submit(self._work, asyncio.get_running_loop(), batch, then)
        except RuntimeError as error:  # the store is closed
            then([(each, None, failed(error)) for each in batch])

    def _work(self, loop: asyncio.AbstractEventLoop, batch: Sequence[_Request], then: Callable[[_Found], None]) -> None:
        """In a thread."""
        by_table: dict[str, list[_Request]] = {}
        for request in batch:
            if not request.values.cancelled():
                by_table.setdefault(request.table, []).append(request)
        found: _Found = []
        for table, requests in by_table.items():
            found += self._found(table, requests)
        with suppress(RuntimeError):  # the event loop is closed: nobody waits any more
            loop.call_soon_threadsafe(then, found)

    def _found(self, table: str, requests: Sequence[_Request]) -> _Found:
        """What is read for some of a table. If that fails, each is read for alone: damage is told of only to whom it
        concerns."""
        try:
            values = iter(self._read(table, [key for request in requests for key in request.keys]))
        except Exception as error:
            if len(requests) > 1:
                return [each for request in requests for each in self._found(table, [request])]
            return [(requests[0], None, failed(error))]
        return [(request, [next(values) for _ in request.keys], None) for request in requests]

    def _end(self, found: _Found) -> None:
        self._tell(found)
        self._begin()

    @staticmethod
    def _tell(found: _Found) -> None:
        for request, values, error in found:
            if request.values.done():  # cancelled
                continue
            if error is not None:
                request.values.set_exception(error)
            elif values is not None:
                request.values.set_result(values)
