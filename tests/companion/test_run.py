"""`anontrace run` on a network on paper: the five steps of a renewal, the day's traffic, what it survives."""

import secrets
from collections import Counter
from dataclasses import replace
from random import Random

import pytest
from anontrace import clock
from anontrace.companion import asking, looking, registration, renewal, run, swaps
from anontrace.companion.cases import assess
from anontrace.companion.errors import BadgeNotFoundError, BluetoothError, CompanionError
from anontrace.companion.levels import HIGH, LOW, NORMAL, Level
from anontrace.companion.store import renewals
from anontrace.companion.store.badges import RATCHET
from anontrace.mixnet.sizes import MESSAGE, PAYLOAD
from anontrace.wire import poll
from anontrace.wire.upload import CHUNK
from anontrace_shared.slots import day_of, slot_of

from tests.companion.paper import KINDS, MAILBOX, START, Time, Wearer, exposure, make_transparent

HOUR, DAY = 3600, 86400


@pytest.fixture
def time(monkeypatch):
    found = Time()
    monkeypatch.setattr(clock, "now", lambda: found.now)
    return found


@pytest.fixture
def wearer(tmp_path, time, monkeypatch):
    make_transparent(monkeypatch)
    made = Wearer(tmp_path / "state", time, monkeypatch, NORMAL)
    made.network.transparent = True
    yield made
    made.close()


def horizon(wearer, badge=1) -> int:
    slot = slot_of(wearer.time.now)
    return wearer.state.addresses.confirmed_until(badge, slot) - slot


