"""From an accepted upload to a report: who may, then open, match and store (docs/protocol.md sections 7 to 9).

Runs after the sender has had its answer, so that neither the answer nor its time tells what a chain token was worth.
Repeatable: a crash in the middle leads to the same report.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from anontrace_primitives import equal
from anontrace_shared.errors import AnontraceError
from anontrace_shared.schedule import nym_key

from anontrace import clock
from anontrace.backend.counters import Counters
from anontrace.backend.store import Put, Store
from anontrace.mixnet import chain, keydays
from anontrace.wire import permit
from anontrace.wire.upload import UPLOAD_ID, ChainAuthorization, PermitAuthorization

from . import exposures
from .nyms import Nyms
from .reports import CASE_DAYS, Reports
from .uploads import KEEP_DAYS, Uploads

_SPENT = "chain-tokens"


@dataclass(frozen=True, slots=True)
class _Origin:
    """What a report belongs to."""

    case_id: bytes = field(repr=False)
    generation: int
    disease: str


class Opener:
    """Turns accepted uploads into reports."""

    def __init__(
        self,
        store: Store,
        counters: Counters,
        uploads: Uploads,
        nyms: Nyms,
        reports: Reports,
        authority_key: bytes,
        log_secret: bytes,
        token_key: bytes,
    ) -> None:
        self._store = store
        self._counters = counters
        self._uploads = uploads
        self._nyms = nyms
        self._reports = reports
        self._authority_key = authority_key
        self._log_secret = log_secret
        self._token_key = token_key

    async def open(self, items: Sequence[bytes]) -> None:
        """Handle queue entries: upload-ID (16), report-ID (8)."""
        for item in items:
            upload_id, report_id = item[:UPLOAD_ID], item[UPLOAD_ID:]
            found = await self._uploads.complete(upload_id)
            if found is None:
                continue
            origin = await self._origin(found.authorization, upload_id)
            if origin is None:
                self._counters.add("uploads_not_followed")
            else:
                heard, tally = await asyncio.to_thread(exposures.read, self._log_secret, found.log, clock.now())
                contacts = await exposures.match(heard, self._nyms.registered, tally)
                await self._reports.add(report_id, origin.case_id, origin.generation, origin.disease, contacts, tally)
            await self._uploads.forget(upload_id)

    async def _origin(
        self, authorization: PermitAuthorization | ChainAuthorization, upload_id: bytes
    ) -> _Origin | None:
        if isinstance(authorization, ChainAuthorization):
            return await self._chain(authorization, upload_id)
        try:
            found = permit.verify(authorization.permit, self._authority_key)
        except AnontraceError:
            return None  # accepted by a network file that named another authority
        return _Origin(found.case_id, 0, found.disease)

    async def _chain(self, shown: ChainAuthorization, upload_id: bytes) -> _Origin | None:
        """The seed's step 9: the address was notified in this case, the token is genuine, was in time when the upload
        began, and is unspent, and the authority lets the chain go on from this generation."""
        try:
            claim = chain.open(self._token_key, shown.chain_token)
            key = nym_key(shown.address, shown.slot)
        except AnontraceError:
            return None
        if not (equal(claim.case_id, shown.case_id) and equal(claim.nym_key, key)):
            return None
        today = keydays.day_at(clock.now())
        case = await self._reports.case(claim.case_id)
        if claim.expiry_day + KEEP_DAYS < today or case is None or case.retracted or claim.generation >= case.depth:
            return None
        token = sha256(shown.chain_token).digest()
        await self._store.put_if_absent_many(_SPENT, [Put(token, upload_id)], expires=today + CASE_DAYS)
        (spender,) = await self._store.get_many(_SPENT, [token])
        return _Origin(claim.case_id, claim.generation, case.disease) if spender == upload_id else None
