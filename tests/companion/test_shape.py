"""The shape of the traffic over a fortnight: the same whether the wearer is idle, is notified, or uploads a log."""

import secrets
from random import Random

import pytest
from anontrace import clock
from anontrace.companion import registration, run
from anontrace.companion.cases import assess
from anontrace.companion.levels import Level
from anontrace.companion.store.uploads import ACCEPTED, PASS_ON
from anontrace.wire.upload import CHUNK_DATA
from anontrace_shared.slots import slot_of

from tests.companion.paper import START, Time, Wearer, exposure, make_transparent

DAY = 86400
DAYS = 14
EVERY = 12  # a twelfth of the addresses, and of the traffic, shows the same
SMALL = Level("small", messages=12, batch=8, polls=8, questions=60, chunks=2, looks=24, renewals=10)


@pytest.fixture
def time(monkeypatch):
    found = Time()
    monkeypatch.setattr(clock, "now", lambda: found.now)
    make_transparent(monkeypatch)
    make = registration.make

    def some(opened, servers, badge, first, end, progress):
        slots = range(first + -first % EVERY, end, EVERY)
        return sum(make(opened, servers, badge, slot, slot + 1, progress) for slot in slots)

    monkeypatch.setattr(registration, "make", some)
    monkeypatch.setattr(run, "LEAST_SLOTS", 0)  # with gaps there is no horizon
    return found


def fortnight(folder, time, patch, seed, state):
    """All requests of one wearer, and the wearer."""
    time.now = float(START)
    wearer = Wearer(folder / f"{state}-{seed}", time, patch, SMALL, seed)
    wearer.network.transparent = True
    moments = Random(seed)
    wearer.until(START + 2 * DAY)
    if state == "uploading":
        log = secrets.token_bytes(5 * CHUNK_DATA)
        stored = wearer.state.uploads.add(PASS_ON, b"case", secrets.token_bytes(16), log, int(time.now))
        wearer.state.uploads.set_ready(stored, secrets.token_bytes(16), log)
    if state == "notified":
        case, report = secrets.token_bytes(16), secrets.token_bytes(8)
        slots = range(slot_of(START) + -slot_of(START) % EVERY + EVERY, slot_of(time.now) - 1, EVERY)
        for slot in moments.sample(slots, 4):
            wearer.network.notify(wearer.addresses(slot, 1)[slot], slot, exposure(case, report))
    wearer.until(START + DAYS * DAY)
    return wearer


@pytest.mark.parametrize("seed", [1, 2])
def test_all_that_is_sent_is_the_same_to_the_second_and_the_byte(tmp_path, time, monkeypatch, seed):
    wearers = {
        state: fortnight(tmp_path, time, monkeypatch, seed, state) for state in ("idle", "notified", "uploading")
    }
    # Each was in the state that it stands for.
    assert [each.state for each in assess(wearers["notified"].state)] == ["told"]
    assert [each.state for each in wearers["uploading"].state.uploads.all()] == [ACCEPTED]
    assert assess(wearers["idle"].state) == []

    seen = {
        state: [(request.time, request.kind, request.sent) for request in wearer.network.requests]
        for state, wearer in wearers.items()
    }
    assert len(seen["idle"]) > DAYS * 30
    assert seen["notified"] == seen["idle"]
    assert seen["uploading"] == seen["idle"]

    # What comes back is the same too but for the answers to polls, and there is one message a mailbox in any case.
    for state, wearer in wearers.items():
        sizes = {request.received for request in wearer.network.requests if request.kind == "upload"}
        assert sizes == {32}, state
        assert {len(payloads) for payloads in wearer.network.mailboxes.values()} == {1}, state
    for wearer in wearers.values():
        wearer.close()
