"""How much may wait for each next mix: a few that take nothing must not fill the queue for all others. Pure."""

from collections import Counter
from collections.abc import Collection, Mapping

_SHARE = 2  # one next mix, and all that take none together, may have this part of the room


class Room:
    """What of `limit` messages is left at one moment. `waiting`: lengths of the queues; `stuck`: those whose next mix
    takes none."""

    def __init__(self, limit: int, waiting: Mapping[str, int], stuck: Collection[str]) -> None:
        self._share = limit // _SHARE
        self._waiting = Counter(waiting)
        self._stuck = stuck
        self._held_up = sum(waiting.get(queue, 0) for queue in stuck)

    def take(self, queue: str) -> bool:
        """Whether one more message may wait in this queue; it counts from then on."""
        is_stuck = queue in self._stuck
        if (self._held_up if is_stuck else self._waiting[queue]) >= self._share:
            return False
        self._waiting[queue] += 1
        self._held_up += is_stuck
        return True
