"""Unwrapping what has arrived, all of it at once: eight messages cost little more than two where X25519 goes eight at a
time.

Nothing waits for more to come: a batch is what came in the same turn of the event loop, or while the batch before it
was computed. Never stores, and knows no keys but those it is handed.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from anontrace.mixnet import packet
from anontrace.mixnet.packet import Unwrapped

FEW = 8  # messages; to hand so few to a thread costs about as much as to unwrap them
MANY = 256  # messages, unless one request has more; the next batch begins after so many


@dataclass(slots=True)
class _Request:
    keys: Sequence[tuple[bytes, bytes]] = field(repr=False)
    messages: Sequence[bytes] = field(repr=False)
    results: asyncio.Future[list[Unwrapped]]


class Unwrapping:
    """One batch at a time; what comes meanwhile is the next one."""

    def __init__(self) -> None:
        self._arrived: list[_Request] = []
        self._worker: asyncio.Task[None] | None = None

    async def unwrap(self, keys: Sequence[tuple[bytes, bytes]], messages: Sequence[bytes]) -> list[Unwrapped]:
        """As `packet.unwrap_many`, whoever else asks at the same time."""
        request = _Request(keys, messages, asyncio.get_running_loop().create_future())
        self._arrived.append(request)
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return await request.results

    async def _work(self) -> None:
        batch: list[_Request] = []
        try:
            while self._arrived:
                batch = self._next()
                keys = [each for request in batch for each in request.keys]
                messages = [each for request in batch for each in request.messages]
                if len(messages) <= FEW:
                    results = packet.unwrap_many(keys, messages)
                else:
                    results = await asyncio.to_thread(packet.unwrap_many, keys, messages)
                begin = 0
                for request in batch:
                    end = begin + len(request.messages)
                    if not request.results.done():  # else nobody waits any more
                        request.results.set_result(results[begin:end])
                    begin = end
        except asyncio.CancelledError:  # the server stops: whoever waits is told, and nothing begins
            for request in (*batch, *self._arrived):
                request.results.cancel()
            self._arrived.clear()
            raise
        except Exception as error:
            for request in batch:
                if not request.results.done():
                    request.results.set_exception(error)
        finally:
            self._worker = asyncio.create_task(self._work()) if self._arrived else None

    def _next(self) -> list[_Request]:
        self._arrived = [request for request in self._arrived if not request.results.done()]  # who still waits
        count = size = 0
        for request in self._arrived:
            size += len(request.messages)
            if count and size > MANY:
                break
            count += 1
        batch, self._arrived = self._arrived[:count], self._arrived[count:]
        return batch
