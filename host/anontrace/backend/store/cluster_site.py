"""The cluster store as a place to move from and to: its rows as they are, while no server uses them."""

import asyncio
import re
import secrets
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from zlib import crc32

from redis.exceptions import RedisError

from anontrace.backend.errors import StoreError

from . import queuerows, scripts
from .address import Cluster
from .cluster import ID_SHARD, NOTE, ClusterStore
from .links import Unanswered, Unsent
from .moving import BYTES_AT_ONCE, ROWS_AT_ONCE, Part, Rows
from .notes import Note

_IDENTITY = "identity"  # its name in the layout
_NAMES_AT_ONCE = 1000
_DAYS = b":days:"
_LAYOUT = b":layout"


class ClusterSite(ClusterStore):
    """A `Site` in a cluster."""

    _where: str

    @classmethod
    async def reach(cls, cluster: Cluster, where: str) -> "ClusterSite":
        """`where`: the line that names it. StoreError if it does not answer, or is not suited."""
        site = await cls.open(cluster, changes=False, moving=True)
        site._where = where
        return site

    @property
    def where(self) -> str:
        return self._where

    @property
    def called(self) -> str:
        return f"prefix {self._cluster.prefix} of the cluster"

    async def identity(self) -> str:
        mine = secrets.token_hex(16)
        return str(bytes(await self._one(0, scripts.SETTLE, [_IDENTITY, mine], repeatable=True)).decode())

    async def write_down(self, note: Note) -> None:
        await self._one(0, scripts.WRITE_DOWN, [NOTE, note.encode()], repeatable=True)
        await self._lay_out(changes=True)

    async def is_empty(self) -> bool:
        async for names in self._names():
            if not all(name.endswith(_LAYOUT) for name in names):
                return False
        return True

    async def parts(self) -> dict[Part, int]:
        found: Counter[Part] = Counter()
        for name in {name async for names in self._names() for name in names}:
            base, table = _base(name), name.removeprefix(_base(name) + _DAYS)
            if table == name:
                continue
            shard, parts = self._bases.index(base), self._parts.get(table.decode())
            arguments: list[bytes | str | int] = [table, shard if parts else 0, self._cluster.shards, parts or 1]
            flat = await self._one(shard, scripts.COUNTS, arguments, writes=False, repeatable=True)
            for day, number in zip(flat[::2], flat[1::2], strict=True):
                found[Part(table.decode(), int(day) if day else None)] += int(number)
        for queue, length in (await self._count()).items():
            found[Part(queue, is_queue=True)] += length
        return {part: number for part, number in found.items() if number}

    async def rows(self, part: Part) -> AsyncIterator[Rows]:
        for shard in range(self._cluster.shards):
            pages = self._queue_pages(shard, part) if part.is_queue else self._table_pages(shard, part)
            async for rows in pages:
                yield rows

    async def _table_pages(self, shard: int, part: Part) -> AsyncIterator[Rows]:
        shards, parts = self._cluster.shards, self._parts.get(part.name)
        at: list[bytes | str | int] = [shard if parts else 0, "0"]
        while at[0] != b"":
            arguments = [part.name, _day(part), *at, shards, parts or 1, ROWS_AT_ONCE, BYTES_AT_ONCE]
            flat = await self._one(shard, scripts.PAGE, arguments, writes=False, repeatable=True)
            at, flat = flat[:2], flat[2:]
            if flat:
                yield list(zip(flat[::2], flat[1::2], strict=True))

    async def _queue_pages(self, shard: int, part: Part) -> AsyncIterator[Rows]:
        first, flat = 0, [b""]
        while flat:
            arguments: list[bytes | str | int] = [part.name, first, first + ROWS_AT_ONCE - 1]
            flat = await self._one(shard, scripts.QUEUED, arguments, writes=False, repeatable=True)
            if flat:
                yield [
                    (identity, queuerows.value(float(due), item))
                    for identity, due, item in zip(flat[::3], flat[1::3], flat[2::3], strict=True)
                ]
            first += ROWS_AT_ONCE

    async def find(self, part: Part, keys: Sequence[bytes]) -> list[bytes | None]:
        arguments: dict[int, list[bytes | str | int]] = {}
        places: dict[int, list[int]] = defaultdict(list)
        if part.is_queue:
            for index, key in enumerate(keys):
                shard, identity = self._entry(key)
                arguments.setdefault(shard, [part.name]).append(identity)
                places[shard].append(index)
            flat = await self._each(scripts.ENTERED, arguments, writes=False, repeatable=True)
            replies = {shard: _entered(each) for shard, each in flat.items()}
        else:
            for shard, spread in self._spread(part.name, keys).items():
                arguments[shard] = [part.name, _day(part)]
                for index, number in spread:
                    arguments[shard] += [number, 1, keys[index]]
                    places[shard].append(index)
            replies = await self._each(scripts.HELD, arguments, writes=False, repeatable=True)
        found: list[bytes | None] = [None] * len(keys)
        for shard, indices in places.items():
            for index, value in zip(indices, replies[shard], strict=True):
                found[index] = value
        return found

    async def insert(self, part: Part, rows: Rows) -> None:
        arguments: dict[int, list[bytes | str | int]] = {}
        if part.is_queue:
            for key, value in rows:
                shard, identity = self._entry(key)
                entry = (part.name, repr(queuerows.due(value)), identity, queuerows.item(value))
                arguments.setdefault(shard, []).extend(entry)
            await self._each(scripts.ENQUEUE, arguments, repeatable=True)
            return
        for shard, spread in self._spread(part.name, [key for key, _ in rows]).items():
            arguments[shard] = [part.name, _day(part)]
            for index, number in spread:
                arguments[shard] += [number, *rows[index]]
        await self._each(scripts.LOAD, arguments, repeatable=True)

    def _entry(self, identity: bytes) -> tuple[int, bytes]:
        """Shard and id of the entry that came from another place under this id."""
        shard = crc32(identity) % self._cluster.shards
        return shard, ID_SHARD.pack(shard) + identity[ID_SHARD.size :]

    async def clear(self) -> None:
        async for names in self._names():
            for shard in {self._bases.index(_base(name)) for name in names}:
                same = [name for name in names if _base(name) == self._bases[shard] and not name.endswith(_LAYOUT)]
                await self._one(shard, scripts.FORGET, [*same], repeatable=True)

    async def _names(self) -> AsyncIterator[list[bytes]]:
        """The names of this store's shards; one may come twice. Kvrocks matches no other patterns than beginnings."""
        prefix = self._cluster.prefix.encode()
        own = re.compile(rb"\{" + re.escape(prefix) + rb"\.\d+\}:")
        for node in self._topology.masters:
            cursor: bytes | int = 0
            while cursor != b"0":
                command = ("SCAN", cursor, "MATCH", b"{" + prefix + b".*", "COUNT", _NAMES_AT_ONCE)
                try:
                    cursor, names = await node.reads.call(command)
                except (Unsent, Unanswered, RedisError) as error:
                    raise StoreError(f"{node.address[0]}:{node.address[1]}: {error}") from None
                names = [name for name in names if own.match(name)]
                if names:
                    yield names
                await asyncio.sleep(0)


def _base(name: bytes) -> bytes:
    return name[: name.index(b"}") + 1]


def _day(part: Part) -> str:
    return "" if part.day is None else str(part.day)


def _entered(flat: Sequence[bytes | None]) -> list[bytes | None]:
    return [
        None if due is None or item is None else queuerows.value(float(due), item)
        for due, item in zip(flat[::2], flat[1::2], strict=True)
    ]
