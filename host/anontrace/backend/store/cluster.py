"""The distributed store: a Redis Cluster (Redis, Valkey, Kvrocks), any number of processes. Implements `Store`.

Every key belongs to one of a fixed number of shards, and each shard is one hash slot that also holds its part of every
queue: so a value and its queue entry are one script on one node (scripts.py). Never interprets values.
What is guaranteed when nodes fail is in docs/operations.md, "A cluster instead of a folder".
"""

import asyncio
import contextlib
import heapq
import logging
import os
import random
import struct
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, Self
from zlib import crc32

from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    AuthenticationError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    NoScriptError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)

from anontrace.backend.errors import StoreError
from anontrace.wire import trust

from . import notes, scripts
from .address import Cluster
from .backlogs import Backlogs
from .durability import Durability
from .elements import split
from .interface import Entry, Put, Taken, Taking
from .links import Access, Unanswered, Unsent
from .notes import Note
from .scripts import Script
from .topology import Topology

_log = logging.getLogger("anontrace.backend")

_PATIENCE = 10.0  # seconds for a fail-over; beyond it the server answers 503
_LOOK_SECONDS = 2.0
_LOOKS = 3  # since another worker may be laying it out meanwhile: shard 0 first, and that all are at last
_MIN_PARTS_BITS, _MAX_PARTS_BITS = 8, 16
ID_SHARD = struct.Struct(">H")  # what the id of a queue entry begins with
NOTE = "move"  # its name in the layout
_SHARDS = "shards"
_WHOLE = "whole"  # that every shard knows of the layout
_RANDOM = 14
_NOT_NOW = (MovedError, AskError, TryAgainError, ClusterDownError, MasterDownError, ReadOnlyError)
_NOT_NOW_WORDS = ("NOREPLICAS", "LOADING", "MISCONF")
_Arguments = list[bytes | str | int]
_part = itemgetter(1)


@dataclass(slots=True)
class _Lease:
    """Of a queue entry that this process has in hand (real unix seconds)."""

    since: float
    until: float


