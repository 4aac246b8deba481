"""Decisions about the reports of one case, many at once and by several workers, on either store."""

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from anontrace import clock
from anontrace.backend.errors import Refused
from anontrace.backend.keys import keyfiles
from anontrace.backend.nymserver import decisions
from anontrace.backend.nymserver.nyms import Outgoing
from anontrace.backend.nymserver.records import Case, Contact, Decision, Outcome, Report, Retraction, State, Tally
from anontrace.backend.nymserver.reports import FORGET, Reports
from anontrace.backend.nymserver.sending import SEND
from anontrace.backend.observing.counters import Counters
from anontrace.backend.store import Store
from anontrace.mixnet import keydays
from anontrace.mixnet.notification import Kind, Notification
from anontrace.wire.upload import ChainAuthorization
from anontrace_shared.slots import SLOTS_PER_DAY, slot_of
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.backend.client import Client, signed_by
from tests.backend.places import Place
from tests.backend.test_chain import now_slot
from tests.patience import eventually

from .kinds import reports_in

CONTACTS = 5
CASE = bytes(range(16))


def decision(**what: object) -> Decision:
    return Decision.model_validate({"approve": True, "depth": 9, "retraction_key": os.urandom(32).hex()} | what)


def with_workers(place: Place, body: Callable[[Sequence[Reports], Store], Awaitable[None]]) -> None:
    """Three workers of one nymserver: each with a store of its own in a cluster, all with the same in a folder."""

    async def around() -> None:
        stores = [await place.open() for _ in range(3 if place.cluster else 1)]
        try:
            workers = [reports_in(stores[i % len(stores)], Counters(), bytes(32)) for i in range(3)]
            await body(workers, stores[0])
        finally:
            for store in stores:
                await store.close()

    asyncio.run(around())


def contact(number: int, address: bytes, present: int, days_ago: int = 0) -> Contact:
    slot = slot_of(clock.now()) - days_ago * SLOTS_PER_DAY
    return Contact(id=number, address=address, slot=slot, present=present, attenuation=60, verified=True)


async def report(reports: Reports, generation: int = 1, case: bytes = CASE) -> bytes:
    """A report of five contacts."""
    report_id = os.urandom(8)
    contacts = [contact(n, os.urandom(20), n) for n in range(1, CONTACTS + 1)]
    await reports.add(report_id, case, generation, "U07.1", contacts, Tally())
    return report_id


async def queued(store: Store) -> list[tuple[bytes, Notification]]:
    """All that is to be sent: contact address and content."""
    taken = (await store.take(SEND, 1e12, 1000, 1.0)).entries
    await store.done(SEND, [entry.id for entry in taken])
    found = [Outgoing.decode(entry.item) for entry in taken]
    return [(each.address, Notification.decode(each.content)) for each in found]


def test_who_cannot_be_told_any_more_when_staff_decide_is_neither_told_nor_counted(place: Place) -> None:
    async def body(workers: Sequence[Reports], store: Store) -> None:
        report_id = os.urandom(8)
        contacts = [contact(n, os.urandom(20), 15, days_ago=days) for n, days in enumerate((15, 14, 0), 1)]
        await workers[0].add(report_id, CASE, 0, "U07.1", contacts, Tally())
        assert await workers[0].decide(report_id, decision()) == 2
        assert {address for address, _ in await queued(store)} == {each.address for each in contacts[1:]}

    with_workers(place, body)


@pytest.mark.parametrize("budget", ["case_budget", "day_budget"])
def test_reports_that_are_decided_at_once_keep_within_the_budgets_of_their_case(place: Place, budget: str) -> None:
    async def body(workers: Sequence[Reports], store: Store) -> None:
        reports = [await report(workers[0]) for _ in range(12)]
        answers = await asyncio.gather(
            *(workers[n % 3].decide(each, decision(**{budget: 23})) for n, each in enumerate(reports))
        )
        assert sum(answers) == len(await queued(store)) == 23
        assert {each.state for each in await workers[0].all()} == {State.APPROVED}

    with_workers(place, body)


