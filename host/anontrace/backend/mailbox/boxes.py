"""The mailboxes: append, fetch, and gone 30 days after an address was first seen.

An address is whatever 32 bytes a message named; nobody owns one, and the server never learns what a payload says.
"""

import asyncio
from collections.abc import Sequence

from anontrace import clock
from anontrace.backend.counters import Counters
from anontrace.backend.mix.items import Arrived
from anontrace.backend.store import Store
from anontrace.mixnet import keydays
from anontrace.wire.poll import MOST_ROOM

KEEP_DAYS = 30
TABLE = "mailboxes"
_AT_ONCE = 256  # mailboxes that are read together: 16 MB, if all are full
_READERS = 4  # polls that are answered at one time; a poll of 1000 full mailboxes waits for room, not for memory


class Mailboxes:
    """All mailboxes of this server. `quota`: payloads that one address holds at most (255: the reach of `skip`)."""

    def __init__(self, store: Store, counters: Counters, quota: int) -> None:
        self._store = store
        self._counters = counters
        self._quota = quota
        self._reading = asyncio.Semaphore(_READERS)

    async def deliver(self, arrived: Sequence[Arrived]) -> None:
        """Append each payload to its mailbox; what a full one does not take is dropped and counted."""
        items = [(each.mailbox, each.payload) for each in arrived]
        expires = keydays.day_at(clock.now()) + KEEP_DAYS
        kept = await self._store.append_many(TABLE, items, self._quota, expires)
        self._counters.add("mailbox_stored", sum(kept))
        self._counters.add("mailbox_full", len(kept) - sum(kept))

    async def fetch(self, asked: Sequence[tuple[bytes, int]], room: int) -> dict[int, list[bytes]]:
        """For each (address, payloads to skip) that has more: what follows, by index, as much as there is room for."""
        found: dict[int, list[bytes]] = {}
        left = room or MOST_ROOM
        async with self._reading:
            for start in range(0, len(asked), _AT_ONCE):
                if not left:
                    break
                part = asked[start : start + _AT_ONCE]
                lists = await self._store.get_lists(TABLE, [address for address, _ in part])
                for index, ((_, skip), payloads) in enumerate(zip(part, lists, strict=True), start):
                    more = payloads[skip : skip + left]
                    if more:
                        found[index] = more
                        left -= len(more)
        self._counters.add("mailboxes_polled", len(asked))
        return found
