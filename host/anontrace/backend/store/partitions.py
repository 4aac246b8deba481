"""The column families of the embedded store: what expires is in one, ordered by day, and all else in another.

A day of a table is a range of keys there, so a store has as many files, and needs as much memory, at any age. Days are
made and dropped only by the writing thread, and read by any. Knows nothing of keys and values.
"""

import contextlib
import logging
import os
import struct
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from rocksdict import (
    BlockBasedOptions,
    BottommostLevelCompaction,
    Cache,
    ColumnFamily,
    CompactOptions,
    DBCompressionType,
    Options,
    Rdict,
    WriteBatch,
    WriteOptions,
)

from anontrace.backend.errors import StoreError

from . import soundness
from .soundness import Guard, scan

_log = logging.getLogger("anontrace.backend")

LASTING, DAILY = "@lasting", "@daily"  # version 0.1 takes them for names of its own, and stops at what is no day
_DEFAULT = "default"
_DAY = struct.Struct(">I")
_MEMTABLE = 16 << 20  # of one column family, which has two at most
_MEMTABLE_FILTER = 0.004  # of a memtable: ten bits for each of 50,000 keys
_CACHE = 8 << 20  # of blocks: hardly any is asked for twice, since keys are random
_FIRST_LEVEL = 64 << 20  # scrubbing merges all that is younger with it
_LOG_FILES = 256 << 20
_ROOM = 4 << 20  # bytes to open a database with, besides those of its log
_TAKEN_OVER = b"taken over"  # in the column family in which no rows are
_ROWS_AT_ONCE = 1000
_TIDY_SECONDS = 10.0  # for RocksDB to unlink what it has replaced
_LOOK_SECONDS = 0.01

_Range = tuple[bytes, bytes]  # from the first key to before the last; no key of one family is in a range of the other
_EVERYTHING = (b"", b"\xff" * 8)


