"""`anontrace run` on a network on paper: the five steps of a renewal, the day's traffic, what it survives."""

import secrets
from collections import Counter
from contextlib import contextmanager
from itertools import pairwise
from random import Random

import pytest
from anontrace import clock
from anontrace.companion.addresses import confirming, registration, swaps
from anontrace.companion.errors import BadgeNotFoundError, BluetoothError, BusyError, CompanionError
from anontrace.companion.exposures.cases import assess
from anontrace.companion.exposures.looking import GROUPS
from anontrace.companion.schedule import renewal, run, scheduled_polls
from anontrace.companion.store import states
from anontrace.companion.store.badges import RATCHET
from anontrace.mixnet import swap
from anontrace.mixnet.header import ALONE
from anontrace.mixnet.receipt import NymQuestion
from anontrace.mixnet.sizes import MESSAGE, PAYLOAD
from anontrace.wire import look
from anontrace.wire.levels import HIGH, LOW, NORMAL, Level
from anontrace_shared.slots import day_of, slot_of

from tests.companion.paper import KINDS, MAILBOX, START, Time, Wearer, exposure, make_transparent

HOUR, DAY = 3600, 86400
DIRECTORY_OF_20 = 20 * 100 + 1000  # bytes a day, of 20 servers


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


@pytest.fixture(scope="module")
def first_days(tmp_path_factory):
    """The first days of a wearer, lived once: how they stood after so many seconds."""
    folder, time = tmp_path_factory.mktemp("days"), Time()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "now", lambda: time.now)
        make_transparent(patch)
        wearer = Wearer(folder / "life", time, patch, NORMAL)
        wearer.network.transparent = True
        kept = {}
        for seconds in (60, HOUR, DAY, 2 * DAY, 3 * DAY):
            wearer.until(START + seconds)
            kept[seconds] = wearer.copy(folder / str(seconds), Time(), patch)
        wearer.close()
    yield kept  # nothing is patched by now
    for each in kept.values():
        each.close()


@pytest.fixture
def later(first_days, tmp_path, time, monkeypatch):
    """The same wearer as a new one, but after so many seconds."""
    made = []

    def make(seconds):
        make_transparent(monkeypatch)
        made.append(first_days[seconds].copy(tmp_path / "state", time, monkeypatch))
        return made[0]

    yield make
    for each in made:
        each.close()


def horizon(wearer, badge=1) -> int:
    slot = slot_of(wearer.time.now)
    return wearer.state.addresses.confirmed_until(badge, slot) - slot


def test_addresses_are_always_registered_ahead_and_their_swaps_do_not_tell_that_they_are_one_persons(wearer):
    wearer.until(START + 60)
    assert horizon(wearer) >= run.AHEAD_SLOTS - 1
    at_once, asked_at_once = len(wearer.events), len(wearer.network.asked)
    assert asked_at_once == run.AHEAD_SLOTS // swaps.SHARE
    came, keep = {}, wearer.network._swap

    def note(wanted):
        came.setdefault(wanted.key, wearer.time.now)
        keep(wanted)

    wearer.network._swap = note
    days = 6
    for hours in range(6, days * 24, 6):
        wearer.until(START + hours * HOUR)
        assert horizon(wearer) >= 216, hours
    assert len([event for event in wearer.events[at_once:] if event.lines]) == 0  # never at once again
    asked = wearer.network.asked[asked_at_once:]
    assert all(isinstance(each, NymQuestion) for each in asked)
    assert len(asked) == pytest.approx(hours / 24 * NORMAL.receipts, rel=0.25)  # the last six hours were not lived
    assert {request.kind for request in wearer.network.requests} == {"directory", "messages", "look", "result"}

    # Each leaves at a time of its own: of an hour's slots hardly two come within a minute.
    first = slot_of(START) + run.AHEAD_SLOTS
    slots = {registration.schedule.nym_key(k, slot): slot for slot, k in wearer.addresses(first, 3 * 288).items()}
    moments = {slots[key]: moment for key, moment in came.items() if key in slots}
    pairs = [(moments[a], moments[b]) for a in moments for b in range(a + 1, a + 12) if b in moments]
    assert len(pairs) > 3000
    assert sum(abs(one - other) < 60 for one, other in pairs) / len(pairs) <= 0.05


