"""The embedded store: one RocksDB folder, one process. Implements `Store`; each day of a table is a column family.

One thread writes. It takes all calls that wait, evaluates them in order against the database and each other, and makes
them durable with one synchronised write: atomic compare-and-swap and group commit together. It never interprets values.
"""

import asyncio
import os
import queue
import struct
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from rocksdict import BlockBasedOptions, ColumnFamily, DBCompressionType, Options, Rdict, WriteBatch, WriteOptions

from anontrace.backend.errors import StoreError

from . import Entry, Put, Taken, Taking
from .queues import DelayQueues

_T = TypeVar("_T")

_QUEUES = "queues"
_DUE = struct.Struct("<d")
_ELEMENT = struct.Struct("<I")
_MOST_IN_ONE_COMMIT = 512
_MEMTABLES = 64 << 20
_LOG_FILES = 256 << 20


@dataclass(frozen=True, slots=True)
class _Partition:
    """One column family: a table that does not expire, or one expiry day of one that does."""

    name: str
    day: int | None
    rows: Rdict
    handle: ColumnFamily


@dataclass(slots=True)
class _Call:
    """A piece of work for the writing thread. `alone`: it changes column families, so nothing may be pending."""

    work: Callable[["_Changes"], object]
    result: "Future[object]"
    sync: bool
    alone: bool


class _Changes:
    """What one call changes, on top of what the calls before it in the same commit change."""

    def __init__(self, store: "RocksStore", pending: dict[tuple[str, bytes], tuple[_Partition, bytes | None]]) -> None:
        self._store = store
        self._pending = pending
        self.rows: dict[tuple[str, bytes], tuple[_Partition, bytes | None]] = {}
        self.entered: list[tuple[str, bytes, float]] = []
        self.left: list[tuple[str, bytes]] = []

    def find(self, table: str, key: bytes) -> tuple[_Partition | None, bytes | None]:
        """Where a key lives and its value; (None, None) if it is absent."""
        for partition in self._store.partitions(table):
            place = (partition.name, key)
            changed = self.rows.get(place) or self._pending.get(place)
            value = changed[1] if changed else partition.rows.get(key)
            if value is not None:
                return partition, value
        return None, None

    def put(self, table: str, key: bytes, value: bytes, expires: int | None, where: _Partition | None) -> None:
        partition = where or self._store.partition(table, expires)
        self.rows[partition.name, key] = (partition, value)

    def delete(self, key: bytes, where: _Partition) -> None:
        self.rows[where.name, key] = (where, None)

    def enter(self, entry: Entry) -> None:
        identity = os.urandom(16)
        self.put(_QUEUES, _queue_key(entry.queue, identity), _DUE.pack(entry.due) + entry.item, None, None)
        self.entered.append((entry.queue, identity, entry.due))

    def leave(self, name: str, identity: bytes) -> None:
        self.delete(_queue_key(name, identity), self._store.partition(_QUEUES, None))
        self.left.append((name, identity))