def test_what_a_decision_sends_leaves_at_random_moments_each_by_itself(place: Place) -> None:
    async def body(workers: Sequence[Reports], store: Store) -> None:
        spread = 6 * 3600.0
        reports = reports_in(store, Counters(), bytes(32), spread)
        begin = time.time()
        report_id = os.urandom(8)
        contacts = [contact(n, os.urandom(20), 15) for n in range(1, 201)]
        await reports.add(report_id, CASE, 0, "U07.1", contacts, Tally())
        assert await reports.decide(report_id, decision()) == 200
        end = time.time() + spread
        left = []
        for part in range(1, 5):  # what is due within each quarter
            taken = (await store.take(SEND, begin + part * spread / 4, 1000, 1.0)).entries
            await store.done(SEND, [entry.id for entry in taken])
            left.append([entry.item for entry in taken])
        left[-1] += [entry.item for entry in (await store.take(SEND, end, 1000, 1.0)).entries]
        assert sum(map(len, left)) == 200 and all(20 < len(each) < 90 for each in left)
        order = [Outgoing.decode(item).address for each in left for item in each]
        assert order != [each.address for each in contacts]

    with_workers(place, body)


def test_of_decisions_about_one_report_at_once_one_counts_and_its_list_is_kept(place: Place) -> None:
    async def body(workers: Sequence[Reports], store: Store) -> None:
        wanted = await report(workers[0], generation=0)
        made = [decision(exposures=[n % CONTACTS + 1]) for n in range(10)]
        answers = await asyncio.gather(
            *(workers[n % 3].decide(wanted, each) for n, each in enumerate(made)), return_exceptions=True
        )
        assert answers.count(1) == 1
        assert [each.status for each in answers if isinstance(each, Refused)] == [409] * 9
        told = await queued(store)
        assert [content.kind for _, content in told] == [Kind.NOTIFICATION]
        key = made[answers.index(1)].retraction_key
        assert key is not None
        asked = [worker.retract(wanted, Retraction(key=key)) for worker in workers]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert answers.count(1) == 1
        back = await queued(store)
        assert [(each[0], each[1].kind) for each in back] == [(told[0][0], Kind.RETRACTION)]

    with_workers(place, body)


def test_a_report_that_two_workers_open_at_once_tells_whom_it_shows(place: Place) -> None:
    """Its exposures bear numbers that each worker draws by chance."""

    async def body(workers: Sequence[Reports], store: Store) -> None:
        addresses = [os.urandom(20) for _ in range(CONTACTS)]
        for _ in range(6):
            report_id = os.urandom(8)

            def drawn(turn: int) -> list[Contact]:
                order = [*addresses[turn:], *addresses[:turn]]
                return [contact(n, each, 3 * addresses.index(each) + 3) for n, each in enumerate(order, 1)]

            await asyncio.gather(
                *(w.add(report_id, CASE, 0, "U07.1", drawn(n), Tally()) for n, w in enumerate(workers))
            )
            (shown,) = [each for each in await workers[0].all() if each.report == report_id]
            (longest,) = [each.id for each in shown.exposures if each.minutes == CONTACTS]
            assert await workers[1].decide(report_id, decision(exposures=[longest])) == 1
            assert [address for address, _ in await queued(store)] == [addresses[-1]]

    with_workers(place, body)


def test_contacts_stay_forgotten_when_a_slow_worker_opens_their_report_again(place: Place) -> None:
    async def body(workers: Sequence[Reports], store: Store) -> None:
        report_id, contacts = os.urandom(8), [contact(1, os.urandom(20), 3)]
        answers: list[list[bytes | None]] = []

        async def decided_meanwhile(table: str, keys: Sequence[bytes]) -> list[bytes | None]:
            found = await real(table, keys)
            if not answers:
                answers.append(found)
                await workers[0].add(report_id, CASE, 0, "U07.1", contacts, Tally())
                await workers[0].decide(report_id, decision())
                await workers[0].forget([report_id])
            return found

        slow, real = workers[1], workers[1]._store.get_many
        slow._store.get_many = decided_meanwhile  # type: ignore[method-assign]
        await slow.add(report_id, CASE, 0, "U07.1", contacts, Tally())
        assert answers == [[None]]
        assert await store.get_many("report-contacts", [report_id]) == [None]

    with_workers(place, body)


