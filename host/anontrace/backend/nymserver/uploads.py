"""Uploads in chunks: fixed-size, resumable, durable chunk by chunk, each answered (docs/protocol.md section 8).

Tells the sender the result of a permit; of a chain token nothing. An authorised sender may begin again a few times, but
cannot fill the disk. Never opens a log.
"""

from contextlib import nullcontext
from dataclasses import replace

from anontrace_shared.errors import FormatError

from anontrace import clock
from anontrace.backend.errors import StoreError
from anontrace.backend.observing.counters import Counters
from anontrace.mixnet import keydays
from anontrace.wire import upload
from anontrace.wire.upload import Chunk, Reason, Reply, State

from .judging import KEEP_DAYS, Judge
from .kept import Kept, Progress

_MAX_ATTEMPTS = 16


class Uploads:
    """The uploads that come in chunks."""

    def __init__(self, kept: Kept, judge: Judge, counters: Counters) -> None:
        self._kept = kept
        self._judge = judge
        self._counters = counters
        self._counters.declare("chunks_refused")

    async def receive(self, body: bytes) -> Reply:
        """Take one chunk (16384). What it answers is durable."""
        try:
            chunk = upload.parse_chunk(body)
        except FormatError:
            return self._refused(Reason.MALFORMED)
        completes = chunk.offset + len(chunk.data) == chunk.total
        for _ in range(_MAX_ATTEMPTS):
            async with self._kept.judging if completes else nullcontext():
                reply = await self._take(chunk)
            if reply is not None:
                return reply
        raise StoreError("an upload changed under every attempt to continue it")

    async def _take(self, chunk: Chunk) -> Reply | None:
        """One attempt. None: another request was faster, look again."""
        value, progress = await self._kept.find(chunk.upload_id)
        if progress is None:
            progress = Progress(chunk.total, keydays.day_at(clock.now()) + KEEP_DAYS)
            if chunk.offset == 0:
                progress = await self._first_look(chunk, progress)
                if progress.reason is not Reason.NONE:
                    return self._refused(progress.reason)
        if progress.total != chunk.total or progress.in_fragments:
            return self._refused(Reason.MALFORMED)
        if progress.state is not State.RECEIVING or progress.received != chunk.offset:
            return _reply(progress)
        return await self._add(chunk, value, progress)

    async def _add(self, chunk: Chunk, value: bytes | None, before: Progress) -> Reply | None:
        """Keep the chunk and go on, or end the upload with it. None: another request was faster, look again."""
        after = before.with_part(len(chunk.data))
        if not before.void:
            await self._kept.put_part(chunk.upload_id, after, chunk.data)
        ended = await self._kept.change(chunk.upload_id, value, after, after.received == after.total)
        if ended is None and not before.void:
            await self._kept.drop_part(chunk.upload_id, after)
        return None if ended is None else _reply(ended)

    async def _first_look(self, chunk: Chunk, new: Progress) -> Progress:
        """Judge by the first chunk, which holds the opening, what can be judged."""
        try:
            opening = upload.parse_opening(chunk.data)
        except FormatError:
            return replace(new, reason=Reason.MALFORMED)
        if opening.total != chunk.total:
            return replace(new, reason=Reason.MALFORMED)
        verdict = await self._judge.opening(opening, chunk.upload_id)
        return replace(new, reason=verdict.reason, void=verdict.void)

    def _refused(self, reason: Reason) -> Reply:
        self._counters.add("chunks_refused")
        return Reply(State.REFUSED, 0, reason)


def _reply(progress: Progress) -> Reply:
    return Reply(progress.state, progress.received, progress.reason)
