"""What an upload is worth: its opening before anything of it is kept, and the whole once it is here.

The same for an upload in chunks and one in fragments (docs/protocol.md sections 7 and 8). A permit or chain token
begins a few uploads and no more, so nobody fills the store for nothing, and a permit is for one. Whether a chain upload
is followed up is decided later, out of the sender's sight. Never opens a log: whether it continues the one that was
committed at the test, its blocks tell as they are.
"""

import asyncio
from dataclasses import dataclass
from hashlib import sha256

from anontrace_primitives import equal
from anontrace_shared.errors import AnontraceError, FormatError

from anontrace import clock
from anontrace.backend.observing.counters import Counters
from anontrace.backend.store import Put, Store
from anontrace.mixnet import chain, keydays
from anontrace.wire import commitment, permit, places, upload
from anontrace.wire.upload import Opening, PermitAuthorization, Reason

from . import exposures

KEEP_DAYS = upload.MAX_DAYS  # hidden among a companion's ordinary traffic an upload takes weeks
_DAY_SECONDS = 86400
_PERMIT_DAYS = 60
_PERMITS, _BEGUN = "permits", "uploads-begun"
_MAX_BEGUN = 6  # uploads by one permit or chain token within KEEP_DAYS


@dataclass(frozen=True, slots=True)
class Verdict:
    """On an opening: why it is refused, if it is. `void`: its chain token is not one, so that nothing is to be kept and
    its sender is answered all the same."""

    reason: Reason = Reason.NONE
    void: bool = False


class Judge:
    """Judges uploads of at most so many bytes; remembers which permits are spent and what each has begun."""

    def __init__(
        self, store: Store, counters: Counters, authority_key: bytes, token_key: bytes, most_bytes: int
    ) -> None:
        self._store = store
        self._counters = counters
        self._counters.declare("uploads_void")
        self._authority_key = authority_key
        self._token_key = token_key
        self._most_bytes = most_bytes

    async def opening(self, opening: Opening, upload_id: bytes) -> Verdict:
        """Judge what can be judged at the beginning; if it passes, the upload is begun. The same one may ask again."""
        if opening.total > self._most_bytes:
            return Verdict(Reason.TOO_LARGE)
        if isinstance(opening.authorization, PermitAuthorization):
            shown = opening.authorization.permit
            reason, _ = self._permit(shown)
            if not reason and not (await self._may_begin(shown, upload_id) and await self._is_unspent(shown)):
                reason = Reason.ALREADY_USED
            return Verdict(reason)
        shown = opening.authorization.chain_token
        try:
            is_live = chain.open(self._token_key, shown).expiry_day >= keydays.day_at(clock.now())
        except AnontraceError:
            is_live = False
        if is_live and await self._may_begin(shown, upload_id):
            return Verdict()
        self._counters.add("uploads_void")
        return Verdict(void=True)

    async def whole(self, data: bytes, upload_id: bytes) -> Reason:
        """Judge an upload that is here as a whole; if it passes, its permit is spent."""
        try:
            complete = upload.parse(data)
        except FormatError:
            return Reason.MALFORMED
        if not isinstance(complete.authorization, PermitAuthorization):
            return Reason.NONE
        reason, found = self._permit(complete.authorization.permit, KEEP_DAYS)
        if found is None or reason is not Reason.NONE:
            return reason
        if not equal(found.log_hash, complete.log_hash):
            return Reason.LOG_DOES_NOT_MATCH
        if found.commitment != commitment.NONE and not await asyncio.to_thread(
            _continues, complete.log, found.commitment
        ):
            return Reason.NOT_COMMITTED
        return await self._spend(complete.authorization.permit, upload_id)

    async def _may_begin(self, shown: bytes, upload_id: bytes) -> bool:
        """Whether this upload is one of the few that a permit or chain token may begin; it is from then on."""
        expires = keydays.day_at(clock.now()) + KEEP_DAYS
        item = (sha256(shown).digest(), upload_id)
        return (await self._store.append_many(_BEGUN, [item], _MAX_BEGUN, expires))[0]

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

    async def _spend(self, data: bytes, upload_id: bytes) -> Reason:
        """A permit is for one upload. The same upload may ask again: its answer may have been lost."""
        key = sha256(data).digest()
        expires = keydays.day_at(clock.now()) + _PERMIT_DAYS
        await self._store.put_if_absent_many(_PERMITS, [Put(key, upload_id)], expires)
        (spender,) = await self._store.get_many(_PERMITS, [key])
        return Reason.NONE if spender == upload_id else Reason.ALREADY_USED


def _continues(log: bytes, code: bytes) -> bool:
    """Whether a log goes on from the one with this code. CPU-bound: a hash a block."""
    block, records = commitment.split(log)
    if block is None:
        return False
    try:
        proof = commitment.parse(block)
    except FormatError:
        return False
    items, _ = exposures.framed(places.split(records)[0])
    return proof.holds(code, items)
