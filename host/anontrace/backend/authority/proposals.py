"""What one of the staff proposes for a report, so that another may have it done: with four eyes the only way."""

import secrets
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from anontrace import clock
from anontrace.backend.errors import Refused, StoreError
from anontrace.backend.nymserver.records import Decision
from anontrace.backend.staff import audit
from anontrace.backend.staff.audit import Audit
from anontrace.backend.store import Store
from anontrace.mixnet import keydays

KEEP_DAYS = 60
_TABLE = "staff-proposals"
_ID = 8
_MAX_ATTEMPTS = 16


class Act(StrEnum):
    """What can be done with a report."""

    APPROVE = "approve"
    REFUSE = "refuse"
    RETRACT = "retract"


class Wanted(BaseModel):
    """An act, and what it takes: of `approve` a decision, of `retract` the words for the contacts."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    act: Act
    decision: Decision | None = None
    message: str = ""

    @classmethod
    def deciding(cls, decision: Decision) -> "Wanted":
        """To approve or refuse, as a decision says. Refused (422) if its words do not fit."""
        decision.check_message()
        return cls(act=Act.APPROVE, decision=decision) if decision.approve else cls(act=Act.REFUSE)

    @classmethod
    def retracting(cls, message: str) -> "Wanted":
        """To retract, in these words. Refused (422) if they do not fit."""
        Decision(approve=False, message=message).check_message()
        return cls(act=Act.RETRACT, message=message)

    def told(self) -> dict[str, Any]:
        """What the audit says of it: the rule, and never the words, which might name somebody."""
        if self.decision is None:
            return {"act": self.act.value, "words": len(self.message)}
        rule = self.decision.model_dump(exclude_none=True, exclude={"approve", "message", "words", "retraction_key"})
        if not isinstance(rule["exposures"], str):
            rule["exposures"] = len(rule["exposures"])
        return {"act": self.act.value, "rule": rule, "words": len(self.decision.message)}


class Proposal(BaseModel):
    """What is proposed, by whom, and when (unix seconds). The id changes with what is proposed."""

    id: str
    wanted: Wanted
    by: str
    at: int


class Proposals:
    """One for each report at most; the later one takes the place of the one before."""

    def __init__(self, store: Store, chain: Audit) -> None:
        self._store = store
        self._audit = chain

    async def of(self, report: bytes) -> Proposal | None:
        (value,) = await self._store.get_many(_TABLE, [report])
        return None if value is None else Proposal.model_validate_json(value)

    async def of_many(self, reports: list[bytes]) -> dict[bytes, Proposal]:
        """By report, those of which something is proposed."""
        values = await self._store.get_many(_TABLE, reports)
        found = zip(reports, values, strict=True)
        return {each: Proposal.model_validate_json(value) for each, value in found if value is not None}

    async def make(self, report: bytes, wanted: Wanted, by: str) -> Proposal:
        """Propose it, instead of what was proposed before."""
        made = Proposal(id=secrets.token_hex(_ID), wanted=wanted, by=by, at=int(clock.now()))
        for _ in range(_MAX_ATTEMPTS):
            (value,) = await self._store.get_many(_TABLE, [report])
            then = [audit.entry(by, "proposed", report=report.hex(), proposal=made.id, **wanted.told())]
            new, expires = made.model_dump_json().encode(), keydays.day_at(clock.now()) + KEEP_DAYS
            if await self._store.compare_and_swap(_TABLE, report, value, new, expires, then):
                self._audit.wake()
                return made
        raise StoreError("a proposal changed under every attempt to change it")

    async def seen(self, report: bytes, proposal_id: str) -> Proposal:
        """The one that somebody has seen. Refused (409) if there is another one now, or none."""
        found = await self.of(report)
        if found is None or not secrets.compare_digest(found.id.encode(), proposal_id.encode(errors="replace")):
            raise Refused(409, "this is not proposed any more: look at the report again")
        return found

    async def forget(self, report: bytes) -> None:
        """It was done."""
        await self._store.delete_many(_TABLE, [report])