def test_what_a_task_computes_shows_in_the_moment_of_no_request(later):
    """None leaves at the second for which its task is kept, nor right after another, nor after the directory."""
    wearer = later(DAY)
    before = len(wearer.network.requests)
    wearer.until(START + 9 * DAY)
    requests = wearer.network.requests[before:]
    fractions = Counter(int(each.time % 1 * 4) for each in requests)
    assert len(requests) > 200 and min(fractions[quarter] for quarter in range(4)) > len(requests) / 8
    pairs = list(pairwise(requests))
    after_directory = [then.time - one.time for one, then in pairs if one.kind == "directory"]
    assert len(after_directory) >= 8 and min(then.time - one.time for one, then in pairs) > 0.001
    assert max(after_directory) > 5

    apart = []
    for _ in range(20):
        before = len(wearer.network.requests)
        wearer.run._due |= dict.fromkeys((run.MESSAGES, run.POLL), int(wearer.time.now))
        wearer.run.step()
        one, then = wearer.network.requests[before:]
        apart.append(then.time - one.time)
    assert min(apart) > 0.001 and max(apart) - min(apart) > run.APART_SECONDS / 3


def test_what_got_lost_is_sent_again(later, monkeypatch):
    monkeypatch.setattr(swaps, "RESEND_SECONDS", 0.1)
    wearer = later(2 * DAY)
    wearer.network.lose = True
    wearer.until(START + 2 * DAY + 8 * HOUR)
    wearer.network.lose = False
    wearer.until(START + 5 * DAY)
    assert horizon(wearer) >= 288
    for slot, contact_address in wearer.addresses(slot_of(wearer.time.now), 288).items():
        key = registration.schedule.nym_key(contact_address, slot)
        assert key in wearer.network.nyms


def test_a_renewal_goes_through_its_five_steps_through_restarts_and_losses_and_leaves_no_address_deaf(wearer):
    wearer.network.lose_first = 4  # of 40 successors asked for, none is lost in 1 of 100,000 cases
    seen = set()
    for hours in range(0, 6 * 24, 3):
        wearer.until(START + hours * HOUR)
        seen |= set(wearer.state.renewals.counts())
        wearer.begin()  # the state alone counts
    assert seen == {
        states.REPLACING, states.DRAINING, states.DUMMY_DUE, states.SETTLING, states.CHECKING
    }  # fmt: skip
    # Every old mailbox that was dropped held one message, and so does no mailbox more.
    assert {len(payloads) for payloads in wearer.network.mailboxes.values()} == {1}
    wearer.state.keep_house(int(wearer.time.now))  # which drops what is done with
    left = "SELECT 1 FROM surbs WHERE state = 'replaced' AND id NOT IN (SELECT surb FROM renewals)"
    assert wearer.state._db.row(left) is None
    # Whatever was lost on the way, the SURB that the nymserver holds is never one that its owner has spent.
    assert len(wearer.network.lost) >= 8
    for slot, contact_address in wearer.addresses(slot_of(START), 7 * 288).items():
        if registration.schedule.nym_key(contact_address, slot) not in wearer.network.lost.values():
            continue
        arrived = sum(map(len, wearer.network.mailboxes.values()))
        wearer.network.notify(contact_address, slot, exposure(secrets.token_bytes(16), secrets.token_bytes(8)))
        assert sum(map(len, wearer.network.mailboxes.values())) == arrived + 1


def test_a_notification_takes_the_place_of_the_dummy_the_next_one_comes_by_the_new_surb_and_repeats_count_once(later):
    wearer = later(2 * DAY)
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


