"""What a day's registration sends; what it costs is measured by `make bench ONLY=registration`."""

import pytest
from anontrace import clock
from anontrace.companion.addresses import confirming, registration, swaps
from anontrace.companion.addresses.swaps import Swaps
from anontrace.companion.exposures import polling
from anontrace.companion.network.servers import Servers
from anontrace.companion.reports import fragments
from anontrace.companion.store import state
from anontrace.companion.store.states import ACCEPTED
from anontrace.mixnet.sizes import MESSAGE
from anontrace.wire.levels import NORMAL

from tests.companion.conftest import Cli, SimulatedClock
from tests.companion.paper import START, Time, Wearer, make_transparent
from tests.companion.schedule.test_shape import hand_in

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


@pytest.fixture
def wearer(tmp_path, monkeypatch):
    """A companion in a network on paper, with a day's addresses made and not sent."""
    now = Time()
    monkeypatch.setattr(clock, "now", lambda: now.now)
    monkeypatch.setattr(swaps, "RESEND_SECONDS", 0.3)
    make_transparent(monkeypatch)
    made = Wearer(tmp_path / "paper", now, monkeypatch, NORMAL)
    made.network.transparent = True
    slot = START // 300
    with made._servers(made.state) as servers:
        registration.make(made.state, servers, made.state.badges.get(), slot, slot + DAY_SLOTS, lambda *_: None)
    yield made
    made.close()


def settled(wearer, seconds=20.0):
    """How it went, for how many addresses the nymserver was asked, and how many were seen to be held."""
    with wearer._servers(wearer.state) as servers:
        found = Swaps(wearer.state, servers).settle(seconds, lambda *_: None)
    return found, len(wearer.network.asked), wearer.state._db.row("SELECT sum(seen) AS seen FROM surbs")["seen"]


