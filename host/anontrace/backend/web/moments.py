"""When answers leave: at random moments that are drawn before anything is looked up.

How much there is for somebody to be read and added up takes milliseconds more or less, and the size of an answer does
not show it; nor should its moment, to who watches the line.
"""

import asyncio
import time
from collections.abc import Awaitable
from random import SystemRandom
from typing import TypeVar

_PART, _MAX_SECONDS = 0.1, 0.5  # of the mix's mean delay: who asks has waited that long anyway
_MIN, _MAX = 0.5, 1.5  # of the mean

_T = TypeVar("_T")


class Moments:
    """`delay`: the mean delay of the mix beside it, seconds."""

    def __init__(self, delay: float) -> None:
        self._mean = min(_PART * delay, _MAX_SECONDS)
        self._random = SystemRandom()

    async def answer(self, work: Awaitable[_T]) -> _T:
        """What the work gives, at a moment that was drawn before; at the next such moment if it is not done by then."""
        leaves = time.monotonic() + self._drawn()
        done = await work
        while self._mean and leaves < time.monotonic():
            leaves += self._drawn()
        await asyncio.sleep(max(leaves - time.monotonic(), 0.0))
        return done

    def _drawn(self) -> float:
        return self._mean * self._random.uniform(_MIN, _MAX)
