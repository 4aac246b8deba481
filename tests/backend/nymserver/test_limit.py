"""The limit on notifications a day, over all cases: whoever decides, on either store, and whatever ends in between."""

import asyncio
import logging
import multiprocessing
import os
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection

import pytest
from anontrace import clock
from anontrace.backend.errors import StoreError
from anontrace.backend.nymserver import growth, limit, risk
from anontrace.backend.nymserver.cases import Cases
from anontrace.backend.nymserver.limit import WAITING, Limit, Waiting
from anontrace.backend.nymserver.limiting import Limiting
from anontrace.backend.nymserver.nyms import Outgoing
from anontrace.backend.nymserver.quota import DEFAULT_A_DAY
from anontrace.backend.nymserver.records import Case, Contact, LimitSettings, Outcome, Retraction, State, Tally
from anontrace.backend.nymserver.reports import Reports
from anontrace.backend.nymserver.sending import SEND
from anontrace.backend.nymserver.wearers import DAYS, REGISTERED, Wearers
from anontrace.backend.observing import metrics
from anontrace.backend.observing.counters import Counters
from anontrace.backend.observing.metrics import Snapshot
from anontrace.backend.store import Entry, Store
from anontrace.mixnet import keydays
from anontrace.mixnet.notification import Kind, Notification
from anontrace_shared.slots import SLOTS_PER_DAY

from tests.backend.client import Client
from tests.backend.places import Place
from tests.backend.servers import command
from tests.backend.test_chain import now_slot
from tests.patience import eventually

from .test_decisions import contact, decision, queued

DAY = 86400


@dataclass
class Worker:
    """One process of a nymserver: its reports and its limit."""

    store: Store
    ceiling: int | None = None

    def __post_init__(self) -> None:
        self.counters = Counters()
        self.wearers = Wearers(self.store, self.counters)
        self.limit = Limit(self.store, self.counters, Cases(self.store), self.wearers, self._woken, self.ceiling, 0.0)
        self.reports = Reports(self.store, self.counters, bytes(32), 14, lambda _: None, self.limit)
        self.steps: Connection | None = None  # to be told of each step

    def _woken(self, queue: str) -> None:
        if self.steps is not None:
            self.steps.send(True)

    async def report(self, contacts: Sequence[Contact], generation: int = 0, case: bytes | None = None) -> bytes:
        report_id = os.urandom(8)
        await self.reports.add(report_id, case or os.urandom(16), generation, "U07.1", list(contacts), Tally())
        return report_id


def with_workers(place: Place, body: Callable[[Sequence[Worker], Store], Awaitable[None]]) -> None:
    """Three workers: each with a store of its own in a cluster, all with the same in a folder."""

    async def around() -> None:
        stores = [await place.open() for _ in range(3 if place.cluster else 1)]
        try:
            await body([Worker(stores[i % len(stores)]) for i in range(3)], stores[0])
        finally:
            for store in stores:
                await store.close()

    asyncio.run(around())


def people(number: int, present: int = 3) -> list[Contact]:
    return [contact(n, os.urandom(20), present) for n in range(1, number + 1)]


async def waiting(store: Store) -> list[Waiting]:
    return [Waiting.decode(each.item) for each in await store.peek(WAITING, 100_000)]


def on_day(monkeypatch: pytest.MonkeyPatch, day: int) -> None:
    """At noon of it."""
    monkeypatch.setattr(clock, "now", lambda: (day + 0.5) * DAY)


def test_three_cases_that_are_decided_at_once_tell_no_more_than_the_day_has(place: Place) -> None:
    async def body(workers: Sequence[Worker], store: Store) -> None:
        await workers[0].limit.set(LimitSettings(a_day=4))
        reports = [await workers[0].report(people(4)) for _ in range(3)]
        decided = [w.reports.decide(each, decision(day_budget=4)) for w, each in zip(workers, reports, strict=True)]
        assert await asyncio.gather(*decided) == [4, 4, 4]
        assert len(await queued(store)) == 4
        assert len(await waiting(store)) == 8
        standing = await workers[1].limit.standing()
        assert (standing.a_day, standing.used, standing.waiting) == (4, 4, 8)

    with_workers(place, body)


