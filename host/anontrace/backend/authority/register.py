"""The tokens that were issued, as test sites look for them: by day, by their own reference, with what became of each.

Knows a token by its hash and id; the token itself is nowhere.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from anontrace import clock
from anontrace.backend.errors import Refused, StoreError
from anontrace.backend.staff import audit
from anontrace.backend.staff.audit import Audit
from anontrace.backend.store import Store
from anontrace.wire import permit

from .tokens import BATCHES, BY_DAY, BY_REFERENCE, ID, TABLE, Stored, reference_key

_DAY_BITS = 32
_MAX_ATTEMPTS = 8


class State(StrEnum):
    """What became of a token."""

    OPEN = "open"
    REDEEMED = "redeemed"
    RECEIVED = "log received"
    DECIDED = "decided"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Listed:
    """A token as it is shown. `case`: of the permit that it was redeemed for (hex); "" before."""

    id: str
    disease: str
    issued: int
    expires: int
    by: str
    site: str
    reference: str = field(repr=False)
    state: State
    case: str = field(default="", repr=False)


class Register:
    """All tokens of a health authority. `site`, where it is given, limits what is found to those of one test site."""

    def __init__(self, store: Store, chain: Audit) -> None:
        self._store = store
        self._audit = chain

    async def of_day(self, day: int, site: str = "", received: Mapping[str, str] | None = None) -> list[Listed]:
        """Those issued on a day, the last first. `received`: the state of the patient's own report of each case."""
        rows = await self._store.bucket(BY_DAY, _DAY_BITS, day)
        found = await self._shown([key for key, _ in rows], [value for _, value in rows], site, received or {})
        return sorted(found, key=lambda each: -each.issued)

    async def find(self, reference: str, site: str = "", received: Mapping[str, str] | None = None) -> list[Listed]:
        """Those with this reference, however it is typed."""
        (ids,) = await self._store.get_lists(BY_REFERENCE, [reference_key(reference)])
        keys = await self._store.get_many(BY_DAY, ids)
        found = [(identity, key) for identity, key in zip(ids, keys, strict=True) if key is not None]
        return await self._shown([each for each, _ in found], [key for _, key in found], site, received or {})

    async def get(self, token_id: str, site: str = "", received: Mapping[str, str] | None = None) -> Listed:
        """One. Refused (404) if there is none of this id."""
        identity = _identity(token_id)
        (key,) = await self._store.get_many(BY_DAY, [identity])
        found = [] if key is None else await self._shown([identity], [key], site, received or {})
        if not found:
            raise Refused(404, "there is no such token")
        return found[0]

    async def withdraw(self, token_id: str, by: str, site: str = "") -> None:
        """It cannot be redeemed any more. 404 if there is none, 409 if it was redeemed, or withdrawn before."""
        await self.get(token_id, site)
        (key,) = await self._store.get_many(BY_DAY, [_identity(token_id)])
        assert key is not None
        for _ in range(_MAX_ATTEMPTS):
            (value,) = await self._store.get_many(TABLE, [key])
            if value is None:
                raise Refused(404, "there is no such token")
            stored = Stored.model_validate_json(value)
            if stored.permit is not None or stored.withdrawn:
                raise Refused(409, f"this token was {'withdrawn' if stored.withdrawn else 'redeemed'} already")
            new = stored.model_copy(update={"withdrawn": True}).model_dump_json().encode()
            then = [audit.entry(by, "token withdrawn", token=token_id)]
            if await self._store.compare_and_swap(TABLE, key, value, new, None, then):
                self._audit.wake()
                return
        raise StoreError("a token changed under every attempt to withdraw it")

    async def _shown(
        self, ids: Sequence[bytes], keys: Sequence[bytes], site: str, received: Mapping[str, str]
    ) -> list[Listed]:
        values = await self._store.get_many(TABLE, keys)
        found = [(i, Stored.model_validate_json(value)) for i, value in zip(ids, values, strict=True) if value]
        complete = await self._complete({each.batch for _, each in found if each.batch})
        now = clock.now()
        return [
            _listed(identity, each, now, received)
            for identity, each in found
            if (not site or each.site == site) and (not each.batch or each.batch in complete)
        ]

    async def _complete(self, batches: Iterable[str]) -> set[str]:
        """Those whose tokens count."""
        wanted = list(batches)
        there = await self._store.get_many(BATCHES, [bytes.fromhex(each) for each in wanted])
        return {each for each, value in zip(wanted, there, strict=True) if value is not None}


def _listed(identity: bytes, stored: Stored, now: float, received: Mapping[str, str]) -> Listed:
    case = "" if stored.permit is None else permit.case_of(stored.permit).hex()
    if stored.withdrawn:
        state = State.WITHDRAWN
    elif stored.permit is None:
        state = State.EXPIRED if now >= stored.expires else State.OPEN
    elif case in received:
        state = State.RECEIVED if received[case] == "pending" else State.DECIDED
    else:
        state = State.REDEEMED
    return Listed(
        id=identity.hex(), disease=stored.disease, issued=stored.issued, expires=stored.expires, by=stored.by,
        site=stored.site, reference=stored.reference, state=state, case=case,
    )  # fmt: skip


def _identity(token_id: str) -> bytes:
    try:
        identity = bytes.fromhex(token_id)
    except ValueError:
        identity = b""
    if len(identity) != ID:
        raise Refused(404, "there is no such token")
    return identity
