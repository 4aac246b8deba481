"""Who may extend a chain of reports, and how deep: step 9 of the source document (docs/protocol.md section 9).

Never answers the sender, who does not learn what a chain token was worth, and never opens a log.
"""

from dataclasses import dataclass, field
from hashlib import sha256

from anontrace_primitives import equal
from anontrace_shared.errors import AnontraceError
from anontrace_shared.schedule import nym_key

from anontrace import clock
from anontrace.backend.store import Put, Store
from anontrace.mixnet import chain, keydays
from anontrace.wire.upload import ChainAuthorization

from .judging import KEEP_DAYS
from .reports import CASE_DAYS, Reports

_SPENT = "chain-tokens"


@dataclass(frozen=True, slots=True)
class Origin:
    """What a report belongs to."""

    case_id: bytes = field(repr=False)
    generation: int
    disease: str
    is_committed: bool = False  # the permit names a log that was committed at the test


class ChainUploads:
    """Judges uploads by chain token; remembers which tokens are spent."""

    def __init__(self, store: Store, reports: Reports, token_key: bytes) -> None:
        self._store = store
        self._reports = reports
        self._token_key = token_key

    async def origin(self, shown: ChainAuthorization, upload_id: bytes) -> Origin | None:
        """The report that an upload makes; None if it makes none. The address has to be one that was notified
        in this case; the token genuine, in time when the upload began, and unspent; and the authority has to let the
        chain go on from this generation."""
        try:
            claim = chain.open(self._token_key, shown.chain_token)
            key = nym_key(shown.address, shown.slot)
        except AnontraceError:
            return None
        if not (equal(claim.case_id, shown.case_id) and equal(claim.nym_key, key)):
            return None
        today = keydays.day_at(clock.now())
        case = await self._reports.case(claim.case_id)
        if claim.expiry_day + KEEP_DAYS < today or case is None or case.retracted or not case.goes_on(claim.generation):
            return None
        token = sha256(shown.chain_token).digest()
        await self._store.put_if_absent_many(_SPENT, [Put(token, upload_id)], expires=today + CASE_DAYS)
        (spender,) = await self._store.get_many(_SPENT, [token])
        return Origin(claim.case_id, claim.generation, case.disease) if spender == upload_id else None