def test_every_badge_has_addresses_ahead_and_the_requests_have_room_for_them(later):
    wearer = later(DAY)
    wearer.state.badges.add(day_of(slot_of(wearer.time.now)))
    before = len(wearer.network.requests)
    for hours in range(36, 4 * 24, 12):
        wearer.until(START + hours * HOUR)
        assert horizon(wearer, 1) >= 288, hours
        assert horizon(wearer, 2) >= 288, hours
    level = NORMAL.for_badges(2)
    # What the new badge needs first is registered at once, and asked for by hand.
    later = [request for request in wearer.network.requests[before:] if request.time > START + 2 * DAY]
    assert {request.sent for request in later if request.kind == "look"} == {look.HEAD + GROUPS * look.ENTRY}
    asked = wearer.network.looks[-1]
    assert (asked.digests, asked.sums) == (level.digests, level.sums) == (2 * NORMAL.digests, 2 * NORMAL.sums)
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
    wearer.run._due[run.BADGE] = int(wearer.time.now)
    wearer.run.step()
    assert list(wearer.run.failures) == ["Badge 1: Bluetooth is switched off", "Badge 2: Bluetooth is switched off"]
    wrong[1] = wrong[2] = BadgeNotFoundError("out of range")  # which is said, and not what makes `--once` fail
    wearer.run._due[run.BADGE] = int(wearer.time.now)
    wearer.run.step()
    assert wearer.run.failures == {}
    wrong.clear()
    assert {line[:14] for line in said(5)} == {"Badge 1 synced", "Badge 2 synced"}


def test_offline_is_a_line_and_not_the_end(later):
    wearer = later(60)

    def said(hours, down):
        wearer.events.clear()
        wearer.network.down = down
        wearer.until(wearer.time.now + hours * HOUR)
        return [line for event in wearer.events for line in event.lines]

    (line,) = said(12, KINDS)
    assert line.startswith("Offline: ")
    assert said(12, frozenset()) == ["Online again."]
    (line,) = said(24, frozenset(("look",)))  # one server of several, while the others answer
    assert line.startswith("Offline: ")
    assert said(12, frozenset()) == ["Online again."]


def test_what_was_missed_is_not_made_up_for(later):
    wearer = later(DAY)
    wearer.time.now += 12 * HOUR
    before = len(wearer.network.requests)
    wearer.begin()
    wearer.until(wearer.time.now + HOUR)
    assert len(wearer.network.requests) - before <= 12


@pytest.mark.parametrize("days", [1, 30])
def test_when_a_clock_that_was_ahead_is_put_right_nothing_waits_for_the_time_that_it_had_shown(later, days):
    """A day ahead the servers' keys are still in force and all goes on; 30 days ahead none are."""
    wearer = later(3 * DAY)
    wearer.time.now += days * DAY
    wearer.network.ahead = days * DAY
    before = len(wearer.network.requests)
    wearer.until(wearer.time.now + 6 * HOUR)
    sent = [each for each in wearer.network.requests[before:] if each.kind == "messages"]
    assert bool(sent) == (days == 1)
    wearer.time.now -= days * DAY
    wearer.network.ahead = 0.0
    wearer.events.clear()
    wearer.run.step()

    now = wearer.time.now
    gaps = run._mean_gaps(NORMAL.for_badges(1))
    due = wearer.state.timetable.due()
    assert due.keys() == gaps.keys()
    assert all(due[task] <= now + 1.5 * gap for task, gap in gaps.items())
    assert [line for event in wearer.events for line in event.lines if "put back" in line]
    before = len(wearer.network.requests)
    wearer.until(now + DAY)
    kinds = {request.kind for request in wearer.network.requests[before:]}
    assert kinds >= {"messages", "look"}
    latest = int(wearer.time.now)
    rows = wearer.state._db.rows
    assert not rows("SELECT * FROM renewals WHERE due > ?", latest + 15 * HOUR)
    assert not rows("SELECT * FROM surbs WHERE changed > ?", latest)
    assert not rows("SELECT * FROM mailboxes WHERE asked > ?", latest)
    assert horizon(wearer) >= 288


