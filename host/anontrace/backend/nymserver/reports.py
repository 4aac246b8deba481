"""Reports: stored for the authority, decided once, then without any contact address (docs/protocol.md section 9).

A decision, what it takes of the budgets, what it sends and the order to forget the contacts are one compare-and-swap of
the case, so they hold under any number of workers; a retraction likewise. What the case says is copied to the report
afterwards, which outlives it. Never sends by itself: what is to be sent waits for its day (limit.py), or goes into the
paced queue.
"""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import chain as joined

from anontrace_shared.errors import AuthenticationError
from anontrace_shared.schedule import nym_key
from anontrace_shared.slots import SLOT_SECONDS, SLOTS_PER_DAY

from anontrace import clock
from anontrace.backend.errors import Refused, StoreError
from anontrace.backend.observing.counters import Counters
from anontrace.backend.store import Entry, Put, Store
from anontrace.mixnet import chain, keydays
from anontrace.mixnet.notification import Kind, Notification
from anontrace.mixnet.sizes import NOTE
from anontrace.wire.places import NOWHERE, Places

from . import cases, decisions, quota, retraction, risk
from .cases import Cases
from .contact_answers import ContactAnswers
from .limit import WAITING, Limit, Waiting
from .nyms import Outgoing
from .progress import Tallies
from .records import (
    Case,
    Committed,
    Contact,
    Contacts,
    Decision,
    Exposure,
    Outcome,
    Place,
    PlaceNote,
    Report,
    ReportList,
    Retraction,
    State,
    Tally,
)  # fmt: skip
from .retraction import Notified
from .sending import SEND as SEND
from .sending import Sending

FORGET = "forget"
KEEP_DAYS = 60
UNDECIDED_DAYS = 30
CASE_DAYS = cases.KEEP_DAYS
_REPORTS, _CONTACTS, _CASES, _BY_DAY = "reports", "report-contacts", cases.TABLE, "reports-by-day"
_NOTIFIED = "report-notified"
_MAX_A_DAY = 1 << 20
_MAX_ATTEMPTS = 64
_LIST_KEY = 16
_SLOT_MINUTES = SLOT_SECONDS // 60