def test_addresses_are_always_registered_ahead_and_confirmation_stays_within_its_bytes(wearer):
    wearer.until(START + 60)
    assert horizon(wearer) >= 2 * 288 - 1
    at_once = len(wearer.events)
    for hours in range(6, 9 * 24, 6):
        wearer.until(START + hours * HOUR)
        assert horizon(wearer) >= 288, hours
    assert len([event for event in wearer.events[at_once:] if event.lines]) == 0  # never at once again
    spent = Counter()
    for request in wearer.network.requests:
        if request.kind == "buckets" and request.time > START + DAY:
            spent[request.time // DAY] += request.received
    assert max(spent.values()) <= looking.BYTES_A_DAY


def test_what_got_lost_is_sent_again(wearer, monkeypatch):
    monkeypatch.setattr(swaps, "RESEND_SECONDS", 0.1)
    wearer.until(START + 2 * DAY)
    wearer.network.lose = True
    wearer.until(START + 2 * DAY + 8 * HOUR)
    wearer.network.lose = False
    wearer.until(START + 5 * DAY)
    assert horizon(wearer) >= 288
    for slot, contact_address in wearer.addresses(slot_of(wearer.time.now), 288).items():
        key = registration.schedule.nym_key(contact_address, slot)
        assert key in wearer.network.nyms


def test_a_renewal_goes_through_its_five_steps_through_restarts_and_losses_and_leaves_no_address_deaf(wearer):
    wearer.network.lose_first = 8
    seen = set()
    for hours in range(0, 6 * 24, 3):
        wearer.until(START + hours * HOUR)
        seen |= set(wearer.state.renewals.counts())
        wearer.begin()  # the state alone counts
    assert seen == {
        renewals.REPLACING, renewals.DRAINING, renewals.DUMMY_DUE, renewals.SETTLING, renewals.CHECKING
    }  # fmt: skip
    # Every old mailbox that was dropped held one message, and so does no mailbox more.
    assert {len(payloads) for payloads in wearer.network.mailboxes.values()} == {1}
    row = wearer.state._db.row("SELECT count(*) AS n FROM surbs WHERE state = 'replaced'")
    under_way = sum(n for name, n in wearer.state.renewals.counts().items() if name != renewals.REPLACING)
    assert row["n"] <= under_way + 40  # dropped with the next house-keeping
    # Whatever was lost on the way, the SURB that the nymserver holds is never one that its owner has spent.
    assert len(wearer.network.lost) >= 8
    for slot, contact_address in wearer.addresses(slot_of(START), 7 * 288).items():
        if registration.schedule.nym_key(contact_address, slot) not in wearer.network.lost.values():
            continue
        arrived = sum(map(len, wearer.network.mailboxes.values()))
        wearer.network.notify(contact_address, slot, exposure(secrets.token_bytes(16), secrets.token_bytes(8)))
        assert sum(map(len, wearer.network.mailboxes.values())) == arrived + 1


def test_a_notification_takes_the_place_of_the_dummy_the_next_one_comes_by_the_new_surb_and_repeats_count_once(wearer):
    wearer.until(START + 2 * DAY)
    case, report = secrets.token_bytes(16), secrets.token_bytes(8)
    chosen = list(wearer.addresses(slot_of(START) + 100, 4).items())
    for slot, contact_address in chosen:
        wearer.network.notify(contact_address, slot, exposure(case, report))
    wearer.until(START + 5 * DAY)
    (told,) = assess(wearer.state)
    assert (told.case_id, told.state, len(told.seconds)) == (case, "told", 4)
    assert [event.document["told"] for event in wearer.events if event.document.get("told")] == [[case.hex()]]
    assert {len(payloads) for payloads in wearer.network.mailboxes.values()} == {1}  # its dummy was dropped
    again = secrets.token_bytes(16)
    for slot, contact_address in chosen:
        wearer.network.notify(contact_address, slot, exposure(again, secrets.token_bytes(8)))
    for payloads in wearer.network.mailboxes.values():
        payloads *= 2  # a mailbox server may append again what it is not sure of: seen or not, it counts once
    wearer.until(START + 7 * DAY)
    assert {each.case_id: each.minutes for each in assess(wearer.state)} == {case: 20, again: 5}


def test_every_badge_has_addresses_ahead_and_the_requests_have_room_for_them(wearer):
    wearer.until(START + DAY)
    wearer.state.badges.add(day_of(slot_of(wearer.time.now)))
    before = len(wearer.network.requests)
    for hours in range(36, 4 * 24, 12):
        wearer.until(START + hours * HOUR)
        assert horizon(wearer, 1) >= 288, hours
        assert horizon(wearer, 2) >= 288, hours
    level = NORMAL.for_badges(2)
    sizes = {(request.kind, request.sent) for request in wearer.network.requests[before:] if request.kind != "messages"}
    assert {sent for kind, sent in sizes if kind == "poll"} == {poll.ROOM + level.questions * poll.QUESTION}
    regular = [r for r in wearer.network.requests if r.kind == "messages" and r.time > START + 2 * DAY]
    assert {request.sent for request in regular} == {level.batch * MESSAGE}


def test_each_badge_is_synced_and_what_fails_is_said_once(wearer, monkeypatch):
    wearer.state.badges.set_provisioned(wearer.state.badges.add(day_of(slot_of(START))), RATCHET, 0, 0, START)
    monkeypatch.setattr(run, "BETWEEN_SECONDS", 0)
    wrong: dict[int, CompanionError] = {}
    asked = []

    def sync(_state, badge):
        asked.append(badge.number)
        if badge.number in wrong:
            raise wrong[badge.number]
        return {"badge": badge.number, "records": 0, "log_was_full": False}

    def said(hours):
        """Lines about badges in so many hours, in which each badge is asked several times."""
        asked.clear()
        before = len(wearer.events)
        wearer.until(wearer.time.now + hours * HOUR)
        assert asked.count(1) == asked.count(2) >= hours / 2
        return [line for event in wearer.events[before:] if event.task == run.BADGE for line in event.lines]

    wearer.sync = sync
    wearer.begin()
    assert set(said(5)) == {"Badge 1 synced: 0 sealed records.", "Badge 2 synced: 0 sealed records."}
    wrong[2] = BadgeNotFoundError("out of range")
    assert [line for line in said(5) if "2" in line] == ["Badge 2: out of range"]
    wrong[1] = wrong[2] = BluetoothError("Bluetooth is switched off")
    assert said(5) == ["Badge 1: Bluetooth is switched off", "Badge 2: Bluetooth is switched off"]
    wrong.clear()
    assert {line[:14] for line in said(5)} == {"Badge 1 synced", "Badge 2 synced"}


def test_offline_is_a_line_and_not_the_end(wearer):
    wearer.until(START + 60)

    def said(hours, down):
        wearer.events.clear()
        wearer.network.down = down
        wearer.until(wearer.time.now + hours * HOUR)
        return [line for event in wearer.events for line in event.lines]

    (line,) = said(12, KINDS)
    assert line.startswith("Offline: ")
    assert said(12, frozenset()) == ["Online again."]
    (line,) = said(24, frozenset(("poll",)))  # one server of several, while the others answer
    assert line.startswith("Offline: ")
    assert said(12, frozenset()) == ["Online again."]


def test_what_was_missed_is_not_made_up_for(wearer):
    wearer.until(START + DAY)
    wearer.time.now += 12 * HOUR
    before = len(wearer.network.requests)
    wearer.begin()
    wearer.until(wearer.time.now + HOUR)
    assert len(wearer.network.requests) - before <= 12


@pytest.mark.parametrize(
    ("level", "least", "most"),
    [(LOW, 105_000, 135_000), (NORMAL, 300_000, 380_000), (HIGH, 8_500_000, 10_000_000)],
    ids=lambda value: value.name if isinstance(value, Level) else "",
)
def test_the_traffic_of_a_day(tmp_path, time, monkeypatch, level, least, most):
    """Real messages through real keys at low and normal; at high, where it is thousands, messages of the same size."""
    filled, days = (1, 1) if level is HIGH else (15, 3)
    make_transparent(monkeypatch)
    wearer = Wearer(tmp_path / "state", time, monkeypatch, level, seed=4)
    wearer.network.transparent = True
    wearer.until(START + filled * DAY)  # from now on there are mailboxes for a fortnight
    if level is not HIGH:
        monkeypatch.undo()
        monkeypatch.setattr(clock, "now", lambda: time.now)
        wearer.network.transparent = False
    before = len(wearer.network.requests)
    wearer.until(START + (filled + days) * DAY)
    measured = Counter()
    for request in wearer.network.requests[before:]:
        measured[request.kind] += request.sent + request.received
    wearer.close()
    a_day = {kind: round(count / days) for kind, count in measured.items()}
    a_day.setdefault("upload", 0)  # one in five days at low
    assert a_day["buckets"] <= looking.BYTES_A_DAY
    assert least <= a_day["messages"] + a_day["poll"] + a_day["upload"] <= most
    assert least <= level.bytes_a_day <= most
    assert {r.received for r in wearer.network.requests[before:] if r.kind == "poll"} == {level.room * poll.ANSWER}
    assert {r.sent for r in wearer.network.requests[before:] if r.kind == "messages"} == {level.batch * MESSAGE}
    assert {r.sent for r in wearer.network.requests[before:] if r.kind == "upload"} <= {CHUNK}


@pytest.mark.parametrize("badges", [2, 5])
def test_further_badges_do_not_push_the_highest_level_over_its_bytes(badges):
    level = HIGH.for_badges(badges)
    assert level.bytes_a_day == pytest.approx(HIGH.bytes_a_day, rel=0.02)
    assert level.batch * level.messages >= badges * 288 + 3 * level.renewals
    assert level.chunks > 100
    assert NORMAL.for_badges(badges).bytes_a_day > NORMAL.bytes_a_day


def test_what_an_answer_has_no_room_for_is_asked_for_first_the_next_time(wearer):
    wearer.until(START + 2 * DAY)
    level = replace(NORMAL, questions=100)  # of nearly 600 mailboxes: who has been asked waits for six requests
    now = int(wearer.time.now)
    addresses = wearer.state.addresses
    full = addresses.to_ask(MAILBOX, renewal.slots_in_question(now), now, 3 * level.room)
    for mailbox in full:
        wearer.network.mailboxes.setdefault(mailbox.address, []).append(secrets.token_bytes(PAYLOAD))
    with wearer._servers(wearer.state) as servers:
        brought = [asking.ask(wearer.state, servers, level, Random(n)).messages for n in range(4)]
    assert brought[:3] == [level.room] * 3
    skips = {mailbox.number: mailbox.skip for mailbox in addresses.live_mailboxes(now)}
    assert all(skips.get(mailbox.number, 255) > mailbox.skip for mailbox in full)  # one that is done with has gone