def test_many_workers_that_race_for_the_last_of_the_day_share_it_and_lose_nothing(place: Place) -> None:
    async def body(workers: Sequence[Worker], store: Store) -> None:
        await workers[0].limit.set(LimitSettings(a_day=0))
        addresses = set()
        for _ in range(5):
            contacts = people(40)
            addresses |= {each.address for each in contacts}
            await workers[0].reports.decide(await workers[0].report(contacts), decision())
        assert await queued(store) == []
        for a_day in (1, 7, 100, 101):  # raised a little at a time, each time with everybody after it
            await workers[0].limit.set(LimitSettings(a_day=a_day))
            await asyncio.gather(*(worker.limit.let_through() for worker in (*workers, *workers)))
            assert len(await waiting(store)) == 200 - a_day
        told = [address for address, _ in await queued(store)]
        left = [each.outgoing.address for each in await waiting(store)]
        assert len(told) == len(set(told)) == 101
        assert set(told) | set(left) == addresses

    with_workers(place, body)


def test_what_is_over_leaves_in_order_of_risk_on_the_days_that_follow(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    today = keydays.day_at(clock.now())

    async def body(workers: Sequence[Worker], store: Store) -> None:
        on_day(monkeypatch, today)
        await workers[0].limit.set(LimitSettings(a_day=0))
        rows = [(3, 70, True), (15, 50, True), (15, 50, False), (15, 60, True), (1, 90, False), (9, 50, True)]
        random.shuffle(rows)
        everyone = []
        for number, (present, attenuation, verified) in enumerate(rows):
            figures = {"present": present, "attenuation": attenuation, "verified": verified}
            everyone.append(contact(1, os.urandom(20), 1).model_copy(update=figures))
            await workers[number % 3].reports.decide(await workers[0].report(everyone[-1:]), decision())
        in_order = sorted(everyone, key=risk.of, reverse=True)
        assert [risk.of(each) for each in in_order] == [120, 90, 72, 60, 12, 1]
        shown = (await workers[1].limit.standing()).queue
        assert [(each.first, each.highest_risk) for each in shown] == list(enumerate([120, 90, 72, 60, 12, 1], 1))
        await workers[0].limit.set(LimitSettings(a_day=2))
        for number in range(3):
            on_day(monkeypatch, today + number)
            assert sum(await asyncio.gather(*(worker.limit.let_through() for worker in workers))) == 2
            expected = {each.address for each in in_order[2 * number : 2 * number + 2]}
            assert {address for address, _ in await queued(store)} == expected
        assert await waiting(store) == []

    with_workers(place, body)


def test_of_equal_risks_who_was_decided_first_leaves_first(place: Place) -> None:
    async def body(workers: Sequence[Worker], store: Store) -> None:
        await workers[0].limit.set(LimitSettings(a_day=0))
        first, second = people(3), people(3)
        for contacts in (first, second):
            await workers[0].reports.decide(await workers[0].report(contacts), decision())
        order = [each.outgoing.address for each in await waiting(store)]
        assert set(order[:3]) == {each.address for each in first}
        assert set(order[3:]) == {each.address for each in second}

    with_workers(place, body)


def test_a_day_begins_anew_at_midnight_also_for_workers_whose_clocks_differ(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    today = keydays.day_at(clock.now())

    async def body(workers: Sequence[Worker], store: Store) -> None:
        on_day(monkeypatch, today)
        await workers[0].limit.set(LimitSettings(a_day=10))
        await workers[0].reports.decide(await workers[0].report(people(40)), decision())
        assert len(await queued(store)) == 10
        midnight = (today + 1) * DAY
        moments = [midnight - 0.1, midnight + 0.1, midnight - 0.2]

        def now() -> float:
            return random.choice(moments)

        monkeypatch.setattr(clock, "now", now)
        for _ in range(5):
            await asyncio.gather(*(worker.limit.let_through() for worker in workers))
        assert len(await queued(store)) == 10  # of the new day; the old one had none left, and does not come back
        standing = await workers[2].limit.standing()
        assert (standing.day, standing.used, standing.waiting) == (today + 1, 10, 20)

    with_workers(place, body)


def test_what_waits_of_a_report_that_is_retracted_is_never_told_and_takes_nothing_of_the_day(place: Place) -> None:
    async def body(workers: Sequence[Worker], store: Store) -> None:
        await workers[0].limit.set(LimitSettings(a_day=3))
        taken_back, stands = people(5, present=15), people(4, present=1)
        made, kept = decision(), decision()
        wrong = await workers[0].report(taken_back)
        await workers[0].reports.decide(wrong, made)
        await workers[1].reports.decide(await workers[0].report(stands), kept)
        assert len(await queued(store)) == 3
        assert made.retraction_key is not None
        assert await workers[2].reports.retract(wrong, Retraction(key=made.retraction_key)) == 5
        assert {each.outgoing.address for each in await waiting(store)} == {each.address for each in stands}
        assert {content.kind for _, content in await queued(store)} == {Kind.RETRACTION}  # which nothing limits
        await workers[0].limit.set(LimitSettings(a_day=6))
        assert await workers[0].limit.let_through() == 3
        assert {address for address, _ in await queued(store)} <= {each.address for each in stands}

    with_workers(place, body)


def test_with_the_patients_own_report_all_that_waits_of_its_case_is_taken_back(place: Place) -> None:
    async def body(workers: Sequence[Worker], store: Store) -> None:
        await workers[0].limit.set(LimitSettings(a_day=0))
        case, made = os.urandom(16), decision()
        own, onward = await workers[0].report(people(2), 0, case), await workers[0].report(people(2), 1, case)
        await workers[0].reports.decide(own, made)
        await workers[1].reports.decide(onward, decision())
        assert made.retraction_key is not None
        await workers[2].reports.retract(own, Retraction(key=made.retraction_key))
        assert await waiting(store) == []

    with_workers(place, body)


def test_who_cannot_be_told_any_more_when_their_turn_comes_is_dropped_without_using_the_day(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    today = keydays.day_at(clock.now())

    async def body(workers: Sequence[Worker], store: Store) -> None:
        on_day(monkeypatch, today)
        await workers[0].limit.set(LimitSettings(a_day=0))
        old, fresh = contact(1, os.urandom(20), 15, days_ago=13), contact(2, os.urandom(20), 3)
        await workers[0].reports.decide(await workers[0].report([old, fresh]), decision())
        assert [each.last_day for each in await waiting(store)] == [today + 1, today + 14]
        on_day(monkeypatch, today + 2)
        await workers[0].limit.set(LimitSettings(a_day=1))
        assert await workers[1].limit.let_through() == 1
        assert [address for address, _ in await queued(store)] == [fresh.address]
        assert workers[1].counters.snapshot()["limit_dropped"] == 1

    with_workers(place, body)


def test_a_crash_after_a_step_and_before_its_entries_are_gone_tells_nobody_twice_and_costs_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    today = keydays.day_at(clock.now())

    async def body(workers: Sequence[Worker], store: Store) -> None:
        on_day(monkeypatch, today)
        await workers[0].limit.set(LimitSettings(a_day=0))
        await workers[0].reports.decide(await workers[0].report(people(12)), decision())
        await workers[0].limit.set(LimitSettings(a_day=5))

        async def fails(queue: str, ids: Sequence[bytes]) -> None:
            raise StoreError("the process is gone")

        with monkeypatch.context() as patched:
            patched.setattr(workers[1].store, "done", fails)
            with pytest.raises(StoreError):
                await workers[1].limit.let_through()
        assert len(await waiting(store)) == 12  # those five too
        on_day(monkeypatch, today + 1)  # past midnight, when the day has room again
        assert await workers[2].limit.let_through() == 5
        told = [address for address, _ in await queued(store)]
        assert len(told) == len(set(told)) == 10
        assert len(await waiting(store)) == 2

    with_workers(place, body)


def let_through_in_small_steps(place: Place, steps: Connection) -> None:
    """What a process does until it is killed."""
    limit._BATCH = 2

    async def body(workers: Sequence[Worker], store: Store) -> None:
        for worker in workers:
            worker.steps = steps
        while True:
            await asyncio.gather(*(worker.limit.let_through() for worker in workers))

    with_workers(place, body)


def test_killed_again_and_again_no_more_leave_than_the_day_has_and_none_is_lost(place: Place) -> None:
    number, a_day = 900, 600
    contacts = people(number)

    async def begin(workers: Sequence[Worker], store: Store) -> None:
        await workers[0].limit.set(LimitSettings(a_day=0))
        await workers[0].reports.decide(await workers[0].report(contacts), decision())
        await workers[0].limit.set(LimitSettings(a_day=a_day))

    async def left(workers: Sequence[Worker], store: Store) -> None:
        lengths.append((await store.backlog()).get(WAITING, 0))

    lengths: list[int] = []
    with_workers(place, begin)
    spawn = multiprocessing.get_context("spawn")
    for _ in range(3):
        steps, theirs = spawn.Pipe(duplex=False)
        process = spawn.Process(target=let_through_in_small_steps, args=(place, theirs))
        process.start()
        theirs.close()
        for _ in range(random.randint(10, 60)):
            steps.recv()
        process.kill()
        process.join()
        with_workers(place, left)
    assert number > lengths[0] > lengths[1] > lengths[2] >= number - a_day

    async def end(workers: Sequence[Worker], store: Store) -> None:
        await workers[0].limit.let_through()
        told = [address for address, _ in await queued(store)]
        assert len(told) == len(set(told)) == a_day
        waits = [each.outgoing.address for each in await waiting(store)]
        assert set(told) | set(waits) == {each.address for each in contacts}
        assert len(waits) == number - a_day

    with_workers(place, end)


def test_letting_a_thousand_through_takes_a_few_steps_of_the_store(place: Place) -> None:
    async def body(workers: Sequence[Worker], store: Store) -> None:
        await workers[0].limit.set(LimitSettings(a_day=0))
        await workers[0].reports.decide(await workers[0].report(people(1000)), decision())
        await workers[0].limit.set(LimitSettings(a_day=1000))
        calls = 0

        def counted(name: str) -> Callable[..., Awaitable[object]]:
            real = getattr(store, name)

            async def call(*arguments: object, **named: object) -> object:
                nonlocal calls
                calls += 1
                return await real(*arguments, **named)

            return call

        for name in ("get_many", "peek", "done", "compare_and_swap"):
            setattr(workers[0].store, name, counted(name))
        assert await workers[0].limit.let_through() == 1000
        assert calls < 100

    with_workers(place, body)


def test_without_a_setting_a_day_has_a_thousand_or_one_for_each_wearer(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    today = keydays.day_at(clock.now())

    async def body(workers: Sequence[Worker], store: Store) -> None:
        async def standing() -> tuple[int | None, int]:
            found = await workers[0].limit.standing()
            return found.wearers, found.a_day

        on_day(monkeypatch, today)
        assert await standing() == (None, DEFAULT_A_DAY)
        for days_ago, addresses in enumerate((50, 30_000, 200, 2500, 2400, 2300, 2450, 2600, 2500), -1):
            for worker in workers[:2]:  # each counts its own
                worker.counters.add(REGISTERED, addresses * SLOTS_PER_DAY // 2)
                await worker.wearers.note(today - days_ago)
                await worker.wearers.note(today - days_ago)  # nothing new
        # Neither today nor tomorrow counts, nor what is older than a week; one day of a flood makes no difference.
        assert await standing() == (2450, 2450)
        await store.delete_many("registered", [(today - ago).to_bytes(4, "big") for ago in range(1, DAYS + 1)])
        workers[0].counters.add(REGISTERED, 3 * SLOTS_PER_DAY)
        await workers[0].wearers.note(today - 1)
        assert await standing() == (3, DEFAULT_A_DAY)

    with_workers(place, body)


def test_what_the_operator_allows_holds_whatever_the_authority_signs(place: Place) -> None:
    async def body(workers: Sequence[Worker], store: Store) -> None:
        bounded = Worker(store, ceiling=7)
        await workers[0].limit.set(LimitSettings(a_day=10**9))
        assert (await bounded.limit.standing()).a_day == 7
        await bounded.reports.decide(await bounded.report(people(20)), decision())
        assert len(await queued(store)) == 7
        await bounded.limit.set(LimitSettings(a_day=3))
        assert (await bounded.limit.standing()).a_day == 3

    with_workers(place, body)


def test_an_entry_of_the_queue_is_what_was_put_into_it() -> None:
    content = Notification(Kind.NOTIFICATION, case_id=os.urandom(16), report_id=os.urandom(8))
    outgoing = Outgoing(os.urandom(20), 7, content.encode())
    made = Waiting(120, 3, 20_000, outgoing.encode())
    assert Waiting.decode(made.encode()) == made
    assert (made.outgoing, made.case_id, made.report_id) == (outgoing, content.case_id, content.report_id)
    assert len(Waiting(120, 300, 20_000, outgoing.encode()).encode()) == 221
    assert repr(made) == "Waiting(risk=120, generation=3, last_day=20000)"


@pytest.mark.parametrize(
    ("told", "factor", "expected"),
    [
        ({1: 400, 2: 200, 3: 100}, 2.0, []),
        ({1: 100, 2: 200}, 2.0, []),
        ({1: 100, 2: 201}, 2.0, [(2, 2.01)]),
        ({1: 1, 2: 99}, 2.0, []),
        ({2: 150}, 2.0, [(2, 150.0)]),
        ({1: 400, 2: 200, 3: 500}, 2.0, [(3, 2.5)]),
        ({1: 400, 2: 300}, 0.5, [(2, 0.75)]),
    ],
)
def test_there_is_an_alarm_when_a_generation_is_told_more_often_than_is_set(
    told: dict[int, int], factor: float, expected: list[tuple[int, float]]
) -> None:
    assert [(each.generation, each.times) for each in growth.alarms(told, factor)] == expected


def test_the_generations_of_all_cases_are_added_up() -> None:
    def case(*outcomes: tuple[int | None, int]) -> Case:
        made = [Outcome(state=State.APPROVED, day=1, notifications=n, generation=g) for g, n in outcomes]
        return Case(disease="U07.1", reports={str(number): each for number, each in enumerate(made)})

    assert growth.told([case((0, 4), (1, 6), (1, 2)), case((0, 5), (2, 0)), case((None, 9))]) == {1: 9, 2: 8}


def test_a_chain_that_grows_is_said_once_in_the_log_and_shown_to_staff_and_to_prometheus(
    place: Place, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    today = keydays.day_at(clock.now())

    async def body(workers: Sequence[Worker], store: Store) -> None:
        on_day(monkeypatch, today)
        worker, case = workers[0], os.urandom(16)
        looks = Limiting("nymserver", worker.limit, worker.wearers, lambda: False)
        await worker.reports.decide(await worker.report(people(50), 0, case), decision())
        for _ in range(2):
            await worker.reports.decide(await worker.report(people(60), 1, case), decision())
        for _ in range(3):
            await looks.look()
        said = [each.getMessage() for each in caplog.records if "chains grow" in each.getMessage()]
        assert len(said) == 1
        assert "generation 2 was told 2.4 times as often as generation 1, more than the 2.0" in said[0]
        assert looks.status()["limit"]["alarms"] == [{"generation": 2, "times": 2.4}]
        standing = await workers[1].limit.standing()
        assert (standing.told, [each.times for each in standing.alarms]) == ({1: 50, 2: 120}, [2.4])
        snapshot = Snapshot({}, {}, 0, 0.0, True, {}, looks.gauges())
        assert b"anontrace_growth_alarm 2.4\n" in metrics.exposition(snapshot)
        assert b"anontrace_day_limit_used 170.0\n" in metrics.exposition(snapshot)

        await workers[2].limit.set(LimitSettings(growth=3.0))
        await looks.look()
        assert looks.gauges()["growth_alarm"] == 0
        await workers[2].limit.set(LimitSettings())
        on_day(monkeypatch, today + growth.DAYS)  # nothing was decided for a week
        await looks.look()
        assert looks.gauges()["growth_alarm"] == 0

    caplog.set_level(logging.INFO, "anontrace.backend")
    with_workers(place, body)


def test_a_day_that_is_full_is_said_once(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    async def body(workers: Sequence[Worker], store: Store) -> None:
        looks = Limiting("nymserver", workers[0].limit, workers[0].wearers, lambda: False)
        await workers[0].limit.set(LimitSettings(a_day=2))
        await workers[0].reports.decide(await workers[0].report(people(2)), decision())
        await looks.look()
        assert "is reached" not in caplog.text  # nothing waits
        await workers[0].reports.decide(await workers[0].report(people(3)), decision())
        for _ in range(3):
            await looks.look()
        assert caplog.text.count("the limit of 2 notifications a day is reached; 3 wait") == 1

    caplog.set_level(logging.INFO, "anontrace.backend")
    with_workers(place, body)


def test_what_was_queued_before_there_was_a_limit_still_leaves(place: Place) -> None:
    async def body(workers: Sequence[Worker], store: Store) -> None:
        content = Notification(Kind.NOTIFICATION).encode()
        await store.enqueue([Entry(SEND, 0.0, Outgoing(os.urandom(20), 7, content).encode())])
        await workers[0].limit.set(LimitSettings(a_day=0))
        await workers[0].limit.let_through()
        assert len(await queued(store)) == 1

    with_workers(place, body)


def test_staff_set_the_limit_see_the_queue_and_let_it_through(client: Client) -> None:
    authority = client.servers.authority
    slot = now_slot()
    groups = [client.register_all(slot, 2) for _ in range(3)]
    try:
        used = authority("queue")["used"]
        assert authority("limit", "--a-day", str(used + 1))["a_day"] == used + 1
        told = []
        for contacts in groups:
            contact_log = client.make_log(slot, contacts)
            client.upload(client.permit(contact_log), contact_log)
            told.append(client.report_with(None, 0))
            client.approve(told[-1]["report"])
        eventually("one is told", lambda: sum(len(client.poll(w.mailbox)) for each in groups for w in each) == 1)
        found = authority("queue")
        assert (found["used"], found["waiting"], found["settings"]["a_day"]) == (used + 1, 5, used + 1)
        assert [(each["report"], each["number"]) for each in found["queue"]] == [
            (told[0]["report"], 1), (told[1]["report"], 2), (told[2]["report"], 2)
        ]  # fmt: skip
        shown = command("authority", "queue", "--config", client.servers.folder / "authority")
        assert f"{used + 1} of {used + 1} notifications let through, 5 wait" in shown.stdout
        assert told[1]["report"] in shown.stdout
        assert client.servers.status("nymserver")["queues"][WAITING] == 5

        authority("retract", told[2]["report"])
        assert authority("queue")["waiting"] == 3
        assert authority("limit", "--a-day", "default", "--growth", "1.5")["settings"] == {"a_day": None, "growth": 1.5}
        expected = [len(client.poll(w.mailbox)) for w in groups[2]]
        assert expected == [0, 0]
        eventually("the others are told", lambda: all(client.poll(w.mailbox) for each in groups[:2] for w in each))
        assert authority("queue")["queue"] == []
    finally:
        assert authority("limit", "--a-day", "default", "--growth", "default")["a_day"] == DEFAULT_A_DAY


def test_only_what_the_authority_signs_changes_the_limit(client: Client) -> None:
    url = client.servers.url("nymserver") + "/v1/limit"
    assert client.http.get(url).status_code == 401
    assert client.http.post(url, json={"a_day": 5}).status_code == 401
    for body in ({"a_day": -1}, {"a_day": "5"}, {"a_day": 10**10}, {"growth": 0}, {"growth": "x"}, {"more": 1}, [], 7):
        assert client.staff("POST", "limit", body).status_code == 422, body
    where = ("--config", client.servers.folder / "authority")
    for words in (["--a-day", "-1"], ["--a-day", "many"], ["--growth", "0"], ["--growth", "nan"], []):
        done = command("authority", "limit", *words, *where)
        assert (done.returncode, done.stdout) == (2, "")
    assert client.staff("GET", "limit").json()["settings"] == {"a_day": None, "growth": None}
