"""Tracing by badges in a simulated epidemic: who is told, how deep, how many a day, and that the servers' and
companions' own code says the same of the same contacts."""

import asyncio
import os
import random
from pathlib import Path

import numpy as np
import pytest
from anontrace import clock
from anontrace.backend.authority import rules
from anontrace.backend.authority.rules import Rule
from anontrace.backend.nymserver import risk
from anontrace.backend.nymserver.cases import Cases
from anontrace.backend.nymserver.limit import WAITING, Limit
from anontrace.backend.nymserver.nyms import Outgoing
from anontrace.backend.nymserver.records import Contact, Decision, LimitSettings, Tally
from anontrace.backend.nymserver.reports import Reports
from anontrace.backend.nymserver.sending import SEND
from anontrace.backend.nymserver.wearers import Wearers
from anontrace.backend.observing.counters import Counters
from anontrace.backend.store import open_store
from anontrace.companion.exposures import judging
from anontrace.companion.exposures.judging import Received
from anontrace.epidemic.scenario import Strategy
from anontrace.mixnet import keydays
from anontrace.mixnet.notification import Notification
from anontrace_shared.slots import SLOTS_PER_DAY

from .world import FIRST_RESULT, World

RULE = 15


def chain(**given: object) -> Strategy:
    return Strategy.model_validate({"name": "chain", "limit": "off", "minutes": RULE} | given)


@pytest.fixture(scope="module")
def usual() -> World:
    return World(chain(), days=8)


def test_nobody_is_told_without_a_contact() -> None:
    world = World(chain(depth=2), days=10)
    minutes = world.minutes()
    sources = dict.fromkeys(enumerate(world.patients), 0)
    for person, case, generation, _ in sorted(world.told, key=lambda each: each[3]):
        assert person != world.patients[case]
        near = [
            source for (of, source), depth in sources.items()
            if of == case and depth == generation - 1 and minutes.get((source, person), 0.0) >= RULE
        ]  # fmt: skip
        assert near, f"{person} is told of case {case} as generation {generation}"
        sources[case, person] = generation
    assert {generation for _, _, generation, _ in world.told} == {1, 2}


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_chain_reaches_its_depth_and_never_passes_it(depth: int) -> None:
    world = World(chain(depth=depth), patients=(5,))
    assert max(generation for _, _, generation, _ in world.told) == depth


def test_the_limit_holds_each_day_and_what_is_over_waits() -> None:
    free, bounded = World(chain(depth=2)), World(chain(depth=2, limit=500))
    assert max(free.sent) > 500
    assert max(bounded.sent) == 500
    assert free.waiting == [0] * free.days and max(bounded.waiting) > 0


def test_a_budget_of_a_case_holds_over_all_its_reports() -> None:
    world = World(chain(depth=3, case_budget=60), patients=(5,))
    assert sum(world.sent) == 60


def test_companions_at_level_low_tell_later() -> None:
    moments = {
        level: np.mean([at for *_, at in World(chain(level=level), days=8).told]) for level in ("low", "normal", "high")
    }
    assert moments["low"] > moments["normal"] + 0.1 > moments["high"] + 0.2


@pytest.mark.parametrize(
    "settings", [{"wearers": 0.0}, {"loss": 1.0}, {"wrong_clocks": 1.0, "wrong_by": 86_400.0}, {"hands_in": 0.0}]
)
def test_without_badges_that_work_and_logs_hardly_anybody_is_told(usual: World, settings: dict[str, float]) -> None:
    assert len(World(chain(), days=8, settings=settings).told) <= len(usual.told) / 20


@pytest.mark.parametrize("a_day", [None, 40])
def test_the_servers_and_companions_themselves_say_the_same(tmp_path: Path, a_day: int | None) -> None:
    patient = 5
    world = World(chain(limit="off" if a_day is None else a_day), patients=(patient,), days=FIRST_RESULT + 1)
    rows = world.wearers.handed_in(np.array([patient]), np.random.default_rng(0))
    rows = rows.where(rows.day < FIRST_RESULT)
    today = keydays.day_at(clock.now())
    contacts, whose = [], {}
    for day, other, count, present, attenuation in zip(
        rows.day.tolist(), rows.other.tolist(), rows.count.tolist(), rows.present.tolist(), rows.attenuation.tolist(),
        strict=True,
    ):  # fmt: skip
        first = (today - FIRST_RESULT + day) * SLOTS_PER_DAY
        for _ in range(count):
            address, slot = os.urandom(20), first + len(contacts) % SLOTS_PER_DAY
            whose[address] = other
            contacts.append(
                Contact(id=0, address=address, slot=slot, present=present, attenuation=attenuation, verified=True)
            )
    random.shuffle(contacts)
    numbered = [each.model_copy(update={"id": number}) for number, each in enumerate(contacts, 1)]
    sent, left = asyncio.run(_decided(tmp_path, numbered, today - 1, a_day))

    by_address = {each.address: each for each in numbered}
    real = sorted(risk.of(by_address[each.address]) for each in sent)
    simulated = world.chain.sent
    places = np.repeat(simulated.place, simulated.count)
    decided = FIRST_RESULT + 0.1
    assert sorted(risk.place(each, decided * 86_400) for each in real) == sorted(places.tolist())
    assert (len(sent), left) == (world.sent[FIRST_RESULT], world.waiting[FIRST_RESULT])

    received: dict[int, list[Received]] = {}
    for place, each in enumerate(sent):  # an address has a slot of its own: none is merged with another
        received.setdefault(whose[each.address], []).append(Received(place, 0, Notification.decode(each.content)))
    told = {
        other for other, items in received.items()
        if any(found.state == judging.TOLD for found in judging.assess(items, set(), set()))
    }  # fmt: skip
    if a_day is None:
        later = World(chain(), patients=(patient,), days=FIRST_RESULT + 4)
        assert told == {person for person, *_ in later.told}
    assert told


async def _decided(folder: Path, contacts: list[Contact], onset: int, a_day: int | None) -> tuple[list[Outgoing], int]:
    """What a nymserver's own reports and limit send of these contacts, and how many wait."""
    store, counters = await open_store(folder / "store"), Counters()
    try:
        limit = Limit(store, counters, Cases(store), Wearers(store, counters), lambda _: None, None, 0.0)
        await limit.set(LimitSettings(a_day=10**9 if a_day is None else a_day))
        reports = Reports(store, counters, bytes(32), 14, lambda _: None, limit)
        report_id = os.urandom(8)
        await reports.add(report_id, os.urandom(16), 0, "U07.1", contacts, Tally())
        (report,) = await reports.all()
        taken = rules.effect(Rule(RULE, onset=onset), [each.model_dump() for each in report.exposures])
        await reports.decide(report_id, Decision(approve=True, exposures=taken.ids, minutes=RULE))
        items = (await store.take(SEND, 1e12, 10_000, 1e12)).entries
        return [Outgoing.decode(each.item) for each in items], (await store.backlog()).get(WAITING, 0)
    finally:
        await store.close()
