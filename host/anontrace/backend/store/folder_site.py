"""The embedded store as a place to move from and to: its rows as they are, while no server has it open."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rocksdict import WriteBatch, WriteOptions

from anontrace.backend.errors import StoreError

from . import notes, queuerows, soundness
from .moving import BYTES_AT_ONCE, ROWS_AT_ONCE, Part, Rows
from .notes import Note
from .partitions import Partition, Partitions
from .soundness import as_store_error


class FolderSite:
    """A `Site` in a folder. Has it for itself from `open` to `close`."""

    def __init__(self, folder: Path, partitions: Partitions) -> None:
        self._folder = folder
        self._partitions = partitions

    @classmethod
    def open(cls, folder: Path, make: bool = False) -> "FolderSite":
        """StoreError if a server or another move has it open, if it is damaged, or not there and not to be made."""
        if not make and not soundness.is_there(folder):
            raise StoreError(f"{folder}: there is no state to move")
        return cls(folder, Partitions(folder))

    @property
    def where(self) -> str:
        return ""

    @property
    def called(self) -> str:
        return str(self._folder)

    async def identity(self) -> str:
        with self._translated():
            return (self._folder / "IDENTITY").read_text(encoding="ascii").strip()

    async def note(self) -> Note | None:
        return notes.read(self._folder)

    async def write_down(self, note: Note) -> None:
        with self._translated():
            notes.write(self._folder, note)

    async def is_empty(self) -> bool:
        with self._translated():
            return not any(any(True for _ in each.rows()) for each in self._partitions.all())

    async def parts(self) -> dict[Part, int]:
        found: Counter[Part] = Counter()
        with self._translated():
            for partition in self._partitions.all():
                for key, _ in partition.rows():
                    found[_part(partition, key)] += 1
        return dict(found)

    async def rows(self, part: Part) -> AsyncIterator[Rows]:
        with self._translated():
            rows: Rows = []
            size = 0
            for row in self._each(part):
                rows.append(row)
                size += len(row[0]) + len(row[1])
                if len(rows) == ROWS_AT_ONCE or size > BYTES_AT_ONCE:
                    yield rows
                    rows, size = [], 0
            if rows:
                yield rows

    def _each(self, part: Part) -> Iterator[tuple[bytes, bytes]]:
        partition = self._partition(part)
        prefix = part.name.encode() if part.is_queue else b""
        for key, value in () if partition is None else partition.rows(prefix):
            if not key.startswith(prefix):
                return
            if not part.is_queue:
                yield key, value
            elif len(key) == len(prefix) + queuerows.ID:  # else of a queue whose name only begins like this one's
                yield key[len(prefix) :], value

    async def find(self, part: Part, keys: Sequence[bytes]) -> list[bytes | None]:
        partition = self._partition(part)
        if partition is None:
            return [None] * len(keys)
        with self._translated():
            return [partition.get(_key(part, key)) for key in keys]

    async def insert(self, part: Part, rows: Rows) -> None:
        batch, options = WriteBatch(raw_mode=True), WriteOptions()
        options.sync = True
        with self._translated():
            partition = self._partitions.get(_table(part), part.day)
            for key, value in rows:
                batch.put(partition.prefix + _key(part, key), value, partition.handle)
            self._partitions.database.write(batch, options)
            self._partitions.acknowledge()

    async def clear(self) -> None:
        with self._translated():
            self._partitions.drop_all()

    async def close(self) -> None:
        self._partitions.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # rocksdict raises plain Exception
            raise as_store_error(error, str(self._folder)) from None

    def _partition(self, part: Part) -> Partition | None:
        return next((each for each in self._partitions.of(_table(part)) if each.day == part.day), None)


def _table(part: Part) -> str:
    return queuerows.TABLE if part.is_queue else part.name


def _part(partition: Partition, key: bytes) -> Part:
    if partition.table == queuerows.TABLE:
        return Part(queuerows.split_key(key)[0], is_queue=True)
    return Part(partition.table, partition.day)


def _key(part: Part, key: bytes) -> bytes:
    return queuerows.key(part.name, key) if part.is_queue else key
