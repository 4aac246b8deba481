"""From an accepted upload to a report: who may, then open, match and store (docs/protocol.md sections 7 to 9).

Runs after the sender has had its answer, so that neither the answer nor its time tells what a chain token was worth.
Repeatable: a crash in the middle leads to the same report.
"""

import asyncio
from collections.abc import Sequence

from anontrace_primitives import equal
from anontrace_shared.errors import AnontraceError
from anontrace_shared.slots import SLOT_SECONDS

from anontrace import clock
from anontrace.backend.observing.counters import Counters
from anontrace.backend.store import Store
from anontrace.wire import commitment, permit, places
from anontrace.wire.places import Places
from anontrace.wire.upload import UPLOAD_ID, ChainAuthorization, Upload

from . import exposures
from .chain_uploads import ChainUploads, Origin
from .kept import Kept
from .nyms import Nyms
from .records import Committed, Tally
from .reports import Reports


class Opener:
    """Turns accepted uploads into reports."""

    def __init__(
        self,
        store: Store,
        counters: Counters,
        kept: Kept,
        nyms: Nyms,
        reports: Reports,
        authority_key: bytes,
        log_secret: bytes,
        token_key: bytes,
        tx_correction: int = 0,
    ) -> None:
        self._counters = counters
        self._kept = kept
        self._nyms = nyms
        self._reports = reports
        self._authority_key = authority_key
        self._log_secret = log_secret
        self._tx_correction = tx_correction
        self._chains = ChainUploads(store, reports, token_key)

    async def open(self, items: Sequence[bytes]) -> None:
        """Handle queue entries: upload-ID (16), report-ID (8)."""
        for item in items:
            upload_id, report_id = item[:UPLOAD_ID], item[UPLOAD_ID:]
            found = await self._kept.complete(upload_id)
            if found is None:
                continue
            origin = await self._origin(found, upload_id)
            if origin is None:
                self._counters.add("uploads_not_followed")
            else:
                proof, records = commitment.split(found.log)
                bound = commitment.parse(proof).slot if proof is not None and origin.is_committed else None
                log, block = places.split(records)
                heard, tally = await asyncio.to_thread(exposures.read, self._log_secret, log, clock.now(), bound)
                said = await asyncio.to_thread(self._said, block, tally)
                contacts = await exposures.match(heard, self._nyms.registered, tally, self._tx_correction)
                committed = None if bound is None else Committed(until=(bound + 1) * SLOT_SECONDS)
                await self._reports.add(
                    report_id, origin.case_id, origin.generation, origin.disease, contacts, tally, said, committed
                )
            await self._kept.forget(upload_id)

    def _said(self, block: bytes | None, tally: Tally) -> Places:
        """What the log says of places; what makes no sense is counted as unreadable."""
        try:
            said = places.NOWHERE if block is None else places.unseal(self._log_secret, block)
        except AnontraceError:
            tally.damaged += 1
            return places.NOWHERE
        return said.within(*exposures.dated(clock.now()))

    async def _origin(self, complete: Upload, upload_id: bytes) -> Origin | None:
        if isinstance(complete.authorization, ChainAuthorization):
            return await self._chains.origin(complete.authorization, upload_id)
        try:
            found = permit.verify(complete.authorization.permit, self._authority_key)
        except AnontraceError:
            return None  # accepted by a network file that named another authority
        if not equal(found.log_hash, complete.log_hash):
            return None  # the log that is opened has to be the one that was judged, whatever the store did between
        # That it continues the log that was committed at the test was judged with that hash.
        return Origin(found.case_id, 0, found.disease, found.commitment != commitment.NONE)
