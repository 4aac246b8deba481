"""What a day's registration sends; what it costs is measured by `make bench ONLY=registration`."""

import pytest
from anontrace.companion import registration, state
from anontrace.companion.servers import Servers
from anontrace.companion.swaps import Swaps
from anontrace.mixnet.sizes import MESSAGE

from tests.companion.conftest import Cli, SimulatedClock

DAY_SLOTS = 288


@pytest.fixture
def opened(member: Cli, clock: SimulatedClock, monkeypatch):
    monkeypatch.setattr(registration.clock, "now", lambda: clock.now)
    with state.changing(member.folder) as found:
        yield found


def test_a_days_addresses_are_one_message_each_and_stay_within_110_kilobytes(opened, clock, monkeypatch):
    bodies = []
    send = Servers.send_messages
    monkeypatch.setattr(
        Servers, "send_messages", lambda *given: bodies.append(b"".join(given[2])) or send(*given)
    )  # fmt: skip
    badge = opened.badges.ensure(clock.slot // DAY_SLOTS)
    with Servers(opened.network) as servers:
        made = registration.make(opened, servers, badge, clock.slot, clock.slot + DAY_SLOTS, lambda *_: None)
        assert made == Swaps(opened, servers).send(opened.addresses.pending()) == DAY_SLOTS
        assert registration.make(opened, servers, badge, clock.slot, clock.slot + DAY_SLOTS, lambda *_: None) == 0
    assert sum(map(len, bodies)) == DAY_SLOTS * MESSAGE <= 110_000
