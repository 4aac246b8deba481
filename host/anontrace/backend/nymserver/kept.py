"""What is here of each upload, and how it ended: one record an upload, its parts beside it.

An upload comes in chunks (uploads.py) or in fragments (fragments.py), as it began, and is judged, opened and forgotten
alike. Never opens a log.
"""

import asyncio
import os
import struct
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from anontrace.backend.observing.counters import Counters
from anontrace.backend.store import Entry, Put, Store
from anontrace.mixnet.sizes import REPORT_ID
from anontrace.wire import upload
from anontrace.wire.upload import Reason, State, Upload

from .judging import Judge

OPEN = "open"
_UPLOADS, _PARTS = "uploads", "upload-chunks"
_PROGRESS = struct.Struct("<IIIBBBH")
_VOID, _IN_FRAGMENTS = 1, 2
_ATTEMPT = 4  # bytes that tell the attempts to add one part, of workers that do so at the same moment, apart


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an upload is: its length, its last day, what is here, in how many parts, and how it ended. `void`: its
    chain token is not one, so that nothing is kept and its sender is answered all the same. `attempts` (4 bytes each):
    by which attempt each of the last chunks was added; those before them were kept without one. Of an upload in
    fragments, `parts` are all that it will have, with the opening, and none has an attempt."""

    total: int
    last_day: int
    received: int = 0
    parts: int = 0
    state: State = State.RECEIVING
    reason: Reason = Reason.NONE
    void: bool = False
    in_fragments: bool = False
    attempts: bytes = b""

    def encode(self) -> bytes:
        flags = self.void * _VOID | self.in_fragments * _IN_FRAGMENTS
        head = (self.total, self.received, self.parts, self.state, self.reason, flags, self.last_day)
        return _PROGRESS.pack(*head) + self.attempts

    @classmethod
    def decode(cls, value: bytes) -> "Progress":
        total, received, parts, state, reason, flags, last_day = _PROGRESS.unpack_from(value)
        ended = (State(state), Reason(reason))
        ways = (bool(flags & _VOID), bool(flags & _IN_FRAGMENTS))
        return cls(total, last_day, received, parts, *ended, *ways, value[_PROGRESS.size :])

    def with_part(self, size: int) -> "Progress":
        """With one more chunk, of so many bytes, under a name of this attempt: one at the same moment with other data
        leaves alone what was judged."""
        attempts = self.attempts if self.void else self.attempts + os.urandom(_ATTEMPT)
        return replace(self, received=self.received + size, parts=self.parts + 1, attempts=attempts)

    def keys(self, upload_id: bytes) -> list[bytes]:
        """Of the parts."""
        attempts = [self.attempts[at : at + _ATTEMPT] for at in range(0, len(self.attempts), _ATTEMPT)]
        without = [b""] * (self.parts - len(attempts))
        return [_part_key(upload_id, number, attempt) for number, attempt in enumerate(without + attempts)]


class Kept:
    """All uploads of one store. `wake` is called with each queue that got something."""

    def __init__(self, store: Store, counters: Counters, judge: Judge, wake: Callable[[str], None]) -> None:
        self._store = store
        self._counters = counters
        self._counters.declare("uploads_accepted", "uploads_refused")
        self._judge = judge
        self._wake = wake
        self.judging = asyncio.Lock()  # to be held to end an upload: one at a time is in memory as a whole

    async def find(self, upload_id: bytes) -> tuple[bytes | None, Progress | None]:
        """The record of an upload, as it is stored and decoded."""
        (value,) = await self._store.get_many(_UPLOADS, [upload_id])
        return value, None if value is None else Progress.decode(value)

    async def put_part(self, upload_id: bytes, after: Progress, data: bytes) -> None:
        """Keep the last of the chunks, before the record says so."""
        await self._store.put_many(_PARTS, [(after.keys(upload_id)[-1], data)], after.last_day)

    async def drop_part(self, upload_id: bytes, after: Progress) -> None:
        """Take back what `put_part` kept."""
        await self._store.delete_many(_PARTS, after.keys(upload_id)[-1:])

    async def put_fragments(self, upload_id: bytes, last_day: int, parts: Iterable[tuple[int, bytes]]) -> None:
        """Keep parts by number, each unless there is one already."""
        puts = [Put(_part_key(upload_id, number), data) for number, data in parts]
        await self._store.put_if_absent_many(_PARTS, puts, last_day)

    async def change(self, upload_id: bytes, value: bytes | None, after: Progress, is_whole: bool) -> Progress | None:
        """Replace the record `value`; if all of the upload is here, judge it, and end it with that. None: another was
        faster, and nothing was changed."""
        then = []
        if is_whole:
            reason = Reason.NONE
            if not after.void:
                reason = await self._judge.whole(await self._joined(upload_id, after), upload_id)
            after = replace(after, state=State.REFUSED if reason else State.ACCEPTED, reason=reason)
            if not reason and not after.void:
                then = [Entry(OPEN, time.time(), upload_id + os.urandom(REPORT_ID))]
        if not await self._store.compare_and_swap(_UPLOADS, upload_id, value, after.encode(), after.last_day, then):
            return None
        if after.state is State.ACCEPTED:
            self._counters.add("uploads_accepted")
            self._wake(OPEN)
        elif after.state is State.REFUSED:
            self._counters.add("uploads_refused")
            await self.forget(upload_id)
        return after

    async def _joined(self, upload_id: bytes, progress: Progress) -> bytes:
        """What is here, without the zeros that fill up a last fragment."""
        parts = await self._store.get_many(_PARTS, progress.keys(upload_id))
        return b"".join(part for part in parts if part is not None)[: progress.total]

    async def complete(self, upload_id: bytes) -> Upload | None:
        """An accepted upload; None if it was forgotten."""
        _, progress = await self.find(upload_id)
        if progress is None:
            return None
        data = await self._joined(upload_id, progress)
        return upload.parse(data) if len(data) == progress.total else None

    async def forget(self, upload_id: bytes) -> None:
        """Delete what was uploaded. How it ended stays known for some days, for a sender who asks again."""
        _, progress = await self.find(upload_id)
        if progress is not None:
            await self._store.delete_many(_PARTS, progress.keys(upload_id))


def _part_key(upload_id: bytes, number: int, attempt: bytes = b"") -> bytes:
    return upload_id + number.to_bytes(4, "big") + attempt
