"""Moving a server's whole state to another place: every day of every table, and every queue.

Both kinds of store give a `Site` for that, through which rows are read and written as they are, while no server has the
store open. A move that was interrupted is repeated: what is there already is left alone. Never deletes what it moves.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from anontrace.backend.errors import StoreError

from .notes import Note

ROWS_AT_ONCE = 500
BYTES_AT_ONCE = 1 << 20
_CALLS_AT_ONCE = 8

Rows = list[tuple[bytes, bytes]]
Progress = Callable[[str, int, int], None]  # what is being done, rows done, rows in all
LastLook = Callable[[], None]  # raises if a server was started since, which a cluster does not keep from being


@dataclass(frozen=True, slots=True)
class Part:
    """A table that does not expire, one day of a table that does, or a queue."""

    name: str
    day: int | None = None
    is_queue: bool = False


class Site(Protocol):
    """A store that no server has open. The rows of a queue are an id (16) and due time and item (queuerows.py); where a
    place wants ids of its own it makes them from these, always the same. StoreError if it does not answer."""

    @property
    def where(self) -> str:
        """As the `store` line names it; empty for the server's folder."""

    @property
    def called(self) -> str:
        """For people."""

    async def identity(self) -> str:
        """The same for as long as it is the same store."""

    async def note(self) -> Note | None:
        """What the last move left with it."""

    async def write_down(self, note: Note) -> None:
        """Leave a note, durably."""

    async def is_empty(self) -> bool:
        """Whether it holds nothing of anybody."""

    async def parts(self) -> dict[Part, int]:
        """How many rows each part has, without those that have none."""

    def rows(self, part: Part) -> AsyncIterator[Rows]:
        """All rows of a part, some at a time; one may come twice."""

    async def find(self, part: Part, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values in the order of the keys, from this very part."""

    async def insert(self, part: Part, rows: Rows) -> None:
        """Create or overwrite, durably."""

    async def clear(self) -> None:
        """Forget all rows, not the note."""

    async def close(self) -> None:
        """Let go."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What was moved. `already`: by an earlier call, and this one has changed nothing."""

    rows: int
    queued: int
    already: bool = False


async def move(source: Site, target: Site, progress: Progress, last_look: LastLook) -> Moved:
    """Copy all that `source` holds to `target`, compare both, and leave notes with them by which servers start from the
    latter only. StoreError says why that cannot be; then the state is where it was."""
    left, found = await source.note(), await target.note()
    if left is not None and left.state == "arriving":
        raise StoreError(f"{source.called}: a move into it has not been finished")
    if left is not None and left.state == "gone":
        if found is None or found.move != left.move:
            raise StoreError(f"{source.called}: its state was moved already, to {left.other or 'the folder'}")
        if found.state == "here":
            return Moved(0, 0, already=True)
    identity = await source.identity()
    resumed = found is not None and found.state == "arriving"
    if found is not None and found.state == "arriving":
        if found.other != identity:
            raise StoreError(f"{target.called}: a move of another store into it has not been finished")
        note = found
    else:
        if not await target.is_empty():
            raise StoreError(f"{target.called}: holds data already, which a move never overwrites")
        note = Note("arriving", secrets.token_hex(8), identity)
        await target.write_down(note)
    parts = await _copied(source, target, resumed, progress)
    last_look()
    # In this order: at no time may servers start from either.
    await source.write_down(Note("gone", note.move, target.where))
    await target.write_down(Note("here", note.move, ""))
    queued = sum(number for part, number in parts.items() if part.is_queue)
    return Moved(sum(parts.values()) - queued, queued)


async def _copied(source: Site, target: Site, resumed: bool, progress: Progress) -> dict[Part, int]:
    """Have the target hold what the source holds, and nothing else; what that is."""
    parts = await source.parts()

    async def copy(part: Part, rows: Rows) -> None:
        if resumed:
            known = await target.find(part, [key for key, _ in rows])
            rows = [row for row, value in zip(rows, known, strict=True) if row[1] != value]
        if rows:
            await target.insert(part, rows)

    async def compare(part: Part, rows: Rows) -> None:
        if await target.find(part, [key for key, _ in rows]) != [value for _, value in rows]:
            raise StoreError(f"{target.called}: what was copied is not what {source.called} holds: {_CHANGES}")

    await _through(source, parts, copy, lambda done, total: progress("copying", done, total))
    if await target.parts() != parts:
        if not resumed:
            raise StoreError(f"{target.called}: holds not as many rows as {source.called}: {_CHANGES}")
        # The server has been used since the move was broken off, and has forgotten some of what was copied then.
        await target.clear()
        return await _copied(source, target, False, progress)
    await _through(source, parts, compare, lambda done, total: progress("comparing", done, total))
    return parts


_CHANGES = "something else writes to one of them; stop it and repeat the move"


async def _through(
    source: Site,
    parts: Mapping[Part, int],
    work: Callable[[Part, Rows], Awaitable[None]],
    report: Callable[[int, int], None],
) -> None:
    """Do something with all rows, a few calls at once. The first error ends it."""
    total, done = sum(parts.values()), 0
    running: dict[asyncio.Future[None], int] = {}

    async def settle(wait_for: str) -> None:
        nonlocal done
        finished, _ = await asyncio.wait(running, return_when=wait_for)
        for task in finished:
            done += running.pop(task)
            task.result()
        report(min(done, total), total)

    report(0, total)
    try:
        for part in sorted(parts, key=lambda each: (each.is_queue, each.name, each.day or 0)):
            async for rows in source.rows(part):
                running[asyncio.ensure_future(work(part, rows))] = len(rows)
                if len(running) >= _CALLS_AT_ONCE:
                    await settle(asyncio.FIRST_COMPLETED)
        while running:
            await settle(asyncio.FIRST_COMPLETED)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