@dataclass(frozen=True, slots=True)
class Partition:
    """A table that does not expire, or one expiry day of one that does: the rows whose keys begin with `prefix`."""

    table: str
    day: int | None
    prefix: bytes = field(repr=False)
    family: Rdict = field(repr=False)
    handle: ColumnFamily = field(repr=False)

    def get(self, key: bytes) -> bytes | None:
        """The value under a key."""
        value: bytes | None = self.family.get(self.prefix + key)
        return value

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values in the order of the keys."""
        prefix = self.prefix
        values: list[bytes | None] | None = self.family.get([prefix + key for key in keys])
        assert values is not None  # a list of keys gives a list of values
        return values

    def rows(self, first: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """All rows by their keys, from one on."""
        begin = len(self.prefix)
        for key, value in scan(self.family, self.prefix + first):
            if not key.startswith(self.prefix):
                return
            yield key[begin:], value


class Partitions:
    """All tables of one database, by day."""

    def __init__(self, folder: Path) -> None:
        """Open or make the database, and bring one of version 0.1 to this layout. StoreError if another process has it
        open, or if it is not whole; then nothing was touched."""
        self._folder = folder
        self._guard = Guard(folder)
        self._lasting = threading.Lock()  # held by who needs what is open to stay so, and by who closes it
        self._noting = threading.Lock()
        self._scrubbed = -1  # the database's sequence number when it was
        try:
            self._load()
        except BaseException:
            self._guard.close()
            raise

    def _load(self) -> None:
        found = self._guard.examine() - {_DEFAULT}
        families = dict.fromkeys(sorted({LASTING, DAILY} | found), _tuned(Options(raw_mode=True)))
        self._old = sorted(found - {LASTING, DAILY})  # to be dropped
        self._deleted: set[_Range] | None = None  # where since it was scrubbed; None: nobody knows
        try:
            options = _tuned(soundness.options())
            options.create_if_missing(not self._guard.is_made)
            options.create_missing_column_families(True)
            self.database = Rdict(soundness.engine_name(self._folder), options, column_families=families)
            try:
                self._families = {
                    name: (self.database.get_column_family(name), self.database.get_column_family_handle(name))
                    for name in (LASTING, DAILY)
                }
                self._guard.opened(self.database)
                self._take_over()
                self._by_table: dict[str, tuple[Partition, ...]] | None = {}
                for name, has_day in ((LASTING, False), (DAILY, True)):
                    for table, day in _found(self._families[name][0], has_day):
                        self._attach(table, day)
                for path in self._folder.glob("LOG.old.*"):
                    path.unlink(missing_ok=True)
            except BaseException:
                self._shut()
                raise
        except Exception as error:  # rocksdict raises plain Exception
            raise soundness.as_store_error(error, str(self._folder)) from error

    def acknowledge(self) -> None:
        """Note, before anybody is told, that what was written has been synchronised."""
        self._guard.acknowledge(self.database)

    def _take_over(self) -> None:
        """Version 0.1 had a column family for each table, or each day of one: bring their rows to where they belong.

        Until all of that is durable it is done again at the next start. To drop them takes long, and comes later.
        """
        if not self._old or self.database.get(_TAKEN_OVER) is not None:
            return
        _log.info("%s: bringing what version 0.1 has left into the layout of this one", self._folder)
        for name in self._old:
            table, _, day = name.partition("@")
            partition = self._make(table, int(day) if day else None)
            batch = WriteBatch(raw_mode=True)
            for key, value in scan(self.database.get_column_family(name)):
                batch.put(partition.prefix + key, value, partition.handle)
                if batch.len() == _ROWS_AT_ONCE:
                    self.database.write(batch)
                    batch = WriteBatch(raw_mode=True)
            self.database.write(batch)
        durably = WriteOptions()
        durably.sync = True
        self.database.put(_TAKEN_OVER, b"", durably)

    def _drop_old(self) -> None:
        while True:
            with self._lasting:
                self._sequence()
                if not self._old:
                    return
                soundness.anchor(self.database)
                self.database.drop_column_family(self._old.pop())

    def reopen(self) -> None:
        """Begin anew after a failed write, which RocksDB does not get over by itself.

        OSError while there is no room on the disk for that; what is open stays so then, and can be read.
        """
        logs = sum(path.stat().st_size for path in self._folder.glob("*.log"))
        with tempfile.TemporaryFile(dir=self._folder) as probe:
            os.posix_fallocate(probe.fileno(), 0, _ROOM + logs)
        self._shut()
        self._load()

    @property
    def _tables(self) -> dict[str, tuple[Partition, ...]]:
        if self._by_table is None:
            raise StoreError("the store is closed, or being opened again")
        return self._by_table

    def of(self, table: str) -> tuple[Partition, ...]:
        """The days of a table, newest first: what is young is asked for most."""
        return self._tables.get(table, ())

    def find_one(self, table: str, key: bytes) -> tuple[Partition, bytes] | None:
        """Where a key lives and its value. One call for all days, which takes half the time of one for each."""
        for _, held in groupby(self.of(table), lambda each: each.day is None):  # which are in one column family
            partitions = list(held)
            values = partitions[0].family.get([each.prefix + key for each in partitions])
            assert values is not None  # a list of keys gives a list of values
            for partition, value in zip(partitions, values, strict=True):
                if value is not None:
                    return partition, value
        return None

    def find(self, table: str, keys: Sequence[bytes]) -> list[tuple[Partition, bytes] | None]:
        """For each key where it lives and its value. One call a day: most keys are absent, and looked for in all."""
        if len(keys) == 1:
            return [self.find_one(table, keys[0])]
        found: list[tuple[Partition, bytes] | None] = [None] * len(keys)
        wanted = keys
        places = list(range(len(keys)))
        for partition in self.of(table):
            if not wanted:
                break
            values = partition.get_many(wanted)
            if values.count(None) == len(values):
                continue
            for i, value in zip(places, values, strict=True):
                found[i] = None if value is None else (partition, value)
            places = [i for i in places if found[i] is None]
            wanted = [keys[i] for i in places]
        return found

    def get(self, table: str, expires: int | None) -> Partition:
        """Where a new key goes."""
        for partition in self.of(table):
            if partition.day == expires:
                return partition
        return self._attach(table, expires)

    def _make(self, table: str, day: int | None) -> Partition:
        name = table.encode()
        prefix = (b"" if day is None else _DAY.pack(day)) + bytes((len(name),)) + name
        return Partition(table, day, prefix, *self._families[LASTING if day is None else DAILY])

    def _attach(self, table: str, day: int | None) -> Partition:
        partition = self._make(table, day)
        self._tables[table] = tuple(sorted((*self.of(table), partition), key=lambda each: each.day or 0, reverse=True))
        return partition

    def note_deleted(self, partitions: Iterable[Partition]) -> None:
        """Know where something was deleted, once it was, so that scrubbing need not look everywhere."""
        self._note(*((each.prefix, _after(each.prefix)) for each in partitions))

    def _note(self, *ranges: _Range) -> None:
        with self._noting:
            if self._deleted is not None:
                self._deleted.update(ranges)

    def drop_before(self, today: int) -> int:
        """Drop the days before this one, durably and in one step; how many went."""
        tables = {}
        dropped = 0
        for table, partitions in self._tables.items():
            kept = tuple(each for each in partitions if each.day is None or each.day >= today)
            dropped += len(partitions) - len(kept)
            if kept:
                tables[table] = kept
        if dropped:
            self._delete_range(DAILY, b"", _DAY.pack(today))
            self._by_table = tables
        return dropped

    def _delete_range(self, name: str, first: bytes, last: bytes) -> None:
        batch, durably = WriteBatch(raw_mode=True), WriteOptions()
        durably.sync = True
        batch.delete_range(first, last, self._families[name][1])
        self.database.write(batch, durably)
        self.acknowledge()
        self._note((first, last))

    def all(self) -> list[Partition]:
        """Every one."""
        return [partition for partitions in list(self._tables.values()) for partition in partitions]

    def drop_all(self) -> None:
        """Drop every one."""
        for name in self._families:
            self._delete_range(name, *_EVERYTHING)
        self._by_table = {}

    def scrub(self) -> None:
        """Write anew the files that hold something deleted, and begin another log and another list of files, so that
        what was deleted or dropped before is in no file any more. For any thread; others read and write meanwhile."""
        self._drop_old()
        with self._lasting, self._noting:
            began = self._sequence()
            if began == self._scrubbed and self._deleted == set():
                return
            ranges = {_EVERYTHING} if self._deleted is None else self._deleted
            self._deleted = set()
        try:
            for name in self._families:
                self._write_out(name)
            for each in sorted(ranges):
                self._write_anew(each)
            self._begin_anew(began)
        except BaseException:
            with self._noting:
                self._deleted = None
            raise

    def sweep(self) -> None:
        """Give back the room of what was dropped. For any thread, as above."""
        self._drop_old()
        with self._noting:
            dropped = {each for each in self._deleted or {_EVERYTHING} if each[0] == b""}
        self._write_out(DAILY)
        for each in dropped:
            self._write_anew(each)
        with self._noting:
            if self._deleted is not None:
                self._deleted -= dropped
        with self._lasting:
            self._sequence()
            self._guard.settle()

    def _sequence(self) -> int:
        """That of the database, which has to be open."""
        if self._by_table is None:
            raise StoreError("the store is closed, or being opened again")
        return self.database.latest_sequence_number()

    def _write_out(self, name: str) -> None:
        with self._lasting:
            self._sequence()
            self._families[name][0].flush()

    def _write_anew(self, wanted: _Range) -> None:
        """One step of scrubbing: after it no file of this range knows of a key that was deleted before."""
        for name in self._families:
            with self._lasting:
                self._sequence()
                if _holds_deleted(self.database, wanted):
                    self._families[name][0].compact_range(*wanted, _whole())

    def _begin_anew(self, began: int) -> None:
        """Have RocksDB begin a log and, as at each change of its files, a manifest; and wait until the old ones, and
        all files that were written anew, are gone."""
        with self._lasting:
            self._sequence()
            soundness.anchor(self.database)  # a log begins that holds nothing else
            self.database.flush()
        until = time.monotonic() + _TIDY_SECONDS
        while True:
            with self._lasting:
                reached = self._sequence()
                if self._is_tidy():
                    self._guard.settle()
                    break
            if time.monotonic() > until:
                return
            time.sleep(_LOOK_SECONDS)
        if reached == began + 1:  # else a table may have had its turn too soon
            self._scrubbed = reached

    def _is_tidy(self) -> bool:
        """Whether no file lies there that the database does without."""
        used = {file["name"].lstrip("/") for file in self.database.live_files()}
        names = [path.name for path in self._folder.iterdir()]
        manifests = sum(name.startswith("MANIFEST-") for name in names)
        logs = sum(name.endswith(".log") for name in names)
        return manifests == 1 and logs <= 1 and all(name in used for name in names if name.endswith(".sst"))

    def close(self) -> None:
        """Let go."""
        self._shut()
        self._guard.close()

    def _shut(self) -> None:
        """After a failed write RocksDB fails to close too; what was acknowledged is in its log all the same."""
        with contextlib.suppress(Exception):
            self.database.cancel_all_background(False)  # else this waited for scrubbing
        with self._lasting:
            self._by_table, self._families = None, {}  # RocksDB lets go of its folder with the last of these
            with contextlib.suppress(Exception):
                self.database.close()


def _found(family: Rdict, has_day: bool) -> Iterator[tuple[str, int | None]]:
    """The tables, with their days, that have rows."""
    begin = _DAY.size if has_day else 0
    at = family.iter()
    at.seek_to_first()
    while at.valid():
        key: bytes = at.key()
        end = begin + 1 + key[begin]
        yield key[begin + 1 : end].decode(), _DAY.unpack_from(key)[0] if has_day else None
        at.seek(_after(key[:end]))
    at.status()


def _after(prefix: bytes) -> bytes:
    """The first key after those that begin so."""
    return (int.from_bytes(prefix, "big") + 1).to_bytes(len(prefix), "big")


def _holds_deleted(database: Rdict, wanted: _Range) -> bool:
    """Whether a file still knows of a key in this range that it was deleted, and so may hold what was under it."""
    first, last = wanted
    files = database.live_files()
    return any(each["num_deletions"] and each["start_key"] < last and each["end_key"] >= first for each in files)


def _whole() -> CompactOptions:
    options = CompactOptions()
    # Else a file is only moved. What this call has just written need not be written again.
    options.set_bottommost_level_compaction(BottommostLevelCompaction.force_optimized())
    return options


def _tuned(options: Options) -> Options:
    """Point look-ups of short random values: Bloom filters, no compression.

    The filters of memtables are not on by default. Most keys are looked for in every day, and absent in all or all but
    one, so that a poll takes half the time with them.
    """
    blocks = BlockBasedOptions()
    blocks.set_bloom_filter(10, False)
    blocks.set_block_cache(Cache(_CACHE))
    options.set_block_based_table_factory(blocks)
    options.set_compression_type(DBCompressionType.none())
    options.set_write_buffer_size(_MEMTABLE)
    options.set_memtable_prefix_bloom_ratio(_MEMTABLE_FILTER)
    options.set_memtable_whole_key_filtering(True)
    options.set_max_bytes_for_level_base(_FIRST_LEVEL)
    options.set_max_total_wal_size(_LOG_FILES)
    options.set_max_manifest_file_size(1)  # a manifest tells of the keys of files long gone, so each change begins one
    options.set_keep_log_file_num(1)
    options.set_stats_dump_period_sec(0)
    options.set_max_open_files(512)
    return options