def test_no_renewal_goes_on_by_a_clock_that_the_servers_keys_contradict(later):
    wearer = later(3 * DAY)
    before = wearer.state.renewals.counts()
    assert before[states.DRAINING]
    wearer.time.now += 30 * DAY
    wearer.network.ahead = 30 * DAY
    wearer.until(wearer.time.now + 6 * HOUR)
    assert wearer.state.renewals.counts() == before


def test_run_keeps_going_at_the_highest_level_when_the_state_folder_was_busy(later, monkeypatch):
    """Its gaps are shorter than the time for which it leaves a folder that another command holds."""
    wearer = later(HOUR)
    wearer.run.set_level(HIGH)
    changing = wearer.run._changing

    @contextmanager
    def busy():
        raise BusyError("another command has it")
        yield

    wearer.run._changing = busy
    wearer.until(wearer.time.now + 1)
    wearer.time.now += HOUR
    wearer.run.step()
    assert list(wearer.run.failures) == ["another command has it"]
    wearer.run._changing = changing
    wearer.events.clear()
    wearer.run.step()
    assert not [event for event in wearer.events if event.task == run.CLOCK]


def test_a_day_at_normal_renews_288_addresses_and_as_many_dummies_come(later):
    """From when receipts have said that successors arrive, and none is sent twice. A day is as many batches, new
    addresses and receipts as a day has in the mean: how many these days have is drawn."""
    wearer = later(3 * DAY)
    while not confirming.successors_arrive(wearer.state):
        wearer.until(wearer.time.now + 6 * HOUR)
    assert wearer.time.now < START + 7 * DAY
    wearer.until(wearer.time.now + 36 * HOUR)
    new, renewed, keep = set(), set(), wearer.network._swap

    def note(wanted):
        (new if wanted.authentication == swap.NEW else renewed).add(wanted.blob)
        keep(wanted)

    wearer.network._swap = note
    came, asked = len(wearer.network.relayed), len(wearer.network.asked)
    before, cover = len(wearer.network.requests), wearer.network.cover
    wearer.until(wearer.time.now + 2 * DAY)
    days = sum(each.kind == "messages" for each in wearer.network.requests[before:]) / NORMAL.messages
    dummies = len(wearer.network.relayed) - came - (len(wearer.network.asked) - asked)
    assert days == pytest.approx(2, rel=0.2)
    # Two days have more of the ones or the others: what was begun before them ends in them.
    more = (len(new) + len(wearer.network.asked) - asked) / days - 288 - NORMAL.receipts
    assert ((len(renewed) + dummies) / days + more) / 2 == pytest.approx(288, rel=0.05)
    assert abs(more) < 70
    assert len(renewed) / days == pytest.approx(288, rel=0.25)
    assert dummies / days == pytest.approx(288, rel=0.25)
    assert (wearer.network.cover - cover) / days < 0.05 * NORMAL.messages * NORMAL.batch
    assert len(renewal.waiting(wearer.state, int(wearer.time.now))) < 6 * NORMAL.batch  # nothing piles up


@pytest.mark.parametrize(
    ("level", "most"), [(LOW, 125_000), (NORMAL, 350_000), (HIGH, 10_000_000)],
    ids=lambda value: value.name if isinstance(value, Level) else "",
)  # fmt: skip
def test_the_traffic_of_a_day(tmp_path, time, monkeypatch, level, most):
    """Real messages through real keys at normal; at low, over a fortnight, and at high messages of the same size."""
    filled, days = {"low": (15, 3), "normal": (2, 3), "high": (1, 1)}[level.name]
    make_transparent(monkeypatch)
    wearer = Wearer(tmp_path / "state", time, monkeypatch, level, seed=4)
    wearer.network.transparent = True
    wearer.until(START + filled * DAY)
    if level is NORMAL:
        monkeypatch.undo()
        monkeypatch.setattr(clock, "now", lambda: time.now)
        wearer.network.transparent = False
    before = len(wearer.network.requests)
    wearer.until(START + (filled + days) * DAY)
    sent = wearer.network.requests[before:]
    live = wearer.state.addresses.live_mailbox_count(int(time.now))
    assert live > 4032 or level is not LOW  # all of them in each look
    wearer.close()
    measured = Counter()
    for request in sent:
        measured[request.kind] += request.sent + request.received
    assert measured.keys() == {"messages", "look", "result", "directory"}
    (answered,) = {r.received for r in sent if r.kind == "look"}
    assert answered == 16 + 2 * GROUPS + 6 * level.digests + 243 * level.sums
    assert {r.sent for r in sent if r.kind == "look"} == {661}
    assert {r.sent for r in sent if r.kind == "messages"} == {level.batch * MESSAGE}
    # Times are random: three days may hold a batch or a look more than the mean.
    assert measured["messages"] + measured["look"] + measured["result"] == pytest.approx(
        days * level.bytes_a_day, rel=0.12
    )
    assert 0.85 * most <= level.bytes_a_day + DIRECTORY_OF_20 <= most