def test_a_refusal_and_an_approval_at_once_are_one_or_the_other(place: Place) -> None:
    async def body(workers: Sequence[Reports], store: Store) -> None:
        for _ in range(6):
            wanted = await report(workers[0], case=os.urandom(16), generation=0)
            asked = [worker.decide(wanted, decision(approve=n == 1)) for n, worker in enumerate(workers)]
            answers = await asyncio.gather(*asked, return_exceptions=True)
            assert [isinstance(each, Refused) for each in answers].count(False) == 1
            (stands,) = [each.state for each in await workers[0].all() if each.report == wanted]
            approved = answers[1] == CONTACTS
            assert stands is (State.APPROVED if approved else State.REFUSED)
            assert len(await queued(store)) == (CONTACTS if approved else 0)

    with_workers(place, body)


def test_a_report_that_is_opened_again_on_another_day_is_one(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(workers: Sequence[Reports], store: Store) -> None:
        report_id, now = os.urandom(8), clock.now()
        for days in (0, 1):
            monkeypatch.setattr(clock, "now", lambda days=days: now + days * 86400)
            await workers[days].add(report_id, CASE, 0, "U07.1", [], Tally())
        assert [each.report for each in await workers[2].all()] == [report_id]

    with_workers(place, body)


def test_a_decision_outlives_its_case(place: Place) -> None:
    async def body(workers: Sequence[Reports], store: Store) -> None:
        wanted = await report(workers[0])
        await workers[0].decide(wanted, decision())
        await workers[1].forget([entry.item for entry in (await store.take(FORGET, 1e12, 10, 1.0)).entries])
        await store.delete_many("cases", [CASE])
        assert [each.state for each in await workers[2].all()] == [State.APPROVED]
        with pytest.raises(Refused, match="approved already"):
            await workers[2].decide(wanted, decision())

    with_workers(place, body)


def test_budgets_count_what_was_notified_and_a_day_by_itself() -> None:
    today = keydays.day_at(clock.now())
    case = Case(disease="U07.1")
    assert case.room(today) is None
    case.case_budget, case.day_budget = 10, 4
    assert case.room(today) == 4
    case.reports["1" * 16] = Outcome(state=State.APPROVED, day=today, notifications=4)
    assert (case.room(today), case.room(today + 1)) == (0, 4)
    case.reports["2" * 16] = Outcome(state=State.RETRACTED, day=today + 1, notifications=4)
    assert (case.room(today + 1), case.room(today + 2)) == (0, 2)


def test_where_a_budget_does_not_suffice_the_longest_contacts_are_told_of_equal_ones_the_nearer() -> None:
    rows = [(1, 3, 50), (2, 9, 70), (3, 9, 40), (4, 5, 60), (5, 9, 55)]
    contacts = [contact(n, bytes(20), present).model_copy(update={"attenuation": db}) for n, present, db in rows]

    def ids(**what: object) -> list[int]:
        return [each.id for each in decisions.chosen(contacts, decision(**what))]

    assert ids() == [3, 5, 2, 4, 1]
    assert ids(attenuation=55) == [3, 5, 1]
    assert ids(exposures=[1, 2]) == [2, 1]
    assert ids(exposures=[]) == []
    assert ids(exposures=[1, 2, 3, 4, 5]) == ids()
    with pytest.raises(Refused, match="no such exposure") as refused:
        ids(exposures=[1, 6])
    assert refused.value.status == 422


def approving(case: Case, generation: int = 0, **what: object) -> int | None:
    made = Report(
        report=bytes(8), case=CASE, generation=generation, disease="U07.1", received=0, exposures=[], log=Tally()
    )
    return decisions.approve(case, made, decision(**what), keydays.day_at(clock.now()))


def test_a_case_goes_as_deep_as_the_last_decision_says_and_no_further_once_it_is_retracted() -> None:
    case = Case(disease="U07.1")
    assert approving(case, depth=3) is None and case.depth == 3
    assert approving(case, generation=2, depth=None) is None
    with pytest.raises(Refused, match="the contacts of this report are generation 4") as refused:
        approving(case, generation=3, depth=None)
    assert refused.value.status == 422
    approving(case, depth=1, case_budget=5, day_budget=4)
    assert (case.depth, case.case_budget, case.day_budget) == (1, 5, 4)
    case.retracted = True
    with pytest.raises(Refused, match="was retracted") as refused:
        approving(case, depth=9)
    assert (refused.value.status, case.depth) == (409, 1)


def test_a_report_may_cause_what_its_own_budget_and_the_room_of_its_case_leave() -> None:
    assert approving(Case(disease="U07.1"), budget=7) == 7
    assert approving(Case(disease="U07.1"), budget=7, case_budget=5) == 5
    assert approving(Case(disease="U07.1"), budget=4, case_budget=5) == 4
    assert approving(Case(disease="U07.1"), budget=0) == 0


def test_only_an_approved_report_is_retracted_with_its_own_key_and_while_its_list_is_kept(place: Place) -> None:
    async def body(workers: Sequence[Reports], store: Store) -> None:
        async def status(report_id: bytes, key: bytes) -> int:
            with pytest.raises(Refused) as refused:
                await workers[0].retract(report_id, Retraction(key=key))
            return refused.value.status

        approved, pending, keyless = [await report(workers[0]) for _ in range(3)]
        made = decision()
        assert made.retraction_key is not None
        await workers[0].decide(approved, made)
        await workers[1].decide(keyless, decision(retraction_key=None))
        assert await status(os.urandom(8), made.retraction_key) == 404
        assert await status(pending, made.retraction_key) == 409
        assert await status(approved, os.urandom(32)) == 403
        assert await status(keyless, made.retraction_key) == 410
        today = keydays.day_at(clock.now())
        await store.expire(today + 14)
        assert await status(approved, os.urandom(32)) == 403
        await store.expire(today + 15)
        assert await status(approved, made.retraction_key) == 410
        told = await queued(store)
        assert [content.kind for _, content in told] == [Kind.NOTIFICATION] * 2 * CONTACTS

    with_workers(place, body)


def decide_at_once(client: Client, urls: Sequence[str]) -> None:
    """The three reports of a second generation are each decided at every URL of the nymserver, all at one moment."""
    contacts, others = (client.register_all(now_slot(), 3) for _ in range(2))
    contact_log, onward_log = (client.make_log(now_slot(), each) for each in (contacts, others))
    client.upload(client.permit(contact_log), contact_log)
    first = client.report_with(None, 0)
    assert client.approve(first["report"], depth=9) == len(contacts)
    for who in contacts:
        told = client.told(who)
        client.upload(ChainAuthorization(told.case_id, who.address, who.slot, told.chain_token), onward_log)

    def pending() -> list[str]:
        return [each["report"] for each in client.reports() if (each["case"], each["generation"]) == (first["case"], 1)]

    eventually("all reports are there", lambda: len(pending()) == len(contacts))
    seed = keyfiles.read(client.servers.folder / "authority", keyfiles.SIGNING)
    key, body = Ed25519PrivateKey.from_private_bytes(seed), json.dumps({"approve": True, "case_budget": 3 + 5}).encode()

    def decide(url: str, report: str) -> tuple[int, int]:
        path = f"/v1/reports/{report}/decision"
        headers = signed_by(key, "POST", path, body) | {"Content-Type": "application/json"}
        answer = client.http.post(url + path, content=body, headers=headers)
        return answer.status_code, answer.json().get("notifications", 0)

    asked = [(url, report) for report in pending() for url in urls]
    with ThreadPoolExecutor(len(asked)) as pool:
        answers = list(pool.map(lambda each: decide(*each), asked))
    assert Counter(status for status, _ in answers) == {200: 3, 409: len(asked) - 3}
    assert sum(number for _, number in answers) == 5


def test_requests_at_once_at_one_server_keep_within_the_budget_of_their_case(client: Client) -> None:
    decide_at_once(client, [client.servers.url("nymserver")] * 3)
