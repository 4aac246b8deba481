"""The column families of the embedded store: one for each table, or for each day of a table that expires.

Made and dropped by the writing thread only; read by any. Knows nothing of keys and values.
"""

import contextlib
import os
import re
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rocksdict import (
    BlockBasedOptions,
    BottommostLevelCompaction,
    ColumnFamily,
    CompactOptions,
    DBCompressionType,
    Options,
    Rdict,
)

from anontrace.backend.errors import StoreError

_MEMTABLE, _MEMTABLES = 16 << 20, 64 << 20  # of one column family, of all
_MEMTABLE_FILTER = 0.004  # of a memtable: ten bits for each of 50,000 keys
_LOG_FILES = 256 << 20
_ROOM = 4 << 20  # bytes to open a database with, besides those of its log
_NEW_LOG = b"scrubbed"  # in the column family that nothing else is in
_DELETIONS = re.compile(r"# deletions=(\d+)")


@dataclass(frozen=True, slots=True)
class Partition:
    """One column family: a table that does not expire, or one expiry day of one that does."""

    name: str
    table: str
    day: int | None
    rows: Rdict
    handle: ColumnFamily


class Partitions:
    """All column families of one database, by table."""

    def __init__(self, folder: Path, expected: set[str]) -> None:
        """Open or make the database. `expected`: names that will be needed, cheaper to make all at once."""
        self._folder = folder
        self._lasting = threading.Lock()  # held by who needs what is open to stay so, and by who closes or drops it
        self._scrubbed = -1  # the database's sequence number when it was
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._load(expected)

    def _load(self, expected: set[str]) -> None:
        folder, options = self._folder, _options()
        names = set(Rdict.list_cf(str(folder), options)) if (folder / "CURRENT").exists() else set()
        wanted = sorted((names | expected) - {"default"})
        self.database = Rdict(str(folder), options, column_families={name: _options() for name in wanted})
        self._by_table: dict[str, tuple[Partition, ...]] | None = {}
        for name in wanted:
            self._attach(name)

    def reopen(self) -> None:
        """Begin anew after a failed write, which RocksDB does not get over by itself.

        OSError while there is no room on the disk for that; what is open stays so then, and can be read.
        """
        logs = sum(path.stat().st_size for path in self._folder.glob("*.log"))
        with tempfile.TemporaryFile(dir=self._folder) as probe:
            os.posix_fallocate(probe.fileno(), 0, _ROOM + logs)
        self.close()
        self._load(set())

    @property
    def _tables(self) -> dict[str, tuple[Partition, ...]]:
        if self._by_table is None:
            raise StoreError("the store is closed, or being opened again")
        return self._by_table

    def of(self, table: str) -> tuple[Partition, ...]:
        """The days of a table, newest first: what is young is asked for most."""
        return self._tables.get(table, ())

    def find(self, table: str, keys: Sequence[bytes]) -> list[tuple[Partition, bytes] | None]:
        """For each key where it lives and its value. One call a day: most keys are absent, and looked for in all."""
        found: list[tuple[Partition, bytes] | None] = [None] * len(keys)
        wanted: list[Any] = list(keys)
        places = list(range(len(keys)))
        for partition in self.of(table):
            if not wanted:
                break
            values = partition.rows.get(wanted)
            assert values is not None  # a list of keys gives a list of values
            if values.count(None) == len(values):
                continue
            for i, value in zip(places, values, strict=True):
                found[i] = None if value is None else (partition, value)
            places = [i for i in places if found[i] is None]
            wanted = [keys[i] for i in places]
        return found

    def get(self, table: str, expires: int | None) -> Partition:
        """Where a new key goes, made if need be."""
        for partition in self.of(table):
            if partition.day == expires:
                return partition
        name = partition_name(table, expires)
        self.database.create_column_family(name, _options())
        return self._attach(name)

    def _attach(self, name: str) -> Partition:
        table, _, day = name.partition("@")
        partition = Partition(
            name,
            table,
            int(day) if day else None,
            self.database.get_column_family(name),
            self.database.get_column_family_handle(name),
        )
        self._tables[table] = tuple(sorted((*self.of(table), partition), key=lambda each: each.day or 0, reverse=True))
        return partition

    def drop_before(self, today: int) -> int:
        """Drop the days before this one; how many went."""
        dropped = 0
        with self._lasting:
            for table, partitions in list(self._tables.items()):
                self._tables[table] = tuple(each for each in partitions if each.day is None or each.day >= today)
                for partition in partitions:
                    if partition not in self._tables[table]:
                        self.database.drop_column_family(partition.name)
                        dropped += 1
            if dropped:
                self._scrubbed = -1
        return dropped

    def all(self) -> list[Partition]:
        """Every one."""
        return [partition for partitions in list(self._tables.values()) for partition in partitions]

    def drop_all(self) -> None:
        """Drop every one."""
        for partition in self.all():
            self.database.drop_column_family(partition.name)
        self._by_table = {}

    def scrub(self) -> None:
        """Write anew the files that hold something deleted, and begin another log, so that what was deleted or dropped
        before is in no file any more. For any thread; others read and write meanwhile."""
        with self._lasting:
            names = [each.name for each in self.all()]
            began = self.database.latest_sequence_number()
            if began == self._scrubbed:
                return
        for name in names:
            with self._lasting:
                partition = next((each for each in self.of(name.partition("@")[0]) if each.name == name), None)
                if partition is not None:
                    partition.rows.flush()
                    if _holds_deleted(partition.rows):
                        partition.rows.compact_range(None, None, _whole())
        with self._lasting:
            if self._by_table is not None:
                self.database.put(_NEW_LOG, b"")
                self.database.flush()
                if self.database.latest_sequence_number() == began + 1:  # else a table may have had its turn too soon
                    self._scrubbed = began + 1

    def close(self) -> None:
        """Let go. After a failed write RocksDB fails to close too; what was acknowledged is in its log all the same."""
        with self._lasting:
            self._by_table = None
            with contextlib.suppress(Exception):
                self.database.close()