def test_the_normal_level_has_room_for_a_day_s_addresses_new_renewed_and_given_up():
    assert NORMAL.messages * NORMAL.batch >= 3 * 288 + NORMAL.receipts
    assert NORMAL.renewals == 288


@pytest.mark.parametrize("badges", [2, 5, 20])
def test_further_badges_have_room_in_each_batch_and_the_highest_level_keeps_to_its_bytes(badges):
    level = HIGH.for_badges(badges)
    assert HIGH.bytes_a_day < level.bytes_a_day <= 10_000_000 - DIRECTORY_OF_20
    assert level.batch * level.messages >= badges * 288 + 2 * level.renewals
    assert NORMAL.for_badges(2).batch * NORMAL.messages >= NORMAL.batch * NORMAL.messages + 288
    assert NORMAL.for_badges(2).bytes_a_day > NORMAL.bytes_a_day


def test_mailboxes_in_no_group_of_a_migrated_folder_are_asked_in_the_same_request_while_any_is_alive(later):
    wearer = later(2 * DAY)
    now, addresses = int(wearer.time.now), wearer.state.addresses
    # The mailboxes of the slots that are over, as a companion up to 0.2 made them; all that came to them was fetched.
    wearer.state._db.run(
        "UPDATE mailboxes SET mail_group = NULL WHERE id IN"
        " (SELECT s.mailbox FROM surbs s JOIN addresses a ON a.id = s.address WHERE a.slot < ?)",
        slot_of(now),
    )
    for mailbox in addresses.alone(now):
        for payload in wearer.network.mailboxes.get(mailbox.address, [])[: mailbox.skip]:
            wearer.network.arrive(mailbox.address, payload, ALONE)
    first = addresses.to_ask(MAILBOX, renewal.slots_in_question(now), now, 15)
    for mailbox in first:
        wearer.network.arrive(mailbox.address, secrets.token_bytes(PAYLOAD), ALONE)
    fetched = []
    for number in range(2):
        with wearer._servers(wearer.state) as servers:
            scheduled_polls.poll(wearer.state, servers, NORMAL, Random(number))
        skips = {mailbox.number: mailbox.skip for mailbox in addresses.alone(now)}  # one that is done with has gone
        fetched.append(sum(skips.get(mailbox.number, 255) > mailbox.skip for mailbox in first))
    assert fetched == [scheduled_polls.ALONE_ROOM, 15]  # what there was no room for comes first
    before = len(wearer.network.requests)
    wearer.until(START + 3 * DAY)
    looks = [each for each in wearer.network.requests[before:] if each.kind == "look"]
    assert {len(each.old) for each in wearer.network.looks[-len(looks) :]} == {scheduled_polls.ALONE}
    assert {each.sent for each in looks} == {661 + scheduled_polls.ALONE * look.OLD} and looks[0].sent < 10_000
    wearer.state._db.run("UPDATE mailboxes SET until = ? WHERE mail_group IS NULL", now)
    wearer.until(START + 4 * DAY)
    assert wearer.network.requests[-1].sent and not wearer.network.looks[-1].old
