"""The mailboxes: append, look into them, and gone 30 days after an address was first seen.

An address is whatever 32 bytes a message named; nobody owns one, and the server never learns what a payload says. What
arrives in mailboxes of one group lies in one list, kept in pages of a fixed number of messages.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

from anontrace import clock
from anontrace.backend.mix.items import Arrived
from anontrace.backend.observing.counters import Counters
from anontrace.backend.store import Store
from anontrace.mixnet import keydays
from anontrace.mixnet.header import ALONE, GROUPED
from anontrace.mixnet.sizes import BOX, GROUP
from anontrace.wire import look
from anontrace.wire.look import Answer, Group, Look

KEEP_DAYS = 30
TABLE = "mailboxes"
# A page of a group: its address (16), number (2, big-endian); messages with their digests (249 each), or without them
# (243), as older servers stored them.
GROUPS = "groups"
PAGE = 32  # messages in one; an append writes a page anew
_AT_ONCE = 256  # lists that are read together: 16 MB, if all are full
_READERS = 4  # looks that are answered at one time; one at full lists waits for room, not for memory
_MAX_PAGES_KNOWN = 1 << 16  # groups of which the page that was written last is remembered
_NO_BOX = bytes(BOX)  # of a mailbox of its own


class Mailboxes:
    """All mailboxes of this server. `quota`, `group_quota`: payloads that one address, or one group, holds at most."""

    def __init__(self, store: Store, counters: Counters, quota: int, group_quota: int) -> None:
        self._store = store
        self._counters = counters
        self._counters.declare("mailbox_stored", "mailbox_full", "looks")
        self._quota = quota
        self._pages = -(-group_quota // PAGE)
        self._reading = asyncio.Semaphore(_READERS)
        self._page_of: OrderedDict[bytes, int] = OrderedDict()  # where a group goes on; only ever too low

    async def deliver(self, arrived: Sequence[Arrived]) -> None:
        """Append each payload to its mailbox or group; what a full one does not take is dropped and counted."""
        expires = keydays.day_at(clock.now()) + KEEP_DAYS
        alone = [(each.mailbox, each.payload) for each in arrived if each.version == ALONE]
        kept = sum(await self._store.append_many(TABLE, alone, self._quota, expires)) if alone else 0
        grouped = [
            (each.mailbox[:GROUP], look.with_digest(each.mailbox[GROUP : GROUP + BOX] + each.payload))
            for each in arrived
            if each.version == GROUPED
        ]
        kept += await self._append(grouped, expires)
        self._counters.add("mailbox_stored", kept)
        self._counters.add("mailbox_full", len(alone) + len(grouped) - kept)
        self._counters.add("mailbox_unknown", len(arrived) - len(alone) - len(grouped))

    async def _append(self, waiting: list[tuple[bytes, bytes]], expires: int) -> int:
        """Append messages to their groups, on the first page that takes each; how many were taken."""
        count = 0
        while waiting := [each for each in waiting if self._page_of.get(each[0], 0) < self._pages]:
            items = [(_key(group, self._page_of.get(group, 0)), row) for group, row in waiting]
            taken = await self._store.append_many(GROUPS, items, PAGE, expires)
            count += sum(taken)
            waiting = [each for each, was_taken in zip(waiting, taken, strict=True) if not was_taken]
            for group in {group for group, _ in waiting}:
                self._turn_page(group)
        return count

    def _turn_page(self, group: bytes) -> None:
        self._page_of[group] = self._page_of.pop(group, 0) + 1
        while len(self._page_of) > _MAX_PAGES_KNOWN:
            self._page_of.popitem(last=False)

    async def answer(self, asked: Look) -> Answer:
        """What there is for a look."""
        async with self._reading:
            plain = await self._alone(asked.old, asked.plain)
            told, messages = await self._groups(asked)
            added = await asyncio.to_thread(look.add_up_known, asked, messages)
        for place, rows in enumerate(messages, look.FIRST_GROUP):
            plain += [(place, row[: look.ROW]) for row in rows[: asked.plain - len(plain)]]
        self._counters.add("looks")
        return Answer(told, added, plain)

    async def _alone(self, asked: Sequence[tuple[bytes, int]], room: int) -> list[tuple[int, bytes]]:
        """What mailboxes of their own hold beyond what was fetched, by place, as much as there is room for."""
        found: list[tuple[int, bytes]] = []
        for start in range(0, len(asked), _AT_ONCE):
            if len(found) >= room:
                break
            part = asked[start : start + _AT_ONCE]
            lists = await self._store.get_lists(TABLE, [address for address, _ in part])
            for place, ((_, skip), payloads) in enumerate(zip(part, lists, strict=True), start):
                found += [(place, _NO_BOX + each) for each in payloads[skip : skip + room - len(found)]]
        return found

    async def _groups(self, asked: Look) -> tuple[list[list[bytes]], list[list[bytes]]]:
        """For each group the digests that are told, and the messages that sums are made of, with their digests."""
        room = min(asked.digests, look.MAX_ROWS - sum(each.known - each.start for each in asked.groups))
        told, messages = [], []
        for group, rows in zip(asked.groups, await self._rows(asked.groups, room), strict=True):
            fresh = rows[group.known - group.start :][:room]
            room -= len(fresh)
            told.append([each[look.ROW :] for each in fresh])
            messages.append(rows[: group.known - group.start + len(fresh)])
        return told, messages

    async def _rows(self, groups: Sequence[Group], room: int) -> list[list[bytes]]:
        """The messages of groups, with their digests, from where each begins on, as far as they are known, and `room`
        more if there are."""
        rows: list[list[bytes]] = [[] for _ in groups]
        wanted = [
            (n, page) for n, each in enumerate(groups) for page in range(each.start // PAGE, each.known // PAGE + 1)
        ]
        while wanted:
            full = []
            for start in range(0, len(wanted), _AT_ONCE):
                part = wanted[start : start + _AT_ONCE]
                keys = [_key(groups[n].address, page) for n, page in part]
                for (n, page), stored in zip(part, await self._store.get_lists(GROUPS, keys), strict=True):
                    found = [each if len(each) > look.ROW else look.with_digest(each) for each in stored]
                    rows[n] += found[groups[n].start % PAGE :] if page == groups[n].start // PAGE else found
                    if len(found) == PAGE and page >= groups[n].known // PAGE:
                        full.append((n, page + 1))
            # Each has one page more as long as there is one and it may be told of.
            wanted = [(n, page) for n, page in full if (page * PAGE) - groups[n].known < room]
        return rows


def _key(group: bytes, page: int) -> bytes:
    return group + page.to_bytes(2)
