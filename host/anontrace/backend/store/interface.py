"""The one interface through which servers keep state.

Tables are key-value maps. What expires is created with the last day on which it is to exist, and is dropped by whole
days; a key stays with the day it was created with, whatever is written to it later. Every write is durable when its
call returns. There are no scans: a table can be read by keys, or by a bucket, a fixed number of leading key bits. Each
call is atomic per item, under any number of workers. This module never knows what the bytes mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Entry:
    """Something to be done at `due` (real unix seconds), in a named queue."""

    queue: str
    due: float
    item: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Put:
    """A key and its value, and optionally a queue entry that exists if and only if the value was stored."""

    key: bytes = field(repr=False)
    value: bytes = field(repr=False)
    then: Entry | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """A queue entry: one that `take` has leased to the caller until it is done or put back, or that `peek` shows."""

    id: bytes
    item: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Taking:
    """What `take` found: the leased entries, and when the next one is due (None: the queue holds no other)."""

    entries: list[Taken]
    next_due: float | None


class Store(Protocol):
    """Tables that expire by day, and delay queues. Raises StoreError when the data cannot be made durable or read."""

    @property
    def fault(self) -> str | None:
        """What keeps everything from being stored and read, as it was seen last; None if nothing does."""

    async def get_many(self, table: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values in the order of the keys."""

    async def put_many(self, table: str, items: Sequence[tuple[bytes, bytes]], expires: int | None = None) -> None:
        """Create or overwrite."""

    async def put_if_absent_many(self, table: str, puts: Sequence[Put], expires: int | None = None) -> list[bool]:
        """Store each value whose key is absent, with its queue entry; True where it was stored. A key that occurs twice
        in one call is stored once."""

    async def compare_and_swap(
        self,
        table: str,
        key: bytes,
        expected: bytes | None,
        new: bytes | None,
        expires: int | None = None,
        then: Sequence[Entry] = (),
    ) -> bool:
        """Replace the value if it is `expected` (None: absent) by `new` (None: delete), and put the entries into their
        queues in the same step. False: nothing was changed."""

    async def delete_many(self, table: str, keys: Sequence[bytes]) -> None:
        """Delete those that exist."""

    async def append_many(
        self, table: str, items: Sequence[tuple[bytes, bytes]], limit: int, expires: int | None = None
    ) -> list[bool]:
        """Append to the list under each key, unless an equal element is in it already. False where the list holds
        `limit` elements and was left alone."""

    async def get_lists(self, table: str, keys: Sequence[bytes]) -> list[list[bytes]]:
        """The lists under the keys, oldest element first; empty where there is none."""

    async def bucket(self, table: str, bits: int, index: int) -> list[tuple[bytes, bytes]]:
        """All keys (4 bytes or more) whose first 32 bits, shifted right by 32 - bits, are `index`, with their values.
        `bits` (0 to 32) is the same in every call for one table."""

    async def enqueue(self, entries: Sequence[Entry]) -> None:
        """Put entries into their queues."""

    async def take(self, queue: str, now: float, limit: int, lease: float) -> Taking:
        """Lease up to `limit` entries that are due. One that is neither done, put back nor renewed is due again after
        `lease` seconds, or when the process was stopped; where several processes share the store, not when one
        crashed."""

    async def peek(self, queue: str, limit: int) -> list[Taken]:
        """Up to `limit` entries, the earliest due first, whenever that is and whether they are leased or not. Leases
        nothing: what is only ever looked at may be ordered by other numbers than times."""

    async def renew(self, queue: str, ids: Sequence[bytes], until: float) -> None:
        """Keep leased entries until then (real unix seconds)."""

    async def done(self, queue: str, ids: Sequence[bytes]) -> None:
        """Forget entries. After a crash one may come back: what entries cause must be repeatable."""

    async def again(self, queue: str, ids: Sequence[bytes], due: float) -> None:
        """Put leased entries back."""

    async def late(self, queue: str, latest: float, limit: int) -> list[bytes]:
        """The ids of up to `limit` entries that are due after `latest` (real unix seconds); `again` moves them."""

    async def backlog(self) -> dict[str, int]:
        """The number of entries of each queue that is not empty."""

    async def expire(self, today: int) -> int:
        """Drop whatever was to exist until a day before `today`; how many days of tables went."""

    async def scrub(self) -> None:
        """Embedded: have what was deleted or dropped before out of all files too. What was overwritten, and is neither,
        goes when the engine sees fit. In a cluster, whose files are the engine's, this does nothing."""

    async def close(self) -> None:
        """Finish what is under way and let go."""