class Reports:
    """The reports and cases of this nymserver. `wake` is called with each queue that got something; `limit` is where
    what a decision sends waits for its day."""

    def __init__(
        self,
        store: Store,
        counters: Counters,
        token_key: bytes,
        chain_days: int,
        wake: Callable[[str], None],
        limit: Limit,
    ) -> None:
        self._store = store
        self._counters = counters
        self._counters.declare("reports")
        self._token_key = token_key
        self._chain_days = chain_days
        self._wake = wake
        self._limit = limit
        self._decided = Cases(store)
        self._sending = Sending(store)
        self._tallies = Tallies(store)
        self._answers = ContactAnswers(store, counters)

    async def add(
        self,
        report_id: bytes,
        case_id: bytes,
        generation: int,
        disease: str,
        contacts: list[Contact],
        tally: Tally,
        said: Places = NOWHERE,
        committed: Committed | None = None,
    ) -> None:
        """Store a report, its contacts, and what its log said of places and shows of a commitment. Doing it again for
        the same id changes nothing, whichever worker does, and although each has numbered the contacts by chance."""
        now = clock.now()
        today, at = keydays.day_at(now), said.at()
        if (await self._store.get_many(_REPORTS, [report_id]))[0] is None:
            kept = Contacts(contacts=contacts).model_dump_json().encode()
            await self._store.put_if_absent_many(_CONTACTS, [Put(report_id, kept)], expires=today + UNDECIDED_DAYS)
            report = Report(
                report=report_id,
                case=case_id,
                generation=generation,
                disease=disease,
                received=int(now),
                exposures=[Exposure.of(each, at.get(each.slot)) for each in await self._contacts(report_id)],
                log=tally,
                committed=committed,
                place=Place(name=said.name, kind=said.kind) if said.name else None,
                notes=_notes(said),
            )
            put = Put(report_id, report.model_dump_json().encode())
            (stored,) = await self._store.put_if_absent_many(_REPORTS, [put], expires=today + KEEP_DAYS)
            if not stored and await self._is_decided(report_id):
                await self._store.delete_many(_CONTACTS, [report_id])  # another worker's were, before these came
        await self._store.append_many(_BY_DAY, [(_day_key(today), report_id)], _MAX_A_DAY, expires=today + KEEP_DAYS)
        self._counters.add("reports")

    async def all(self) -> list[Report]:
        """Every report of the last KEEP_DAYS, oldest first."""
        return (await self.overview()).reports

    async def overview(self) -> ReportList:
        """Every report of the last KEEP_DAYS, oldest first; what was decided for their cases; whether sending goes
        on."""
        today = keydays.day_at(clock.now())
        days = [_day_key(day) for day in range(today - KEEP_DAYS, today + 1)]
        # One whose upload was opened again after a crash and past midnight is in the lists of two days.
        ids = list(dict.fromkeys(joined.from_iterable(await self._store.get_lists(_BY_DAY, days))))
        values = await self._store.get_many(_REPORTS, ids)
        reports = [Report.model_validate_json(value) for value in values if value is not None]
        cases = await self._cases({report.case for report in reports})
        progress = await self._tallies.of([report.report for report in reports])
        answers = await self._answers.count([(report.case, report.report) for report in reports])
        return ReportList(
            reports=[
                each
                if each.case not in cases
                else cases[each.case].shown(each, progress.get(each.report)).model_copy(update={"answers": number})
                for each, number in zip(reports, answers, strict=True)
            ],
            cases={case_id.hex(): case.limits for case_id, case in cases.items()},
            stopped=await self._sending.is_stopped(),
        )

    async def case_of(self, report_id: bytes) -> bytes:
        """The case-ID of a report. Refused (404) if there is none."""
        return (await self._report(report_id)).case

    async def case(self, case_id: bytes) -> Case | None:
        """What the authority has decided for a case; None before its first decision."""
        return (await self._cases([case_id])).get(case_id)

    async def _cases(self, case_ids: Iterable[bytes]) -> dict[bytes, Case]:
        return await self._decided.read(case_ids)

    async def _report(self, report_id: bytes) -> Report:
        (value,) = await self._store.get_many(_REPORTS, [report_id])
        if value is None:
            raise Refused(404, "there is no such report")
        return Report.model_validate_json(value)

    async def _contacts(self, report_id: bytes) -> list[Contact]:
        (value,) = await self._store.get_many(_CONTACTS, [report_id])
        return [] if value is None else Contacts.model_validate_json(value).contacts

    async def _is_decided(self, report_id: bytes) -> bool:
        report = await self._report(report_id)
        case = await self.case(report.case)
        return (report.state if case is None else case.state(report)) is not State.PENDING

    async def decide(self, report_id: bytes, decision: Decision) -> int:
        """Carry out a decision; how many notifications are queued, or wait until a day has room for them. 404 for an
        unknown report, 409 for a decided one, 422 if the decision contradicts itself or the report."""
        report, contacts = await self._report(report_id), await self._contacts(report_id)
        await self._decided.note(report.case, keydays.day_at(clock.now()))
        list_key = os.urandom(_LIST_KEY)  # of this attempt: one that does not count leaves the other's list alone
        try:
            for _ in range(_MAX_ATTEMPTS):
                number = await self._decide(report, contacts, decision, list_key)
                if number is not None:
                    break
            else:
                raise StoreError("a case changed under every attempt to decide a report of it")
        except Refused:
            await self._store.delete_many(_NOTIFIED, [list_key])
            raise
        with suppress(StoreError):  # it is decided all the same, and somebody lets it through later
            await self._limit.let_through()
        self._wake(WAITING)
        self._wake(FORGET)
        self._counters.add("reports_approved" if decision.approve else "reports_refused")
        return number

    async def _decide(
        self, report: Report, contacts: Sequence[Contact], decision: Decision, list_key: bytes
    ) -> int | None:
        """One attempt. None: something else about the case was decided at the same moment."""
        (value,) = await self._store.get_many(_CASES, [report.case])
        case = Case(disease=report.disease) if value is None else Case.model_validate_json(value)
        state = case.state(report)
        if state is not State.PENDING:
            raise Refused(409, f"this report is {state} already")
        now, today = time.time(), keydays.day_at(clock.now())
        outcome, then, wanted = Outcome(state=State.REFUSED, day=today), [], []
        if decision.approve:
            oldest = (today - keydays.TELLABLE_DAYS) * SLOTS_PER_DAY
            wanted = decisions.chosen([each for each in contacts if each.slot >= oldest], decision)
            told = wanted[: decisions.approve(case, report, decision, today)]
            outcome = Outcome(
                state=State.APPROVED, day=today, notifications=len(told), notified=list_key,
                generation=report.generation,
            )  # fmt: skip
            await self._answers.expect(report.case, report.report)  # before anybody is told, who may answer at once
            if decision.retraction_key is not None:
                await self._keep_notified(report.report, decision.retraction_key, told, list_key)
            # In the order of their risk, or else of their random ids: nothing tells who stood where in the log.
            waiting = self._waiting(report, decision, case, told)
            then = [Entry(WAITING, risk.place(each.risk, now), each.encode()) for each in waiting]
        case.reports[report.report.hex()] = outcome
        then.append(Entry(FORGET, now, report.report))
        new = case.model_dump_json().encode()
        if not await self._store.compare_and_swap(_CASES, report.case, value, new, today + CASE_DAYS, then):
            return None
        self._counters.add("over_budget", len(wanted) - outcome.notifications)
        return outcome.notifications

    async def _keep_notified(self, report_id: bytes, key: bytes, contacts: Sequence[Contact], list_key: bytes) -> None:
        """Before anybody is told, so that a crash in between leaves nobody whom a retraction would not reach."""
        sealed = retraction.seal(key, report_id, [Notified(each.address, each.slot) for each in contacts])
        expires = keydays.day_at(clock.now()) + self._chain_days
        await self._store.put_many(_NOTIFIED, [(list_key, sealed)], expires)

    async def addresses(self, report_id: bytes, retraction_key: bytes | None) -> dict[str, Notified]:
        """To whom words for a report are sealed: by exposure, or, with its retraction key, by the number of who was
        notified. 404 for an unknown report, 410 when the list of the notified is gone, 403 if the key does not open
        it."""
        report = await self._report(report_id)
        if retraction_key is None:
            return {str(e.id): Notified(e.address, e.slot) for e in await self._contacts(report_id)}
        case = await self.case(report.case)
        outcome = None if case is None else case.reports.get(report_id.hex())
        notified = await self._notified(report, outcome, retraction_key)
        return {str(number): each for number, each in enumerate(notified)}

    async def _notified(self, report: Report, outcome: Outcome | None, key: bytes) -> list[Notified]:
        (sealed,) = await self._store.get_many(_NOTIFIED, [b"" if outcome is None else outcome.notified])
        if sealed is None:
            raise Refused(410, "who was notified of this report is not known any more")
        try:
            return retraction.unseal(key, report.report, sealed)
        except AuthenticationError as error:
            raise Refused(403, str(error)) from None

    async def retract(self, report_id: bytes, wanted: Retraction) -> int:
        """Tell everybody who was notified of a report that it is taken back; how many messages were queued.

        404 for an unknown report, 409 unless it was approved, 410 when the list of the notified is gone, 403 if the
        key does not open it. Retracting a patient's own report ends its case.
        """
        report = await self._report(report_id)
        for _ in range(_MAX_ATTEMPTS):
            number = await self._retract(report, wanted)
            if number is not None:
                self._wake(SEND)
                self._wake(FORGET)
                self._counters.add("reports_retracted")
                with suppress(StoreError):  # who is not told yet is not by their nym either
                    await self._limit.sweep()
                return number
        raise StoreError("a case changed under every attempt to retract a report of it")

    async def _retract(self, report: Report, wanted: Retraction) -> int | None:
        """One attempt. None: something else about the case was decided at the same moment."""
        (value,) = await self._store.get_many(_CASES, [report.case])
        case = Case(disease=report.disease) if value is None else Case.model_validate_json(value)
        state = case.state(report)
        if state is not State.APPROVED:
            raise Refused(409, f"this report is {state}: nobody was notified who could be told otherwise")
        outcome = case.reports.get(report.report.hex())
        notified = await self._notified(report, outcome, wanted.key)
        assert outcome is not None  # else nobody was notified
        contents = [
            Notification(
                Kind.RETRACTION,
                case_id=report.case,
                report_id=report.report,
                disease=report.disease,
                words=wanted.words.get(str(number)) or os.urandom(NOTE),
            ).encode()
            for number in range(len(notified))
        ]
        list_key = outcome.notified
        outcome.state, outcome.notified = State.RETRACTED, b""
        case.retracted = case.retracted or report.generation == 0
        now = time.time()
        then = [
            Entry(SEND, self._limit.moment(now), Outgoing(each.address, each.slot, content).encode())
            for each, content in zip(notified, contents, strict=True)
        ]
        then.append(Entry(FORGET, now, report.report))
        if not await self._store.compare_and_swap(
            _CASES, report.case, value, case.model_dump_json().encode(), None, then
        ):
            return None
        await self._store.delete_many(_NOTIFIED, [list_key])
        return len(notified)

    def _waiting(self, report: Report, decision: Decision, case: Case, contacts: Sequence[Contact]) -> list[Waiting]:
        expiry = keydays.day_at(clock.now()) + self._chain_days
        waiting: list[Waiting] = []
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
                words=decision.words.get(str(contact.id)) or os.urandom(NOTE),
                of_place=report.place is not None if decision.place is None else decision.place,
            )
            last_day = quota.last_day(contact.slot, expiry)
            outgoing = Outgoing(contact.address, contact.slot, notification.encode())
            waiting.append(Waiting(risk.of(contact), report.generation + 1, last_day, outgoing.encode()))
        return waiting

    async def forget(self, report_ids: Sequence[bytes]) -> None:
        """Delete the contact addresses of decided reports and what they say of places, and write down in each what its
        case says of it."""
        for report_id in report_ids:
            await self._settle(report_id)
        await self._store.delete_many(_CONTACTS, report_ids)

    async def _settle(self, report_id: bytes) -> None:
        for _ in range(_MAX_ATTEMPTS):
            (value,) = await self._store.get_many(_REPORTS, [report_id])
            if value is None:
                return
            report = Report.model_validate_json(value)
            case = await self.case(report.case)
            state = report.state if case is None else case.state(report)
            settled = report.model_copy(update={"state": state}).without_places()
            new = settled.model_dump_json().encode()
            if await self._store.compare_and_swap(_REPORTS, report_id, value, new):
                return
        raise StoreError("a report changed under every attempt to settle it")


def _notes(said: Places) -> list[PlaceNote]:
    """What is noted of places, by day (UTC)."""
    slots: dict[tuple[int, str], int] = {}
    for slot, label in said.at().items():
        slots[slot // SLOTS_PER_DAY, label] = slots.get((slot // SLOTS_PER_DAY, label), 0) + 1
    return [PlaceNote(label=label, day=day, minutes=count * _SLOT_MINUTES) for (day, label), count in slots.items()]


def _day_key(day: int) -> bytes:
    return day.to_bytes(4, "big")
