"""How many wearers there are, from the addresses that are registered: a wearer has one for each slot, 288 a day.

Counted by day in the store, a minute's at a time, so that no message costs anything; what a process had not written
down yet when it was killed is missing. The median of a week is used, of whole days: neither the first registration of
several days, nor a flood of made-up addresses that ends within half a week, makes a difference.
"""

from statistics import median

from anontrace_shared.slots import SLOTS_PER_DAY

from anontrace.backend.errors import StoreError
from anontrace.backend.observing.counters import Counters
from anontrace.backend.store import Store

REGISTERED = "swap_new"  # the counter of new nyms
DAYS = 7
_TABLE = "registered"
_MAX_ATTEMPTS = 64


class Wearers:
    """The registrations of this nymserver, which this process counts by `counters` as all of its processes do."""

    def __init__(self, store: Store, counters: Counters) -> None:
        self._store = store
        self._counters = counters
        self._noted = 0

    async def note(self, today: int) -> None:
        """Write down what came since the last time."""
        now = self._counters.snapshot().get(REGISTERED, 0)
        if now == self._noted:
            return
        key = _key(today)
        for _ in range(_MAX_ATTEMPTS):
            (value,) = await self._store.get_many(_TABLE, [key])
            new = b"%d" % (int(value or 0) + now - self._noted)
            if await self._store.compare_and_swap(_TABLE, key, value, new, today + 2 * DAYS):
                self._noted = now
                return
        raise StoreError("the number of registrations changed under every attempt to add to it")

    async def number(self, today: int) -> int | None:
        """The wearers of the week before today; None if no day of it is known."""
        values = await self._store.get_many(_TABLE, [_key(day) for day in range(today - DAYS, today)])
        counts = [int(value) for value in values if value is not None]
        return round(median(counts) / SLOTS_PER_DAY) if counts else None


def _key(day: int) -> bytes:
    return day.to_bytes(4, "big")
