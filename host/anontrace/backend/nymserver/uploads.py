"""Uploads as they come in: fixed-size chunks, resumable, durable chunk by chunk (docs/protocol.md section 8).

Judges permits, which its sender may hear about; whether a chain upload is followed up is decided later, out of sight.
Who is authorised may begin again a few times, not fill the disk. Never opens a log.
"""

import asyncio
import os
import struct
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from hashlib import sha256

from anontrace_shared.errors import AnontraceError, FormatError

from anontrace import clock
from anontrace.backend.counters import Counters
from anontrace.backend.errors import StoreError
from anontrace.backend.store import Entry, Put, Store
from anontrace.mixnet import chain, keydays
from anontrace.mixnet.sizes import CASE_ID, CHAIN_TOKEN, CONTACT_ADDRESS, REPORT_ID
from anontrace.wire import permit, upload
from anontrace.wire.upload import Chunk, PermitAuthorization, Reason, Reply, State, Upload

OPEN = "open"
KEEP_DAYS = upload.MOST_DAYS  # hidden among a companion's ordinary traffic an upload takes weeks
_DAY_SECONDS = 86400
_PERMIT_DAYS = 60
_UPLOADS, _CHUNKS, _PERMITS, _BEGUN = "uploads", "upload-chunks", "permits", "uploads-begun"
_MOST_ATTEMPTS = 16
_MOST_BEGUN = 6  # uploads by one permit or chain token within KEEP_DAYS
_PROGRESS = struct.Struct("<IIIBB?H")
_PERMIT_END = 1 + permit.PERMIT
_CHAIN_END = 1 + CASE_ID + CONTACT_ADDRESS + 4 + CHAIN_TOKEN
_LOG_LENGTH = 4


@dataclass(frozen=True, slots=True)
class _Progress:
    """How far an upload is: its length, its last day, what is here, in how many chunks, and how it ended. `void`: its
    chain token is not one, so that nothing is kept and its sender is answered all the same."""

    total: int
    last_day: int
    received: int = 0
    chunks: int = 0
    state: State = State.RECEIVING
    reason: Reason = Reason.NONE
    void: bool = False

    def encode(self) -> bytes:
        return _PROGRESS.pack(self.total, self.received, self.chunks, self.state, self.reason, self.void, self.last_day)

    @classmethod
    def decode(cls, value: bytes) -> "_Progress":
        total, received, chunks, state, reason, void, last_day = _PROGRESS.unpack(value)
        return cls(total, last_day, received, chunks, State(state), Reason(reason), void)

    def reply(self) -> Reply:
        return Reply(self.state, self.received, self.reason)