class RocksStore:
    """A `Store` in a folder. Made by `open`; closed by `close`, after which it is not used again."""

    def __init__(self, database: Rdict, names: Sequence[str]) -> None:
        self._database = database
        self._partitions: dict[str, tuple[_Partition, ...]] = {}
        self._queues = DelayQueues()
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._readers = ThreadPoolExecutor(2, "store-read")
        self._writer = threading.Thread(target=self._write_calls, name="store-write", daemon=True)
        for name in names:
            self._attach(name)
        self._load_queues()
        self._writer.start()

    @classmethod
    async def open(cls, folder: Path, expected: Sequence[tuple[str, int]]) -> "RocksStore":
        """Open or make the database. StoreError if another process has it open or it is damaged."""
        return await asyncio.to_thread(cls._open, folder, expected)

    @classmethod
    def _open(cls, folder: Path, expected: Sequence[tuple[str, int]]) -> "RocksStore":
        options = _options()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            names = Rdict.list_cf(str(folder), options) if (folder / "CURRENT").exists() else []
            wanted = {*names, _QUEUES, *(_name(table, day) for table, day in expected)} - {"default"}
            families = {name: _options() for name in wanted}
            return cls(Rdict(str(folder), options, column_families=families), sorted(wanted))
        except Exception as error:  # rocksdict raises plain Exception
            if "lock" in str(error).lower():
                raise StoreError(f"{folder}: another process has this store open") from None
            raise StoreError(f"{folder}: {error}") from error

    # -- column families ---------------------------------------------------------------------------------------------

    def partitions(self, table: str) -> tuple[_Partition, ...]:
        """The days of a table, newest first: what is young is asked for most."""
        return self._partitions.get(table, ())

    def partition(self, table: str, expires: int | None) -> _Partition:
        """The column family for a new key, made if need be. Only for the writing thread."""
        for partition in self.partitions(table):
            if partition.day == expires:
                return partition
        name = _name(table, expires)
        self._database.create_column_family(name, _options())
        return self._attach(name)

    def _attach(self, name: str) -> _Partition:
        table, _, day = name.partition("@")
        partition = _Partition(
            name,
            int(day) if day else None,
            self._database.get_column_family(name),
            self._database.get_column_family_handle(name),
        )
        others = (*self._partitions.get(table, ()), partition)
        self._partitions[table] = tuple(sorted(others, key=lambda each: each.day or 0, reverse=True))
        return partition

    def _load_queues(self) -> None:
        for key, value in self.partition(_QUEUES, None).rows.items():
            assert isinstance(key, bytes)  # raw mode
            self._queues.add(key[:-16].decode(), key[-16:], _DUE.unpack_from(value)[0])

    # -- the writing thread ------------------------------------------------------------------------------------------

    async def _change(self, work: Callable[[_Changes], _T], sync: bool = True, alone: bool = False) -> _T:
        result: Future[_T] = Future()
        self._calls.put(_Call(work, result, sync, alone))  # type: ignore[arg-type]  # Future is invariant
        return await asyncio.wrap_future(result)

    def _write_calls(self) -> None:
        left_over: _Call | None = None
        while True:
            call = left_over or self._calls.get()
            left_over = None
            if call is None:
                return
            calls = [call]
            while not calls[-1].alone and len(calls) < _MOST_IN_ONE_COMMIT:
                try:
                    following = self._calls.get_nowait()
                except queue.Empty:
                    break
                if following is None or following.alone:
                    if following is None:
                        self._calls.put(None)
                    left_over = following
                    break
                calls.append(following)
            self._commit(calls)

    def _commit(self, calls: Sequence[_Call]) -> None:
        """Evaluate the calls in order, write once, then answer them: nobody hears of a change that is not durable."""
        pending: dict[tuple[str, bytes], tuple[_Partition, bytes | None]] = {}
        answered: list[tuple[_Call, object, _Changes]] = []
        for call in calls:
            if not call.result.set_running_or_notify_cancel():
                continue  # whoever asked has gone away
            changes = _Changes(self, pending)
            try:
                value = call.work(changes)
            except Exception as error:
                call.result.set_exception(_as_store_error(error))
                continue
            pending.update(changes.rows)
            answered.append((call, value, changes))
        try:
            self._write(pending, any(call.sync for call, _, _ in answered))
        except Exception as error:
            for call, _, _ in answered:
                call.result.set_exception(_as_store_error(error))
            return
        for call, value, changes in answered:
            for name, identity, due in changes.entered:
                self._queues.add(name, identity, due)
            for name, identity in changes.left:
                self._queues.forget(name, identity)
            call.result.set_result(value)

    def _write(self, pending: dict[tuple[str, bytes], tuple[_Partition, bytes | None]], sync: bool) -> None:
        if not pending:
            return
        batch = WriteBatch(raw_mode=True)
        for (_, key), (partition, value) in pending.items():
            if value is None:
                batch.delete(key, partition.handle)
            else:
                batch.put(key, value, partition.handle)
        options = WriteOptions()
        options.sync = sync
        self._database.write(batch, options)

    async def _read(self, work: Callable[[], _T]) -> _T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, work)
        except Exception as error:
            raise _as_store_error(error) from error

    # -- tables ------------------------------------------------------------------------------------------------------

    def _values(self, table: str, keys: Sequence[bytes]) -> list[bytes | None]:
        values: list[bytes | None] = [None] * len(keys)
        missing = list(range(len(keys)))
        for partition in self.partitions(table):
            if not missing:
                break
            found = partition.rows.get([keys[i] for i in missing])
            assert found is not None  # a list of keys gives a list of values
            for i, value in zip(missing, found, strict=True):
                values[i] = value
            missing = [i for i in missing if values[i] is None]
        return values

    async def get_many(self, table: str, keys: Sequence[bytes]) -> list[bytes | None]:
        return await self._read(lambda: self._values(table, keys))

    async def put_many(self, table: str, items: Sequence[tuple[bytes, bytes]], expires: int | None = None) -> None:
        def work(changes: _Changes) -> None:
            for key, value in items:
                changes.put(table, key, value, expires, changes.find(table, key)[0])

        await self._change(work)

    async def put_if_absent_many(self, table: str, puts: Sequence[Put], expires: int | None = None) -> list[bool]:
        def work(changes: _Changes) -> list[bool]:
            stored: list[bool] = []
            for put in puts:
                absent = changes.find(table, put.key)[0] is None
                if absent:
                    changes.put(table, put.key, put.value, expires, None)
                    if put.then is not None:
                        changes.enter(put.then)
                stored.append(absent)
            return stored

        return await self._change(work)

    async def compare_and_swap(
        self,
        table: str,
        key: bytes,
        expected: bytes | None,
        new: bytes | None,
        expires: int | None = None,
        then: Sequence[Entry] = (),
    ) -> bool:
        def work(changes: _Changes) -> bool:
            where, value = changes.find(table, key)
            if value != expected:
                return False
            if new is not None:
                changes.put(table, key, new, expires, where)
            elif where is not None:
                changes.delete(key, where)
            for entry in then:
                changes.enter(entry)
            return True

        return await self._change(work)

    async def delete_many(self, table: str, keys: Sequence[bytes]) -> None:
        def work(changes: _Changes) -> None:
            for key in keys:
                where, _ = changes.find(table, key)
                if where is not None:
                    changes.delete(key, where)

        await self._change(work)

    async def append_many(
        self, table: str, items: Sequence[tuple[bytes, bytes]], limit: int, expires: int | None = None
    ) -> list[bool]:
        def work(changes: _Changes) -> list[bool]:
            kept: list[bool] = []
            for key, element in items:
                where, value = changes.find(table, key)
                elements = _elements(value or b"")
                known = element in elements
                kept.append(known or len(elements) < limit)
                if kept[-1] and not known:
                    changes.put(table, key, (value or b"") + _ELEMENT.pack(len(element)) + element, expires, where)
            return kept

        return await self._change(work)

    async def get_lists(self, table: str, keys: Sequence[bytes]) -> list[list[bytes]]:
        return [_elements(value or b"") for value in await self.get_many(table, keys)]

    async def bucket(self, table: str, bits: int, index: int) -> list[tuple[bytes, bytes]]:
        first = (index << (32 - bits)).to_bytes(4, "big")
        last = (((index + 1) << (32 - bits)) - 1).to_bytes(4, "big")

        def work() -> list[tuple[bytes, bytes]]:
            rows: list[tuple[bytes, bytes]] = []
            for partition in self.partitions(table):
                for key, value in partition.rows.items(from_key=first):
                    if not isinstance(key, bytes) or key[:4] > last:
                        break
                    rows.append((key, value))
            return rows

        return await self._read(work)

    # -- queues ------------------------------------------------------------------------------------------------------

    async def enqueue(self, entries: Sequence[Entry]) -> None:
        def work(changes: _Changes) -> None:
            for entry in entries:
                changes.enter(entry)

        await self._change(work)

    async def take(self, queue: str, now: float, limit: int, lease: float) -> Taking:
        identities, next_due = self._queues.take(queue, now, limit, lease)
        if not identities:
            return Taking([], next_due)
        values = await self.get_many(_QUEUES, [_queue_key(queue, identity) for identity in identities])
        entries = [
            Taken(i, value[_DUE.size :]) for i, value in zip(identities, values, strict=True) if value is not None
        ]
        return Taking(entries, next_due)

    async def done(self, queue: str, ids: Sequence[bytes]) -> None:
        def work(changes: _Changes) -> None:
            for identity in ids:
                changes.leave(queue, identity)

        # Not synchronised: an entry that comes back after a crash is repeated, and repeating is harmless.
        await self._change(work, sync=False)

    async def again(self, queue: str, ids: Sequence[bytes], due: float) -> None:
        self._queues.again(queue, ids, due)

    async def backlog(self) -> dict[str, int]:
        return self._queues.lengths()

    # -- life --------------------------------------------------------------------------------------------------------

    async def expire(self, today: int) -> int:
        def work(_: _Changes) -> int:
            dropped = 0
            for table, partitions in list(self._partitions.items()):
                kept = tuple(each for each in partitions if each.day is None or each.day >= today)
                self._partitions[table] = kept
                for partition in partitions:
                    if partition not in kept:
                        self._database.drop_column_family(partition.name)
                        dropped += 1
            return dropped

        return await self._change(work, alone=True)

    async def close(self) -> None:
        def finish() -> None:
            self._calls.put(None)
            self._writer.join()
            self._readers.shutdown()
            self._partitions.clear()
            self._database.close()

        await asyncio.to_thread(finish)


