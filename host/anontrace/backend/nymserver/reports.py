"""Reports: stored for the authority, decided once, then without any contact address (docs/protocol.md section 9).

A decision, what it sends and the order to forget the contacts are one step in the store; a retraction likewise. Never
sends by itself: what is to be sent goes into the paced queue.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from itertools import chain as joined

from anontrace_shared.errors import AuthenticationError
from anontrace_shared.schedule import nym_key

from anontrace import clock
from anontrace.backend.counters import Counters
from anontrace.backend.errors import Refused
from anontrace.backend.store import Entry, Put, Store
from anontrace.mixnet import chain, keydays
from anontrace.mixnet.notification import Kind, Notification

from . import retraction
from .nyms import Outgoing
from .records import Case, Contact, Contacts, Decision, Exposure, Report, Retraction, State, Tally
from .retraction import Notified

SEND = "send"
FORGET = "forget"
KEEP_DAYS = 60
UNDECIDED_DAYS = 30
CASE_DAYS = 120
_REPORTS, _CONTACTS, _CASES, _BY_DAY = "reports", "report-contacts", "cases", "reports-by-day"
_NOTIFIED = "report-notified"
_MOST_A_DAY = 1 << 20
_random = random.SystemRandom()


class Reports:
    """The reports and cases of this nymserver. `wake` is called with each queue that got something."""

    def __init__(
        self, store: Store, counters: Counters, token_key: bytes, chain_days: int, wake: Callable[[str], None]
    ) -> None:
        self._store = store
        self._counters = counters
        self._token_key = token_key
        self._chain_days = chain_days
        self._wake = wake
        self._deciding = asyncio.Lock()  # so that the list kept for a retraction is the one of the decision that counts

    async def add(
        self, report_id: bytes, case_id: bytes, generation: int, disease: str, contacts: list[Contact], tally: Tally
    ) -> None:
        """Store a report and its contacts. Doing it again for the same id changes nothing."""
        now = clock.now()
        today = keydays.day_at(now)
        report = Report(
            report=report_id,
            case=case_id,
            generation=generation,
            disease=disease,
            received=int(now),
            exposures=[Exposure.of(contact) for contact in contacts],
            log=tally,
        )
        if (await self._store.get_many(_REPORTS, [report_id]))[0] is None:
            kept = Contacts(contacts=contacts).model_dump_json().encode()
            await self._store.put_many(_CONTACTS, [(report_id, kept)], expires=today + UNDECIDED_DAYS)
        put = Put(report_id, report.model_dump_json().encode())
        await self._store.put_if_absent_many(_REPORTS, [put], expires=today + KEEP_DAYS)
        await self._store.append_many(_BY_DAY, [(_day_key(today), report_id)], _MOST_A_DAY, expires=today + KEEP_DAYS)
        self._counters.add("reports")

    async def all(self) -> list[Report]:
        """Every report of the last KEEP_DAYS, oldest first."""
        today = keydays.day_at(clock.now())
        days = [_day_key(day) for day in range(today - KEEP_DAYS, today + 1)]
        ids = list(joined.from_iterable(await self._store.get_lists(_BY_DAY, days)))
        values = await self._store.get_many(_REPORTS, ids)
        return [Report.model_validate_json(value) for value in values if value is not None]

    async def case(self, case_id: bytes) -> Case | None:
        """What the authority has decided for a case; None before its first decision."""
        (value,) = await self._store.get_many(_CASES, [case_id])
        return None if value is None else Case.model_validate_json(value)

    async def decide(self, report_id: bytes, decision: Decision) -> int:
        """Carry out a decision; how many notifications were queued. 404 for an unknown report, 409 for a decided one,
        422 if the decision contradicts itself or the report."""
        async with self._deciding:
            return await self._decide(report_id, decision)

    async def _decide(self, report_id: bytes, decision: Decision) -> int:
        (value,) = await self._store.get_many(_REPORTS, [report_id])
        if value is None:
            raise Refused(404, "there is no such report")
        report = Report.model_validate_json(value)
        if report.state is not State.PENDING:
            raise Refused(409, f"this report is {report.state} already")
        outgoing: list[Outgoing] = []
        if decision.approve:
            case, contacts = await self._within_budgets(report, decision)
            outgoing = self._outgoing(report, decision, case, contacts)
            if decision.retraction_key is not None:
                await self._keep_notified(report_id, decision.retraction_key, contacts)
        decided = report.model_copy(update={"state": State.APPROVED if decision.approve else State.REFUSED})
        now = time.time()
        # All due at once and so in the order of their random ids: nothing tells who stood where in the log.
        then = [Entry(SEND, now, each.encode()) for each in outgoing] + [Entry(FORGET, now, report_id)]
        new = decided.model_dump_json().encode()
        if not await self._store.compare_and_swap(_REPORTS, report_id, value, new, None, then):
            raise Refused(409, "this report was decided at the same moment")
        self._wake(SEND)
        self._wake(FORGET)
        self._counters.add("reports_approved" if decision.approve else "reports_refused")
        return len(outgoing)

    async def _within_budgets(self, report: Report, decision: Decision) -> tuple[Case, list[Contact]]:
        """The case as it is now decided, and the contacts that its budgets let be told: who was near longest first."""
        if not decision.fits():
            raise Refused(422, "message: too long for a notification")
        wanted = await self._chosen(report, decision)
        today = keydays.day_at(clock.now())
        for _ in range(8):
            (value,) = await self._store.get_many(_CASES, [report.case])
            case = Case(disease=report.disease, depth=1) if value is None else Case.model_validate_json(value)
            if case.retracted:
                raise Refused(409, "the patient's own report of this case was retracted")
            for name in ("depth", "case_budget", "day_budget"):
                given = getattr(decision, name)
                if given is not None:
                    setattr(case, name, given)
            if case.depth <= report.generation:
                raise Refused(422, f"depth: the contacts of this report are generation {report.generation + 1}")
            limits = [limit for limit in (decision.budget, case.room(report.report, today)) if limit is not None]
            contacts = wanted[: min(limits)] if limits else wanted
            case.spend(report.report, today, len(contacts))
            new = case.model_dump_json().encode()
            if await self._store.compare_and_swap(_CASES, report.case, value, new, today + CASE_DAYS):
                self._counters.add("over_budget", len(wanted) - len(contacts))
                return case, contacts
        raise Refused(409, "this case is being decided at the same moment")

    async def _chosen(self, report: Report, decision: Decision) -> list[Contact]:
        (value,) = await self._store.get_many(_CONTACTS, [report.report])
        contacts = [] if value is None else Contacts.model_validate_json(value).contacts
        if decision.exposures != "all":
            wanted = set(decision.exposures)
            if not wanted <= {contact.id for contact in contacts}:
                raise Refused(422, "exposures: this report has no such exposure")
            contacts = [contact for contact in contacts if contact.id in wanted]
        if decision.attenuation is not None:
            contacts = [contact for contact in contacts if contact.attenuation <= decision.attenuation]
        return sorted(contacts, key=lambda contact: (-contact.present, contact.attenuation))

    async def _keep_notified(self, report_id: bytes, key: bytes, contacts: Sequence[Contact]) -> None:
        """Before anybody is told, so that a crash in between leaves nobody whom a retraction would not reach."""
        sealed = retraction.seal(key, report_id, [Notified(each.address, each.slot) for each in contacts])
        expires = keydays.day_at(clock.now()) + self._chain_days
        await self._store.delete_many(_NOTIFIED, [report_id])  # of an attempt on an earlier day, with its expiry
        await self._store.put_many(_NOTIFIED, [(report_id, sealed)], expires)

    async def retract(self, report_id: bytes, wanted: Retraction) -> int:
        """Tell everybody who was notified of a report that it is taken back; how many messages were queued.

        404 for an unknown report, 409 unless it was approved, 410 when the list of the notified is gone, 403 if the
        key does not open it. Retracting a patient's own report ends its case.
        """
        if not wanted.fits():
            raise Refused(422, "message: too long for a notification")
        (value,) = await self._store.get_many(_REPORTS, [report_id])
        if value is None:
            raise Refused(404, "there is no such report")
        report = Report.model_validate_json(value)
        if report.state is not State.APPROVED:
            raise Refused(409, f"this report is {report.state}: nobody was notified who could be told otherwise")
        (sealed,) = await self._store.get_many(_NOTIFIED, [report_id])
        if sealed is None:
            raise Refused(410, "who was notified of this report is not known any more")
        try:
            notified = retraction.unseal(wanted.key, report_id, sealed)
        except AuthenticationError as error:
            raise Refused(403, str(error)) from None
        if report.generation == 0:
            await self._end_case(report.case)
        content = Notification(
            Kind.RETRACTION,
            case_id=report.case,
            report_id=report_id,
            disease=report.disease,
            message=wanted.message,
        ).encode()
        now = time.time()
        then = [Entry(SEND, now, Outgoing(each.address, each.slot, content).encode()) for each in notified]
        new = report.model_copy(update={"state": State.RETRACTED}).model_dump_json().encode()
        if not await self._store.compare_and_swap(_REPORTS, report_id, value, new, None, then):
            raise Refused(409, "this report was retracted at the same moment")
        await self._store.delete_many(_NOTIFIED, [report_id])
        self._wake(SEND)
        self._counters.add("reports_retracted")
        return len(notified)

    async def _end_case(self, case_id: bytes) -> None:
        for _ in range(8):
            (value,) = await self._store.get_many(_CASES, [case_id])
            if value is None:
                return
            ended = Case.model_validate_json(value).model_copy(update={"retracted": True})
            if await self._store.compare_and_swap(_CASES, case_id, value, ended.model_dump_json().encode()):
                return
        raise Refused(409, "this case is being decided at the same moment")

    def _outgoing(self, report: Report, decision: Decision, case: Case, contacts: Sequence[Contact]) -> list[Outgoing]:
        expiry = keydays.day_at(clock.now()) + self._chain_days
        outgoing: list[Outgoing] = []
        for contact in contacts:
            nym = nym_key(contact.address, contact.slot)
            claim = chain.ChainClaim(report.case, nym, report.generation + 1, expiry)
            notification = Notification(
                Kind.NOTIFICATION,
                case_id=report.case,
                report_id=report.report,
                chain_token=chain.seal(self._token_key, claim),
                disease=case.disease,
                present=contact.present,
                attenuation=contact.attenuation,
                rule_minutes=decision.minutes,
                message=decision.message,
            )
            outgoing.append(Outgoing(contact.address, contact.slot, notification.encode()))
        return outgoing

    async def forget(self, report_ids: Sequence[bytes]) -> None:
        """Delete the contact addresses of decided reports."""
        await self._store.delete_many(_CONTACTS, report_ids)


def _day_key(day: int) -> bytes:
    return day.to_bytes(4, "big")