class ClusterStore:
    """A `Store` in a cluster. Made by `open`; closed by `close`, after which it is not used again."""

    def __init__(self, cluster: Cluster, topology: Topology) -> None:
        self._cluster = cluster
        self._topology = topology
        self._durability = Durability(topology, cluster.user)
        self._bases = [f"{{{cluster.prefix}.{shard}}}".encode() for shard in range(cluster.shards)]
        self._slots = [key_slot(base) for base in self._bases]
        self._parts = {
            table: 1 << min(max(bits, _MIN_PARTS_BITS), _MAX_PARTS_BITS) for table, bits in cluster.buckets.items()
        }
        self._backlogs = Backlogs()
        self._leases: dict[tuple[str, bytes], _Lease] = {}
        self._fault: str | None = None
        self._looking = asyncio.create_task(self._look())

    @classmethod
    async def open(cls, cluster: Cluster, changes: bool = True, moving: bool = False) -> Self:
        """StoreError if the cluster does not answer, may forget data, was laid out otherwise by another process, or
        holds what a move has left. `changes`: lay it out if nobody has. `moving`: even then, for a move."""
        tls = trust.client_context(cluster.ca) if cluster.encrypted else None
        topology = Topology(cluster.nodes, Access(cluster.user, cluster.password, tls), cluster.copies)
        try:
            await topology.refresh(0)
            store = cls(cluster, topology)
        except BaseException:
            await topology.close()
            raise
        try:
            await store._durability.begin(_PATIENCE)
            if not moving:
                notes.check(await store.note())
            await store._lay_out(changes)
        except BaseException:
            await store.close()
            raise
        return store

    async def _lay_out(self, changes: bool) -> None:
        """Have it settled, in shard 0, how the cluster is laid out, and in every other that it is: a shard that knows
        nothing of it has lost what it held."""
        await self._check_whole()
        wanted = {_SHARDS: self._cluster.shards}
        wanted |= {f"buckets of {table}": bits for table, bits in self._cluster.buckets.items()}
        for name, number in wanted.items():
            if changes:
                found = int(await self._one(0, scripts.SETTLE, [name, number], repeatable=True))
            else:
                found = int(await self._settled(name) or number)
            if found != number:
                raise StoreError(f"the cluster was laid out for {name} = {found}, not {number}; that cannot change")
        if changes:
            every: dict[int, _Arguments] = {
                shard: [_SHARDS, self._cluster.shards] for shard in range(self._cluster.shards)
            }
            await self._each(scripts.SETTLE, every, repeatable=True)
            await self._one(0, scripts.SETTLE, [_WHOLE, 1], repeatable=True)

    async def _check_whole(self) -> None:
        everywhere: dict[int, _Arguments] = {shard: [_SHARDS] for shard in range(self._cluster.shards)}
        lost: list[int] = []
        for _ in range(_LOOKS):
            found = await self._each(scripts.SETTLED, everywhere, writes=False, repeatable=True)
            lost = [shard for shard, number in found.items() if number is None]
            is_other = found[0] is not None and int(found[0]) != self._cluster.shards
            is_begun = found[0] is not None and await self._settled(_WHOLE) is None
            if is_other or is_begun or not 0 < len(lost) < len(found):
                return
        names = ", ".join(f"{{{self._cluster.prefix}.{shard}}}" for shard in lost)
        raise StoreError(f"the cluster has lost what it held under {names}: a node came back without its data")

    async def _settled(self, name: str) -> bytes | None:
        found: bytes | None = await self._one(0, scripts.SETTLED, [name], writes=False, repeatable=True)
        return found

    async def is_laid_out(self) -> bool:
        """Whether a server has ever begun to keep its state here."""
        return await self._settled(_SHARDS) is not None

    async def note(self) -> Note | None:
        """What the last move left here."""
        text = await self._settled(NOTE)
        return None if text is None else Note.decode(text)

    # -- commands ----------------------------------------------------------------------------------------------------

    async def _one(
        self, shard: int, script: Script, arguments: _Arguments, *, writes: bool = True, repeatable: bool = False
    ) -> Any:
        """Run a script on a shard, through a fail-over if need be. `repeatable`: even if it may have been run before.

        StoreError: nothing is acknowledged, though it may have happened.
        """
        base, slot = self._bases[shard], self._slots[shard]
        name: tuple[bytes | str | int, ...] = ("EVALSHA", script.sha)
        deadline = asyncio.get_running_loop().time() + _PATIENCE
        failures = 0
        while True:
            seen, node = self._topology.seen, self._topology.master(slot)
            try:
                if node is None:
                    raise Unsent("no node serves this part of it")
                self._durability.check()
                link = node.writes if writes else node.reads
                reply = await link.call((*name, 1, base, *arguments), copied=writes)
                await self._durability.vouch(node)
                return reply
            except NoScriptError:
                name = ("EVAL", script.text)
                continue
            except Unanswered as error:
                if not repeatable:
                    raise StoreError(f"a node of the store's cluster failed under a write: {error}") from None
                reason = str(error)
            except Unsent as error:
                reason = str(error)
            except AuthenticationError as error:
                raise StoreError(f"the store's cluster: {error}") from None
            except ResponseError as error:
                reason = str(error)
                if not isinstance(error, _NOT_NOW) and not reason.startswith(_NOT_NOW_WORDS):
                    raise StoreError(f"the store's cluster: {reason}") from None
            if asyncio.get_running_loop().time() > deadline:
                raise StoreError(f"the store's cluster does not take data now: {reason}")
            await asyncio.sleep(min(0.5, 0.01 * 2**failures) * random.uniform(0.5, 1.0))  # noqa: S311  (spreads load)
            failures += 1
            with contextlib.suppress(StoreError):
                await self._topology.refresh(seen)

    async def _each(
        self,
        script: Script,
        arguments: Mapping[int, _Arguments],
        *,
        writes: bool = True,
        repeatable: bool = False,
    ) -> dict[int, Any]:
        """Run a script on several shards at once; the replies. Waits for all, even if one fails."""
        calls = [
            self._one(shard, script, each, writes=writes, repeatable=repeatable) for shard, each in arguments.items()
        ]
        replies = await asyncio.gather(*calls, return_exceptions=True)
        for reply in replies:
            if isinstance(reply, BaseException):
                raise reply
        return dict(zip(arguments, replies, strict=True))

    async def _look(self) -> None:
        """See changes of the cluster that no error shows, such as a replica that came back, or a setting; say once what
        keeps it from being used, and once that nothing does any more."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            before, self._fault = self._fault, await self._seen_fault()
            if self._fault is not None and before is None:
                _log.error("store: %s; nothing is stored or read until that is put right", self._fault)
            elif self._fault is None and before is not None:
                _log.warning("store: the cluster is right again")

    async def _seen_fault(self) -> str | None:
        try:
            await self._topology.refresh(self._topology.seen)
            await self._durability.look()
            self._durability.check()
        except StoreError as error:
            return str(error)
        if any(self._topology.master(slot) is None for slot in self._slots):
            return "no node of the cluster serves a part of it"
        return None

    @property
    def fault(self) -> str | None:
        return self._fault

    def _place(self, table: str, key: bytes) -> tuple[int, int]:
        """Shard and part of a key: by its leading bits in a table that is read by bucket, else by a checksum."""
        parts = self._parts.get(table)
        if parts is None:
            return crc32(key) % self._cluster.shards, 0
        part = int.from_bytes(key[:4], "big") >> (32 - (parts.bit_length() - 1))
        return part % self._cluster.shards, part

    def _spread(self, table: str, keys: Sequence[bytes]) -> dict[int, list[tuple[int, int]]]:
        """For each shard (index in keys, part)."""
        spread: dict[int, list[tuple[int, int]]] = defaultdict(list)
        if table in self._parts:
            for index, key in enumerate(keys):
                shard, part = self._place(table, key)
                spread[shard].append((index, part))
        else:
            shards = self._cluster.shards
            for index, key in enumerate(keys):
                spread[crc32(key) % shards].append((index, 0))
        return spread

    # -- tables ------------------------------------------------------------------------------------------------------

    async def get_many(self, table: str, keys: Sequence[bytes]) -> list[bytes | None]:
        spread = self._spread(table, keys)
        arguments: dict[int, _Arguments] = {}
        for shard, places in spread.items():
            places.sort(key=_part)
            arguments[shard] = [table]
            for part, same in groupby(places, _part):
                wanted = [keys[i] for i, _ in same]
                arguments[shard] += [part, len(wanted), *wanted]
        replies = await self._each(scripts.GET, arguments, writes=False, repeatable=True)
        return _in_order(len(keys), spread, replies)

    async def put_many(self, table: str, items: Sequence[tuple[bytes, bytes]], expires: int | None = None) -> None:
        spread = self._spread(table, [key for key, _ in items])
        arguments: dict[int, _Arguments] = {
            shard: [table, _day(expires), *(each for i, part in places for each in (part, *items[i]))]
            for shard, places in spread.items()
        }
        await self._each(scripts.PUT, arguments, repeatable=True)

    async def put_if_absent_many(self, table: str, puts: Sequence[Put], expires: int | None = None) -> list[bool]:
        spread = self._spread(table, [put.key for put in puts])
        arguments: dict[int, _Arguments] = {}
        for shard, places in spread.items():
            arguments[shard] = [table, _day(expires)]
            for i, part in places:
                put = puts[i]
                entry = ("", "", "", "") if put.then is None else _entry(shard, put.then)
                arguments[shard] += [part, put.key, put.value, *entry]
        replies = await self._each(scripts.PUT_IF_ABSENT, arguments)
        stored = [bool(each) for each in _in_order(len(puts), spread, replies)]
        for put, new in zip(puts, stored, strict=True):
            if new and put.then is not None:
                self._backlogs.add(put.then.queue, 1)
        return stored

    async def compare_and_swap(
        self,
        table: str,
        key: bytes,
        expected: bytes | None,
        new: bytes | None,
        expires: int | None = None,
        then: Sequence[Entry] = (),
    ) -> bool:
        shard, part = self._place(table, key)
        arguments: _Arguments = [table, _day(expires), part, key, *_maybe(expected), *_maybe(new)]
        for entry in then:
            arguments += _entry(shard, entry)
        swapped = bool(await self._one(shard, scripts.COMPARE_AND_SWAP, arguments))
        if swapped:
            for entry in then:
                self._backlogs.add(entry.queue, 1)
        return swapped

    async def delete_many(self, table: str, keys: Sequence[bytes]) -> None:
        arguments: dict[int, _Arguments] = {
            shard: [table, *(each for i, part in places for each in (part, keys[i]))]
            for shard, places in self._spread(table, keys).items()
        }
        await self._each(scripts.DELETE, arguments, repeatable=True)

    async def append_many(
        self, table: str, items: Sequence[tuple[bytes, bytes]], limit: int, expires: int | None = None
    ) -> list[bool]:
        spread = self._spread(table, [key for key, _ in items])
        arguments: dict[int, _Arguments] = {
            shard: [table, _day(expires), limit, *(each for i, part in places for each in (part, *items[i]))]
            for shard, places in spread.items()
        }
        replies = await self._each(scripts.APPEND, arguments, repeatable=True)
        return [bool(each) for each in _in_order(len(items), spread, replies)]

    async def get_lists(self, table: str, keys: Sequence[bytes]) -> list[list[bytes]]:
        return [split(value) if value else [] for value in await self.get_many(table, keys)]

    async def bucket(self, table: str, bits: int, index: int) -> list[tuple[bytes, bytes]]:
        parts = self._parts.get(table)
        if parts is None or bits < parts.bit_length() - 1:
            wanted = {shard: [0] for shard in range(self._cluster.shards)}
            if parts is not None:
                wider = parts.bit_length() - 1 - bits
                wanted = {}
                for part in range(index << wider, (index + 1) << wider):
                    wanted.setdefault(part % self._cluster.shards, []).append(part)
        else:
            part = index >> (bits - (parts.bit_length() - 1))
            wanted = {part % self._cluster.shards: [part]}
        rows: list[tuple[bytes, bytes]] = []
        for shard, needed in wanted.items():
            for part in needed:
                flat = await self._one(shard, scripts.ROWS, [table, part], writes=False, repeatable=True)
                rows += zip(flat[::2], flat[1::2], strict=True)
        return [(key, value) for key, value in rows if int.from_bytes(key[:4], "big") >> (32 - bits) == index]

    # -- queues ------------------------------------------------------------------------------------------------------

    async def enqueue(self, entries: Sequence[Entry]) -> None:
        arguments: dict[int, _Arguments] = {}
        for entry in entries:
            shard = random.randrange(self._cluster.shards)  # noqa: S311  (spreads load, guards nothing)
            arguments.setdefault(shard, []).extend(_entry(shard, entry))
        await self._each(scripts.ENQUEUE, arguments)
        for entry in entries:
            self._backlogs.add(entry.queue, 1)

    async def take(self, queue: str, now: float, limit: int, lease: float) -> Taking:
        """The earliest over all shards. The first of two workers who saw the same entry gets it."""
        first = await self._heads(queue, limit + 1)
        chosen = [each for each in first if each[0] <= now][:limit]
        next_due = first[len(chosen)][0] if len(first) > len(chosen) else None
        arguments: dict[int, _Arguments] = {}
        until = repr(now + lease)
        for _, due, shard, identity in chosen:
            arguments.setdefault(shard, [queue, until]).extend((identity, due))
        # Not copied to replicas first: a lease that is lost is an entry that comes twice, which it may anyway.
        leased = await self._each(scripts.LEASE, arguments, writes=False)
        turns = {shard: iter(items) for shard, items in leased.items()}
        entries = [
            Taken(identity, item)
            for identity, item in ((identity, next(turns[shard])) for _, _, shard, identity in chosen)
            if item is not None
        ]
        # One that has run out without a word is somebody else's by now.
        self._leases = {place: each for place, each in self._leases.items() if each.until > now}
        self._leases |= {(queue, entry.id): _Lease(now, now + lease) for entry in entries}
        return Taking(entries, next_due)

    async def peek(self, queue: str, limit: int) -> list[Taken]:
        heads = await self._heads(queue, limit)
        arguments = self._by_shard([queue], [identity for *_, identity in heads])
        found = await self._each(scripts.ENTERED, arguments, writes=False, repeatable=True)
        turns = {shard: iter(flat[1::2]) for shard, flat in found.items()}
        items = [(identity, next(turns[shard])) for _, _, shard, identity in heads]
        return [Taken(identity, item) for identity, item in items if item is not None]

    async def _heads(self, queue: str, number: int) -> list[tuple[float, bytes, int, bytes]]:
        """The first entries over all shards: due time, as a number and as Redis has it, shard and id."""
        everywhere: dict[int, _Arguments] = {shard: [queue, number - 1] for shard in range(self._cluster.shards)}
        heads = await self._each(scripts.PEEK, everywhere, writes=False, repeatable=True)
        seen = heapq.merge(
            *(
                [(float(due), due, shard, identity) for identity, due in zip(flat[::2], flat[1::2], strict=True)]
                for shard, flat in heads.items()
            )
        )
        return list(islice(seen, number))

    async def done(self, queue: str, ids: Sequence[bytes]) -> None:
        # Not copied to replicas first, as above.
        gone = await self._each(scripts.DONE, self._by_shard([queue], ids), writes=False, repeatable=True)
        self._backlogs.add(queue, -sum(int(each) for each in gone.values()))
        self._forget_leases(queue, ids)

    async def renew(self, queue: str, ids: Sequence[bytes], until: float) -> None:
        for lease in (self._leases.get((queue, identity)) for identity in ids):
            if lease is not None:
                lease.until = until
        await self._each(scripts.AGAIN, self._by_shard([queue, repr(until)], ids), writes=False, repeatable=True)

    async def again(self, queue: str, ids: Sequence[bytes], due: float) -> None:
        await self.renew(queue, ids, due)
        self._forget_leases(queue, ids)

    async def late(self, queue: str, latest: float, limit: int) -> list[bytes]:
        everywhere: dict[int, _Arguments] = {
            shard: [queue, repr(latest), limit] for shard in range(self._cluster.shards)
        }
        found = await self._each(scripts.LATE, everywhere, writes=False, repeatable=True)
        return [identity for ids in found.values() for identity in ids][:limit]

    def _by_shard(self, head: _Arguments, ids: Sequence[bytes]) -> dict[int, _Arguments]:
        arguments: dict[int, _Arguments] = {}
        for identity in ids:
            arguments.setdefault(ID_SHARD.unpack_from(identity)[0], list(head)).append(identity)
        return arguments

    def _forget_leases(self, queue: str, ids: Sequence[bytes]) -> None:
        for identity in ids:
            self._leases.pop((queue, identity), None)

    async def backlog(self) -> dict[str, int]:
        """As this process left them, and as other processes had left them a second ago."""
        return await self._backlogs.get(self._count)

    async def _count(self) -> dict[str, int]:
        everywhere: dict[int, _Arguments] = {shard: [] for shard in range(self._cluster.shards)}
        found: dict[str, int] = {}
        for flat in (await self._each(scripts.BACKLOG, everywhere, writes=False, repeatable=True)).values():
            for name, length in zip(flat[::2], flat[1::2], strict=True):
                found[name.decode()] = found.get(name.decode(), 0) + int(length)
        return found

    # -- life --------------------------------------------------------------------------------------------------------

    async def expire(self, today: int) -> int:
        parts: _Arguments = [each for table, number in self._parts.items() for each in (table, number)]
        everywhere: dict[int, _Arguments] = {
            shard: [today, shard, self._cluster.shards, *parts] for shard in range(self._cluster.shards)
        }
        dropped = await self._each(scripts.EXPIRE, everywhere, repeatable=True)
        return len({day for days in dropped.values() for day in days})

    async def scrub(self) -> None:
        pass

    async def close(self) -> None:
        """Put back what is leased, so that others need not wait for it, and let go."""
        self._looking.cancel()
        leased: dict[str, list[bytes]] = {}
        for queue, identity in self._leases:
            leased.setdefault(queue, []).append(identity)
        with contextlib.suppress(StoreError):
            for queue, ids in leased.items():
                await self.again(queue, ids, min(self._leases[queue, identity].since for identity in ids))
        await self._topology.close()


def _day(expires: int | None) -> str:
    return "" if expires is None else str(expires)


def _maybe(value: bytes | None) -> tuple[str, bytes]:
    return ("0", b"") if value is None else ("1", value)


def _entry(shard: int, entry: Entry) -> tuple[str, str, bytes, bytes]:
    """Queue, due time, a new id that begins with its shard, and item."""
    return entry.queue, repr(float(entry.due)), ID_SHARD.pack(shard) + os.urandom(_RANDOM), entry.item


def _in_order(length: int, spread: Mapping[int, Sequence[tuple[int, int]]], replies: Mapping[int, Any]) -> list[Any]:
    """The shards' replies in the order of what was asked."""
    ordered: list[Any] = [None] * length
    for shard, places in spread.items():
        for (index, _), reply in zip(places, replies[shard], strict=True):
            ordered[index] = reply
    return ordered
