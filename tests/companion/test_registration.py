"""What a day's registration costs, and that its messages are what the protocol says."""

import os
import time

import pytest
from anontrace import clock
from anontrace.companion import registration, state
from anontrace.companion.servers import Servers
from anontrace.companion.swaps import Swaps
from anontrace.mixnet.sizes import MESSAGE
from anontrace_primitives import x25519, x25519_base

from tests.companion.conftest import Cli, SimulatedClock

DAY_SLOTS = 288
DESIGN_X25519 = 35e-6  # seconds on the machine that the budget is stated for (design: 33 to 36 microseconds)
BUDGET = 0.5  # seconds of processor time for a day's addresses


@pytest.fixture
def opened(member: Cli, clock: SimulatedClock, monkeypatch):
    monkeypatch.setattr(registration.clock, "now", lambda: clock.now)
    with state.changing(member.folder) as found:
        yield found


def x25519_seconds() -> float:
    """What one multiplication takes at the moment."""
    secret, point = os.urandom(32), x25519_base(os.urandom(32))
    began = time.process_time()
    for _ in range(1000):
        x25519(secret, point)
    return (time.process_time() - began) / 1000


def test_a_days_addresses_stay_within_their_time_and_size(opened):
    with Servers(opened.network) as servers:
        assert servers.nymserver.number  # the directory is fetched now
        best, total = 1e9, 0
        for day in range(3):  # the least of three: other work on this machine only adds
            now = int(clock.now()) // 300 + day * DAY_SLOTS
            badge = opened.badges.ensure(now // DAY_SLOTS)
            before, began = x25519_seconds(), time.process_time()
            assert registration.make(opened, servers, badge, now, now + DAY_SLOTS, lambda *_: None) == DAY_SLOTS
            pending = opened.addresses.pending()[-DAY_SLOTS:]
            batches = Swaps(opened, servers)._build(pending)
            used = time.process_time() - began
            best = min(best, used * DESIGN_X25519 / ((before + x25519_seconds()) / 2))
            total = sum(len(message) for _, batch in batches for _, message in batch)
    assert total == DAY_SLOTS * MESSAGE <= 110_000
    assert best <= BUDGET