def test_a_sample_that_is_there_speaks_for_a_day_sent_at_once(wearer):
    found, asked, seen = settled(wearer)
    assert (found.sent, found.confirmed, found.pending, found.resent) == (DAY_SLOTS, DAY_SLOTS, 0, 0)
    assert wearer.state.addresses.confirmed_until(1, START // 300) == START // 300 + DAY_SLOTS
    assert asked == swaps.MIN_SAMPLE == seen


def test_looks_for_answers_have_one_size_whatever_came(wearer):
    """For swaps 64 digests; for an upload, of which nobody could compute the answer, 16 and as many messages."""
    settled(wearer)
    assert {(each.digests, each.sums, each.plain, len(each.groups)) for each in wearer.network.looks} == {(64, 0, 0, 1)}
    wearer.network.looks.clear()
    hand_in(wearer, 40)
    (stored,) = wearer.state.uploads.all()
    with wearer._servers(wearer.state) as servers:
        fragments.send(wearer.state, servers, stored, lambda *_: None, 10.0)
    assert [each.state for each in wearer.state.uploads.all()] == [ACCEPTED]
    assert {(each.digests, each.sums, each.plain, len(each.groups)) for each in wearer.network.looks} == {
        (16, 0, 16, 1)
    }


def test_when_some_of_the_sample_got_lost_each_is_looked_for_and_sent_again(wearer, monkeypatch):
    hand_over, dropped = wearer.network._mix, []

    def lose_half(number, data):
        # The sample is nine: it meets none of them once in 500 times, and what is sent last never.
        if len(dropped) < DAY_SLOTS // 2 and len(wearer.network.nyms) > len(dropped):
            dropped.append(data)
        else:
            hand_over(number, data)

    monkeypatch.setattr(wearer.network, "_mix", lose_half)
    monkeypatch.setattr(swaps, "MIN_SAMPLE", 40)  # ... and of forty once in 10^12
    found, _, seen = settled(wearer)
    assert (found.confirmed, found.pending) == (DAY_SLOTS, 0) and found.resent > 0
    assert len(wearer.network.nyms) == DAY_SLOTS == seen
    assert False in wearer.state.timetable.last_samples(confirming.SAMPLES)


def test_when_an_answer_gets_lost_sixty_more_are_asked_for(wearer, monkeypatch):
    monkeypatch.setattr(swaps, "AGAIN_SECONDS", 0.3)
    monkeypatch.setattr(swaps, "RESEND_SECONDS", 20.0)
    send, lost = wearer.network._send, []

    def lose_the_third(*answer):
        if len(wearer.network.asked) == 3 and not lost:
            lost.append(answer)
        else:
            send(*answer)

    monkeypatch.setattr(wearer.network, "_send", lose_the_third)
    found, asked, seen = settled(wearer)
    assert len(lost) == 1 and (found.confirmed, found.resent) == (DAY_SLOTS, 0)
    assert asked - 1 == seen == swaps.MIN_SAMPLE + swaps.MAX_SAMPLE


def test_a_network_that_is_slower_than_the_command_is_patient_is_not_asked_again_and_again(wearer, monkeypatch):
    monkeypatch.setattr(swaps, "RESEND_SECONDS", 1000.0)
    answers, send = [], wearer.network._send
    monkeypatch.setattr(wearer.network, "_send", lambda *answer: answers.append(answer))
    found, asked, _ = settled(wearer, seconds=1.0)
    assert (found.confirmed, found.pending, len(answers)) == (0, DAY_SLOTS, swaps.PROBES)
    monkeypatch.setattr(wearer.network, "_send", send)
    for each in answers:
        send(*each)
    found, asked, seen = settled(wearer)
    assert (found.sent, found.confirmed, found.resent) == (0, DAY_SLOTS, 0)
    assert asked == seen == swaps.MIN_SAMPLE


def test_what_an_earlier_attempt_has_sent_is_looked_for_itself(wearer):
    earlier = wearer.state.addresses.pending()[:40]
    wearer.state.addresses.set_sent([item.surb for item in earlier], int(clock.now()))  # and killed before it did
    found, _, seen = settled(wearer)
    assert (found.confirmed, found.pending) == (DAY_SLOTS, 0) and found.resent >= len(earlier)
    assert len(wearer.network.nyms) == DAY_SLOTS == seen


def polled(wearer):
    """What a poll by hand asks for and sends: receipts, and messages request by request."""
    asked, before = len(wearer.network.asked), len(wearer.network.requests)
    with wearer._servers(wearer.state) as servers:
        polling.poll(wearer.state, servers, lambda *_: None)
    sent = [each.sent // MESSAGE for each in wearer.network.requests[before:] if each.kind == "messages"]
    return len(wearer.network.asked) - asked, sent


def sent_and_not_confirmed(wearer, monkeypatch, lose):
    """As a `register` leaves it whose time was over before its one receipt was answered, or `lose` says so."""
    monkeypatch.setattr(swaps, "RESEND_SECONDS", 1000.0)
    mix, answers, send = wearer.network._mix, [], wearer.network._send
    with monkeypatch.context() as patch:
        patch.setattr(wearer.network, "_send", lambda *answer: answers.append(answer))
        patch.setattr(wearer.network, "_mix", lambda number, data: lose(data) or mix(number, data))
        assert settled(wearer, seconds=0.3)[0].confirmed == 0
    for each in answers:
        send(*each)
    wearer.time.now += 3600


def test_a_poll_asks_for_a_sample_of_what_waits_in_one_request_and_it_speaks_for_the_rest(wearer, monkeypatch):
    sent_and_not_confirmed(wearer, monkeypatch, lambda _: False)
    assert polled(wearer) == (swaps.MIN_SAMPLE, [swaps.MIN_SAMPLE])
    wearer.time.now += 30 * 3600  # by now it would count as lost
    asked, sent = polled(wearer)
    assert (asked, sent) == (0, []) and wearer.state.addresses.pending() == []
    assert wearer.state._db.row("SELECT sum(seen) AS seen FROM surbs")["seen"] == 1 + swaps.MIN_SAMPLE


def test_what_a_poll_finds_missing_is_sent_again_and_speaks_for_nothing(wearer, monkeypatch):
    sent_and_not_confirmed(wearer, monkeypatch, lambda _: True)
    for _ in range(6):
        asked, _ = polled(wearer)
        assert asked <= swaps.MIN_SAMPLE
        assert len(wearer.network.nyms) >= DAY_SLOTS - wearer.state.addresses.pending_count()
        wearer.time.now += 13 * 3600
    assert len(wearer.network.nyms) == DAY_SLOTS and wearer.state.addresses.pending() == []


def test_a_poll_waits_for_the_answers_that_are_on_their_way(wearer, monkeypatch):
    sent_and_not_confirmed(wearer, monkeypatch, lambda _: False)
    kept, send = [], wearer.network._send
    monkeypatch.setattr(wearer.network, "_send", lambda *answer: kept.append(answer))
    assert polled(wearer) == (swaps.MIN_SAMPLE, [swaps.MIN_SAMPLE])
    monkeypatch.setattr(wearer.network, "_send", send)
    for each in kept[:4]:
        send(*each)
    assert polled(wearer) == (0, []) and len(wearer.state.addresses.pending()) > DAY_SLOTS - 9
    for each in kept[4:]:
        send(*each)
    assert polled(wearer) == (0, []) and wearer.state.addresses.pending() == []
