"""Sending an upload that is ready straight to the nymserver, chunk by chunk, for who asks for that by name
(docs/protocol.md section 8).

The nymserver sees the wearer's network address. If it is interrupted at any point, the next call continues where the
nymserver says.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from anontrace.companion.errors import RefusedError
from anontrace.companion.reports import refusals
from anontrace.companion.store.state import State
from anontrace.companion.store.states import ACCEPTED, REFUSED
from anontrace.companion.store.uploads import StoredUpload
from anontrace.wire import upload

if TYPE_CHECKING:
    from anontrace.companion.network.servers import Servers

MAX_STALLS = 3  # answers in a row that ask for bytes which were sent already

_NOT_TAKEN = "the nymserver does not take the upload; try again later"

Progress = Callable[[int, int], None]


def chunk_count(stored: StoredUpload) -> int:
    """In how many chunks an upload goes that is ready."""
    assert stored.payload is not None
    return -(-len(stored.payload) // upload.CHUNK_DATA)


def send(state: State, servers: "Servers", stored: StoredUpload, progress: Progress) -> None:
    """Send an upload that is ready, chunk after chunk, each from where the nymserver says; a repeat after the end is
    answered as the end was. RefusedError when the nymserver refuses it."""
    assert stored.payload is not None and stored.case_id is not None  # it is ready
    total, stalled = len(stored.payload), 0
    while True:
        before = stored.sent
        stored = _send_chunk(state, servers, stored)
        if stored.state == ACCEPTED:
            progress(total, total)
            return
        stalled = stalled + 1 if stored.sent <= before else 0
        if stalled > MAX_STALLS:
            raise RefusedError(_NOT_TAKEN)
        progress(stored.sent, total)


def _send_chunk(state: State, servers: "Servers", stored: StoredUpload) -> StoredUpload:
    """Send the next chunk; returns the upload as it then stands."""
    data = stored.payload
    assert data is not None
    piece = data[stored.sent : stored.sent + upload.CHUNK_DATA]
    reply = servers.upload(upload.Chunk(stored.upload_id, len(data), stored.sent, piece).encode())
    if reply.state == upload.State.ACCEPTED or refusals.came_otherwise(stored, reply.reason):
        state.uploads.finish(stored, ACCEPTED)
        return replace(stored, state=ACCEPTED)
    if reply.state == upload.State.REFUSED:
        state.uploads.finish(stored, REFUSED)
        raise RefusedError(refusals.sentence(reply.reason))
    if reply.next_offset >= len(data):
        raise RefusedError(_NOT_TAKEN)
    state.uploads.set_sent(stored, reply.next_offset)
    return replace(stored, sent=reply.next_offset)
