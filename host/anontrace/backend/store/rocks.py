"""The embedded store: one RocksDB folder, one process. Implements `Store`.

Reads go straight to the database from a few threads; writes through the writing thread. Never interprets values.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from . import queuerows
from .elements import join, split
from .interface import Entry, Put, Taken, Taking
from .partitions import Partitions
from .queues import DelayQueues
from .reads import Reads
from .soundness import as_store_error
from .writer import Changes, Writer, failed

_T = TypeVar("_T")


class RocksStore:
    """A `Store` in a folder. Made by `open`; closed by `close`, after which it is not used again."""

    def __init__(self, partitions: Partitions) -> None:
        self._partitions = partitions
        self._queues = DelayQueues()
        self._find_queued()
        self._readers = ThreadPoolExecutor(2, "store-read")
        self._reads = Reads(self._readers, self._values)
        self._writer = Writer(partitions, self._find_queued)

    def _find_queued(self) -> None:
        """Know of what is queued on disk. After a failed write that may be more than was acknowledged."""
        for key, value in self._partitions.get(queuerows.TABLE, None).rows():
            self._queues.find(*queuerows.split_key(key), queuerows.due(value))

    @classmethod
    async def open(cls, folder: Path) -> "RocksStore":
        """Open or make the database. StoreError if another process has it open, or if it is damaged; then nothing
        was touched."""

        def work() -> RocksStore:
            partitions = Partitions(folder)
            try:
                return cls(partitions)
            except Exception as error:  # rocksdict raises plain Exception
                partitions.close()
                raise as_store_error(error, str(folder)) from error

        return await asyncio.to_thread(work)

    @property
    def fault(self) -> str | None:
        return None  # a folder that cannot be written to can be read; each call says what it finds

    async def _change(
        self,
        work: Callable[[Changes], _T],
        table: str = "",
        keys: Sequence[bytes] = (),
        sync: bool = True,
        alone: bool = False,
    ) -> _T:
        """Have work done that looks at these keys of a table."""
        return await self._writer.call(work, sync, alone, table, keys)

    async def _read(self, work: Callable[[], _T]) -> _T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, work)
        except Exception as error:
            raise failed(error) from error

    # -- tables ------------------------------------------------------------------------------------------------------

    def _values(self, table: str, keys: Sequence[bytes]) -> list[bytes | None]:
        return [None if each is None else each[1] for each in self._partitions.find(table, keys)]

    async def get_many(self, table: str, keys: Sequence[bytes]) -> list[bytes | None]:
        return await self._reads.get(table, keys) if keys else []

    async def put_many(self, table: str, items: Sequence[tuple[bytes, bytes]], expires: int | None = None) -> None:
        def work(changes: Changes) -> None:
            for key, value in items:
                changes.put(table, key, value, expires, changes.find(table, key)[0])

        await self._change(work, table, [key for key, _ in items])

    async def put_if_absent_many(self, table: str, puts: Sequence[Put], expires: int | None = None) -> list[bool]:
        def work(changes: Changes) -> list[bool]:
            stored: list[bool] = []
            entries: list[Entry] = []
            for put in puts:
                absent = changes.find(table, put.key)[0] is None
                if absent:
                    changes.put(table, put.key, put.value, expires, None)
                    if put.then is not None:
                        entries.append(put.then)
                stored.append(absent)
            self._enter(changes, entries)
            return stored

        return await self._change(work, table, [put.key for put in puts])

    async def compare_and_swap(
        self,
        table: str,
        key: bytes,
        expected: bytes | None,
        new: bytes | None,
        expires: int | None = None,
        then: Sequence[Entry] = (),
    ) -> bool:
        def work(changes: Changes) -> bool:
            where, value = changes.find(table, key)
            if value != expected:
                return False
            if new is not None:
                changes.put(table, key, new, expires, where)
            elif where is not None:
                changes.delete(key, where)
            self._enter(changes, then)
            return True

        return await self._change(work, table, [key])

    async def delete_many(self, table: str, keys: Sequence[bytes]) -> None:
        def work(changes: Changes) -> None:
            for key in keys:
                where, _ = changes.find(table, key)
                if where is not None:
                    changes.delete(key, where)

        await self._change(work, table, keys)

    async def append_many(
        self, table: str, items: Sequence[tuple[bytes, bytes]], limit: int, expires: int | None = None
    ) -> list[bool]:
        def work(changes: Changes) -> list[bool]:
            kept: list[bool] = []
            for key, element in items:
                where, value = changes.find(table, key)
                elements = split(value or b"")
                known = element in elements
                kept.append(known or len(elements) < limit)
                if kept[-1] and not known:
                    changes.put(table, key, (value or b"") + join(element), expires, where)
            return kept

        return await self._change(work, table, [key for key, _ in items])

    async def get_lists(self, table: str, keys: Sequence[bytes]) -> list[list[bytes]]:
        return [split(value) if value else [] for value in await self.get_many(table, keys)]

    async def bucket(self, table: str, bits: int, index: int) -> list[tuple[bytes, bytes]]:
        first = (index << (32 - bits)).to_bytes(4, "big")
        last = (((index + 1) << (32 - bits)) - 1).to_bytes(4, "big")

        def work() -> list[tuple[bytes, bytes]]:
            rows: list[tuple[bytes, bytes]] = []
            for partition in self._partitions.of(table):
                for key, value in partition.rows(first):
                    if key[:4] > last:
                        break
                    rows.append((key, value))
            return rows

        return await self._read(work)

    # -- queues ------------------------------------------------------------------------------------------------------

    def _enter(self, changes: Changes, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        where = changes.place(queuerows.TABLE, None)
        numbers = os.urandom(queuerows.ID * len(entries))
        entered: list[tuple[str, bytes, float]] = []
        for at, entry in zip(range(0, len(numbers), queuerows.ID), entries, strict=True):
            identity = numbers[at : at + queuerows.ID]
            changes.write(queuerows.key(entry.queue, identity), queuerows.value(entry.due, entry.item), where)
            entered.append((entry.queue, identity, entry.due))
        changes.afterwards.append(lambda: self._queues.add(entered))

    async def enqueue(self, entries: Sequence[Entry]) -> None:
        await self._change(lambda changes: self._enter(changes, entries))

    async def take(self, queue: str, now: float, limit: int, lease: float) -> Taking:
        identities, next_due = self._queues.take(queue, now, limit, lease)
        return Taking(await self._entries(queue, identities), next_due)

    async def peek(self, queue: str, limit: int) -> list[Taken]:
        return await self._entries(queue, self._queues.first(queue, limit))

    async def _entries(self, queue: str, identities: Sequence[bytes]) -> list[Taken]:
        """Those of them that exist."""
        values = await self.get_many(queuerows.TABLE, [queuerows.key(queue, identity) for identity in identities])
        found = zip(identities, values, strict=True)
        return [Taken(identity, queuerows.item(value)) for identity, value in found if value is not None]

    async def renew(self, queue: str, ids: Sequence[bytes], until: float) -> None:
        self._queues.again(queue, ids, until)

    async def done(self, queue: str, ids: Sequence[bytes]) -> None:
        def work(changes: Changes) -> None:
            where = changes.place(queuerows.TABLE, None)
            for identity in ids:
                changes.write(queuerows.key(queue, identity), None, where)
            changes.afterwards.append(lambda: self._queues.forget(queue, ids))

        # Not synchronised: an entry that comes back after a crash is repeated, and repeating is harmless.
        await self._change(work, sync=False)

    async def again(self, queue: str, ids: Sequence[bytes], due: float) -> None:
        self._queues.again(queue, ids, due)

    async def late(self, queue: str, latest: float, limit: int) -> list[bytes]:
        return self._queues.late(queue, latest, limit)

    async def backlog(self) -> dict[str, int]:
        return self._queues.lengths()

    # -- life --------------------------------------------------------------------------------------------------------

    async def expire(self, today: int) -> int:
        dropped = await self._change(lambda _: self._partitions.drop_before(today), alone=True)
        if dropped:
            await self._tidy(self._partitions.sweep)
        return dropped

    async def scrub(self) -> None:
        await self._tidy(self._partitions.scrub)

    async def _tidy(self, work: Callable[[], None]) -> None:
        """In a thread of its own: it takes as long as all files take that hold something deleted."""
        try:
            await asyncio.to_thread(work)
        except Exception as error:
            raise failed(error) from error

    async def close(self) -> None:
        def finish() -> None:
            self._writer.stop()
            self._readers.shutdown()
            self._partitions.close()

        await asyncio.to_thread(finish)
