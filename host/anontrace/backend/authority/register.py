"""The tokens that were issued, as test sites look for them: by day, by their own reference, with what became of each.

Knows a token by its hash and id; the token itself is nowhere.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from anontrace import clock
from anontrace.backend.errors import Refused, StoreError
from anontrace.backend.staff import audit
from anontrace.backend.staff.audit import Audit
from anontrace.backend.store import Entry, Store
from anontrace.wire import commitment, permit

from .tokens import BATCHES, BY_DAY, BY_REFERENCE, ID, TABLE, Result, Stored, reference_key

_DAY_BITS = 32
_MAX_ATTEMPTS = 8


class State(StrEnum):
    """What became of a token."""

    OPEN = "open"  # no result yet
    POSITIVE = "positive"
    NEGATIVE = "negative"
    REDEEMED = "redeemed"
    RECEIVED = "log received"
    DECIDED = "decided"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


_COMPLETED = (State.OPEN, State.POSITIVE, State.NEGATIVE)  # a result can be entered, or corrected


@dataclass(frozen=True, slots=True)
class Listed:
    """A token as it is shown. `committed`: whether a log was, at the test. `case`: of the permit that it was redeemed
    for (hex); "" before."""

    id: str
    disease: str
    issued: int
    expires: int
    by: str
    site: str
    reference: str = field(repr=False)
    state: State
    case: str = field(default="", repr=False)
    committed: bool = False
    result: str = ""  # "": none yet
    told: bool = False  # whether its result was, as a negative one

    def takes(self, result: Result) -> bool:
        """Whether this result can be entered, or was."""
        if self.result == result.value:
            return self.state is not State.WITHDRAWN
        return self.state in _COMPLETED and not self.told


class Register:
    """All tokens of a health authority. `site`, where it is given, limits what is found to those of one test site.
    `told_seconds`: for how long a result is told once it is entered."""

    def __init__(self, store: Store, chain: Audit, told_seconds: int) -> None:
        self._store = store
        self._told_seconds = told_seconds
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

        def withdrawn(stored: Stored) -> Stored:
            if stored.permit is not None or stored.told or stored.withdrawn:
                done = "withdrawn" if stored.withdrawn else "told its result" if stored.told else "redeemed"
                raise Refused(409, f"this token was {done} already")
            return stored.model_copy(update={"withdrawn": True})

        await self._change(token_id, site, withdrawn, audit.entry(by, "token withdrawn", token=token_id))

    async def complete(self, token_id: str, result: Result, by: str, site: str = "") -> bool:
        """Enter the result of its test; whether that changed anything: the same again changes nothing. A negative one
        may be corrected until it was told, a positive one until there is a permit by it. 404 if there is no such token,
        409 if it is too late for that, or the token cannot count any more."""

        def completed(stored: Stored) -> Stored | None:
            if stored.result is result and not stored.withdrawn:
                return None
            if stored.permit is not None or stored.told:
                raise Refused(409, "its result was told already; issue another token, and retract what was reported")
            if stored.withdrawn:
                raise Refused(409, "this token was withdrawn already")
            now = int(clock.now())
            if now >= stored.expires:
                raise Refused(409, "this token has expired; issue another one")
            return stored.model_copy(update={"result": result, "expires": now + self._told_seconds})

        if result is Result.PENDING:
            raise Refused(422, "result: positive or negative")
        entry = audit.entry(by, "result entered", token=token_id, result=result.value)
        return await self._change(token_id, site, completed, entry)

    async def _change(self, token_id: str, site: str, change: Callable[[Stored], Stored | None], entry: Entry) -> bool:
        """Change a token, in one step with its entry in the audit; False if there is nothing to change."""
        await self.get(token_id, site)
        (key,) = await self._store.get_many(BY_DAY, [_identity(token_id)])
        assert key is not None
        for _ in range(_MAX_ATTEMPTS):
            (value,) = await self._store.get_many(TABLE, [key])
            if value is None:
                raise Refused(404, "there is no such token")
            new = change(Stored.model_validate_json(value))
            if new is None:
                return False
            if await self._store.compare_and_swap(TABLE, key, value, new.model_dump_json().encode(), None, [entry]):
                self._audit.wake()
                return True
        raise StoreError("a token changed under every attempt to change it")

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
    elif stored.result is Result.NEGATIVE and (stored.told or now < stored.expires):
        state = State.NEGATIVE
    elif stored.permit is None:
        waits = State.OPEN if stored.result is Result.PENDING else State.POSITIVE
        state = State.EXPIRED if now >= stored.expires else waits
    elif case in received:
        state = State.RECEIVED if received[case] == "pending" else State.DECIDED
    else:
        state = State.REDEEMED
    return Listed(
        id=identity.hex(), disease=stored.disease, issued=stored.issued, expires=stored.expires, by=stored.by,
        site=stored.site, reference=stored.reference, state=state,
        committed=stored.commitment != commitment.NONE, case=case,
        result="" if stored.result is Result.PENDING else stored.result.value, told=stored.told,
    )  # fmt: skip


def _identity(token_id: str) -> bytes:
    try:
        identity = bytes.fromhex(token_id)
    except ValueError:
        identity = b""
    if len(identity) != ID:
        raise Refused(404, "there is no such token")
    return identity