class Uploads:
    """All uploads that are under way. `wake` is called with each queue that got something."""

    def __init__(
        self,
        store: Store,
        counters: Counters,
        authority_key: bytes,
        token_key: bytes,
        most_bytes: int,
        wake: Callable[[str], None],
    ) -> None:
        self._store = store
        self._counters = counters
        self._authority_key = authority_key
        self._token_key = token_key
        self._most_bytes = most_bytes
        self._wake = wake
        self._judging = asyncio.Lock()  # one upload at a time is in memory as a whole

    async def receive(self, body: bytes) -> Reply:
        """Take one chunk (16384). What it answers is durable."""
        try:
            chunk = upload.parse_chunk(body)
        except FormatError:
            return self._refused(Reason.MALFORMED)
        if chunk.is_dummy:
            self._counters.add("upload_dummies")
            return Reply(State.ACCEPTED)
        if chunk.total > self._most_bytes:
            return self._refused(Reason.TOO_LARGE)
        completes = chunk.offset + len(chunk.data) == chunk.total
        for _ in range(_MOST_ATTEMPTS):
            async with self._judging if completes else nullcontext():
                reply = await self._take(chunk)
            if reply is not None:
                return reply
        raise StoreError("an upload changed under every attempt to continue it")

    async def _take(self, chunk: Chunk) -> Reply | None:
        """One attempt. None: another request was faster, look again."""
        (value,) = await self._store.get_many(_UPLOADS, [chunk.upload_id])
        new = _Progress(chunk.total, keydays.day_at(clock.now()) + KEEP_DAYS)
        progress = new if value is None else _Progress.decode(value)
        if value is None and chunk.offset == 0:
            progress = await self._first_look(chunk, new)
            if progress.reason is not Reason.NONE:
                return self._refused(progress.reason)
        if progress.total != chunk.total:
            return self._refused(Reason.MALFORMED)
        if progress.state is not State.RECEIVING or progress.received != chunk.offset:
            return progress.reply()
        return await self._add(chunk, value, progress)

    async def _add(self, chunk: Chunk, value: bytes | None, before: _Progress) -> Reply | None:
        """Keep the chunk and go on, or end the upload with it. None: another request was faster, look again."""
        expires = before.last_day
        if not before.void:
            await self._store.put_many(_CHUNKS, [(_chunk_key(chunk.upload_id, before.chunks), chunk.data)], expires)
        after = replace(before, received=before.received + len(chunk.data), chunks=before.chunks + 1)
        then = []
        if after.received == after.total:
            reason = Reason.NONE if after.void else await self._judge(chunk.upload_id, after.chunks)
            after = replace(after, state=State.REFUSED if reason else State.ACCEPTED, reason=reason)
            if not reason and not after.void:
                then = [Entry(OPEN, time.time(), chunk.upload_id + os.urandom(REPORT_ID))]
        if not await self._store.compare_and_swap(_UPLOADS, chunk.upload_id, value, after.encode(), expires, then):
            return None
        if after.state is State.ACCEPTED:
            self._counters.add("uploads_accepted")
            self._wake(OPEN)
        elif after.state is State.REFUSED:
            self._counters.add("uploads_refused")
            await self.forget(chunk.upload_id)
        return after.reply()

    async def _first_look(self, chunk: Chunk, new: _Progress) -> _Progress:
        """Judge by the first chunk, which holds the authorization, what can be judged: nobody fills the store for
        nothing."""
        data = chunk.data
        end = {1: _PERMIT_END, 2: _CHAIN_END}.get(data[0], upload.CHUNK) + _LOG_LENGTH
        if len(data) < end or int.from_bytes(data[end - _LOG_LENGTH : end], "little") != chunk.total - end:
            return replace(new, reason=Reason.MALFORMED)
        if data[0] == 1:
            shown = data[1:_PERMIT_END]
            reason, _ = self._permit(shown)
            if not reason and not (await self._may_begin(shown, chunk.upload_id) and await self._is_unspent(shown)):
                reason = Reason.ALREADY_USED
            return replace(new, reason=reason)
        shown = data[_CHAIN_END - CHAIN_TOKEN : _CHAIN_END]
        try:
            is_live = chain.open(self._token_key, shown).expiry_day >= keydays.day_at(clock.now())
        except AnontraceError:
            is_live = False
        if is_live and await self._may_begin(shown, chunk.upload_id):
            return new
        self._counters.add("uploads_void")
        return replace(new, void=True)

    async def _may_begin(self, shown: bytes, upload_id: bytes) -> bool:
        """Whether this upload is one of the few that a permit or chain token may begin; it is from then on."""
        expires = keydays.day_at(clock.now()) + KEEP_DAYS
        item = (sha256(shown).digest(), upload_id)
        return (await self._store.append_many(_BEGUN, [item], _MOST_BEGUN, expires))[0]

    async def _is_unspent(self, shown: bytes) -> bool:
        (spender,) = await self._store.get_many(_PERMITS, [sha256(shown).digest()])
        return spender is None

    def _permit(self, data: bytes, days_under_way: int = 0) -> tuple[Reason, permit.Permit | None]:
        """What a permit is worth to an upload that began at most so many days ago: it had to be live then."""
        try:
            found = permit.verify(data, self._authority_key)
        except AnontraceError:
            return Reason.PERMIT_INVALID, None
        return (Reason.NONE if found.is_live(clock.now() - days_under_way * _DAY_SECONDS) else Reason.EXPIRED), found

    async def _judge(self, upload_id: bytes, chunks: int) -> Reason:
        try:
            complete = upload.parse(await self._joined(upload_id, chunks))
        except FormatError:
            return Reason.MALFORMED
        if not isinstance(complete.authorization, PermitAuthorization):
            return Reason.NONE
        reason, found = self._permit(complete.authorization.permit, KEEP_DAYS)
        if found is None or reason is not Reason.NONE:
            return reason
        if found.log_hash != complete.log_hash:
            return Reason.LOG_DOES_NOT_MATCH
        return await self._spend(complete.authorization.permit, upload_id)

    async def _spend(self, data: bytes, upload_id: bytes) -> Reason:
        """A permit is for one upload. The same upload may ask again: its answer may have been lost."""
        key = sha256(data).digest()
        expires = keydays.day_at(clock.now()) + _PERMIT_DAYS
        await self._store.put_if_absent_many(_PERMITS, [Put(key, upload_id)], expires)
        (spender,) = await self._store.get_many(_PERMITS, [key])
        return Reason.NONE if spender == upload_id else Reason.ALREADY_USED

    def _refused(self, reason: Reason) -> Reply:
        self._counters.add("chunks_refused")
        return Reply(State.REFUSED, 0, reason)

    async def _joined(self, upload_id: bytes, chunks: int) -> bytes:
        keys = [_chunk_key(upload_id, number) for number in range(chunks)]
        parts = await self._store.get_many(_CHUNKS, keys)
        return b"".join(part for part in parts if part is not None)

    async def complete(self, upload_id: bytes) -> Upload | None:
        """An accepted upload; None if it was forgotten."""
        (value,) = await self._store.get_many(_UPLOADS, [upload_id])
        if value is None:
            return None
        progress = _Progress.decode(value)
        data = await self._joined(upload_id, progress.chunks)
        return upload.parse(data) if len(data) == progress.total else None

    async def forget(self, upload_id: bytes) -> None:
        """Delete what was uploaded. How it ended stays known for some days, for a sender who asks again."""
        (value,) = await self._store.get_many(_UPLOADS, [upload_id])
        if value is not None:
            keys = [_chunk_key(upload_id, number) for number in range(_Progress.decode(value).chunks)]
            await self._store.delete_many(_CHUNKS, keys)


def _chunk_key(upload_id: bytes, number: int) -> bytes:
    return upload_id + number.to_bytes(4, "big")