def _options() -> Options:
    """Point look-ups of short random values: Bloom filters, no compression, little memory per column family."""
    blocks = BlockBasedOptions()
    blocks.set_bloom_filter(10, False)
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.create_missing_column_families(True)
    options.set_block_based_table_factory(blocks)
    options.set_compression_type(DBCompressionType.none())
    options.set_write_buffer_size(16 << 20)
    options.set_db_write_buffer_size(_MEMTABLES)
    options.set_max_total_wal_size(_LOG_FILES)
    options.set_keep_log_file_num(2)
    options.set_max_open_files(512)
    return options


def _name(table: str, day: int | None) -> str:
    return table if day is None else f"{table}@{day}"


def _queue_key(name: str, identity: bytes) -> bytes:
    return name.encode() + identity


def _elements(value: bytes) -> list[bytes]:
    elements: list[bytes] = []
    offset = 0
    while offset < len(value):
        (length,) = _ELEMENT.unpack_from(value, offset)
        offset += _ELEMENT.size
        elements.append(value[offset : offset + length])
        offset += length
    return elements


def _as_store_error(error: Exception) -> StoreError:
    """rocksdict raises plain Exception; whatever else comes out of a call is a fault in this module."""
    return error if isinstance(error, StoreError) else StoreError(f"the store failed: {error}")