def opened(folder: Path, expected: set[str]) -> Partitions:
    """As the constructor. StoreError if another process has the database open, or if it is damaged."""
    try:
        return Partitions(folder, expected)
    except Exception as error:  # rocksdict raises plain Exception
        if "lock" in str(error).lower():
            raise StoreError(f"{folder}: another process has this store open") from None
        raise StoreError(f"{folder}: {error}") from error


def partition_name(table: str, day: int | None) -> str:
    """What the column family is called."""
    return table if day is None else f"{table}@{day}"


def _holds_deleted(rows: Rdict) -> bool:
    """Whether a file of a column family still knows of a key that it was deleted, and so may hold what was under it."""
    found = _DELETIONS.search(rows.property_value("rocksdb.aggregated-table-properties") or "")
    return found is not None and int(found[1]) > 0


def _whole() -> CompactOptions:
    options = CompactOptions()
    options.set_bottommost_level_compaction(BottommostLevelCompaction.force())  # else a file is only moved
    return options


def _options() -> Options:
    """Point look-ups of short random values: Bloom filters, no compression, little memory per column family.

    The filters of memtables are not on by default. Most keys are looked for in every day, and absent in all or all but
    one, so that a poll takes half the time with them.
    """
    blocks = BlockBasedOptions()
    blocks.set_bloom_filter(10, False)
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.create_missing_column_families(True)
    options.set_block_based_table_factory(blocks)
    options.set_compression_type(DBCompressionType.none())
    options.set_write_buffer_size(_MEMTABLE)
    options.set_memtable_prefix_bloom_ratio(_MEMTABLE_FILTER)
    options.set_memtable_whole_key_filtering(True)
    options.set_db_write_buffer_size(_MEMTABLES)
    options.set_max_total_wal_size(_LOG_FILES)
    options.set_keep_log_file_num(2)
    options.set_max_open_files(512)
    return options
