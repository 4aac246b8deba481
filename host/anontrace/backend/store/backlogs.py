"""How long the queues of a shared store are: counted once a second, and corrected by what this process does meanwhile.

Admission asks at every request, which must not cost a round trip to every shard.
"""

import asyncio
from collections.abc import Awaitable, Callable

_SECONDS = 1.0


class Backlogs:
    """The last count, and what has changed since by this process."""

    def __init__(self) -> None:
        self._lengths: dict[str, int] = {}
        self._counted = float("-inf")
        self._counting = asyncio.Lock()

    def add(self, queue: str, number: int) -> None:
        """This process has put that many entries in (or, negative, taken them out)."""
        self._lengths[queue] = self._lengths.get(queue, 0) + number

    async def get(self, count: Callable[[], Awaitable[dict[str, int]]]) -> dict[str, int]:
        """The lengths of the queues that are not empty, counted anew when the last count is old."""
        async with self._counting:
            now = asyncio.get_running_loop().time()
            if now - self._counted > _SECONDS:
                self._lengths = await count()
                self._counted = now
        return {queue: length for queue, length in self._lengths.items() if length > 0}
