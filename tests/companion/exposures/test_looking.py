"""Looks into groups of mailboxes: what was expected is known by its digest, what was not is solved, once and only if it
fits; by hand and on schedule, from honest servers and from others."""

import os
import secrets
from contextlib import closing
from dataclasses import replace
from functools import partial
from random import Random

import pytest
from anontrace import clock
from anontrace.companion.errors import AnswerError, NoSuchThingError, RefusedError
from anontrace.companion.exposures import looking, polling
from anontrace.companion.exposures.cases import assess
from anontrace.companion.exposures.looking import Room
from anontrace.companion.network.servers import Servers
from anontrace.companion.schedule import scheduled_polls
from anontrace.companion.store.expected import DUMMY
from anontrace.wire import look
from anontrace.wire.levels import LOW, NORMAL
from anontrace_shared.slots import slot_of

from tests.companion.exposures.desk import CASE, Desk
from tests.companion.paper import MAILBOX, START, Time, Wearer, exposure, make_transparent

DAY = 86400


def test_of_a_hundred_messages_the_few_that_nobody_expected_are_found_by_one_look(desk):
    desk.dummies(0, 60)
    desk.notify(70, 71, 72, 73, 74, 75)
    desk.dummies(60, 70)
    looked, polled = desk.look()
    assert (looked.told, looked.learned, looked.lied) == (76, 76, False)
    assert (polled.dummies, polled.notifications, polled.ignored) == (70, 6, 0)
    assert desk.slots() == [70, 71, 72, 73, 74, 75]
    assert [each.state for each in assess(desk.state)] == ["told"]
    assert sorted(each.subject for each in desk.state.expected.came(DUMMY)) == list(range(70))
    looked, polled = desk.look()
    assert (looked.told, looked.learned, polled.messages) == (0, 0, 0)  # all of it once
    assert desk.state.groups.sums(MAILBOX) == []


def test_a_look_and_its_answer_are_of_one_size_whether_somebody_is_idle_or_notified(tmp_path, monkeypatch):
    monkeypatch.setattr(clock, "now", lambda: float(START))
    seen = {}
    for kind in ("idle", "notified"):
        with closing((desk := Desk(tmp_path / kind)).state):
            sizes = []

            def note(asked, answer, sizes=sizes):
                known = sorted((group.start, group.known) for group in asked.groups)
                sizes.append((len(asked.encode()), len(answer.encode(asked)), known))
                return answer

            desk.dummies(0, 40)
            if kind == "notified":
                desk.notify(*range(50, 80))
            else:
                desk.dummies(50, 80)
            for _ in range(6):
                desk.look(answered=note)
            assert bool(desk.slots()) == (kind == "notified")
            seen[kind] = sizes
    assert seen["idle"] == seen["notified"]


def test_what_one_look_cannot_solve_later_ones_do_and_each_message_counts_once(desk):
    desk.dummies(0, 40)
    desk.notify(*range(60, 90))
    found = []
    for _ in range(6):
        _, polled = desk.look()
        found.append(polled.notifications)
    assert sum(found) == 30 and found[0] <= NORMAL.sums  # each says one thing
    assert desk.slots() == list(range(60, 90))
    assert desk.state.groups.sums(MAILBOX) == [] and desk.state.groups.unsolved_count() == 0


def test_sums_are_kept_for_messages_that_later_looks_do_not_go_over_any_more(desk):
    desk.notify(*range(12))
    for _ in range(3):
        desk.look()
    desk.notify(*range(20, 36))
    start = 12
    _, before = desk.look(start=start)
    _, after = desk.look(start=start)
    assert desk.slots() == [*range(12), *range(20, 36)]
    assert before.notifications + after.notifications == 16


def test_sums_that_were_kept_solve_the_rest_once_some_of_their_messages_are_known_otherwise(desk):
    desk.notify(*range(17))
    desk.look()
    assert len(desk.slots()) < 17
    _, polled = desk.look(Room(0, 0, plain=6))
    assert desk.slots() == list(range(17)) and polled.notifications >= 6


def lying_sums(asked, answer):
    return replace(answer, sums=[os.urandom(look.ROW) for _ in answer.sums])


def one_lying_sum(asked, answer):
    return replace(answer, sums=[os.urandom(look.ROW), *answer.sums[1:]])


@pytest.mark.parametrize("lie", [lying_sums, one_lying_sum])
@pytest.mark.parametrize("unknown", [1, 4, 30])
def test_garbage_from_a_lying_server_never_passes_for_a_message_and_is_not_kept(desk, lie, unknown):
    desk.dummies(0, 40)
    desk.notify(*range(50, 50 + unknown))
    lied = False
    for _ in range(5):  # with thirty unknown it takes some until a lie contradicts another
        looked, polled = desk.look(answered=lie)
        lied |= looked.lied
        assert not looked.lied or desk.state.groups.sums(MAILBOX) == []
        assert set(desk.slots()) <= set(range(50, 50 + unknown)) and polled.ignored == 0
    assert lied
    for _ in range(8):  # when the server is honest again
        desk.look()
    assert desk.slots() == list(range(50, 50 + unknown))


@pytest.mark.parametrize("first", [0x10, 0x11], ids=["as if marked", "as if not"])
def test_a_digest_that_lies_costs_its_message_alone(desk, first):
    def lying(asked, answer):
        lie = bytes([first]) + os.urandom(look.DIGEST - 1)
        return replace(answer, told=[[lie, *told[1:]] if told else [] for told in answer.told])

    desk.notify(*range(5))
    desk.look(answered=lying)
    for _ in range(3):
        desk.look()
    assert desk.slots() == [1, 2, 3, 4]
    desk.notify(*range(10, 14))
    desk.look()
    assert desk.slots() == [1, 2, 3, 4, 10, 11, 12, 13]


def test_a_message_in_plain_has_to_be_what_its_digest_says(desk):
    desk.notify(3, 4, 5)
    room = Room(100, 0, plain=10)
    lies = [os.urandom(look.ROW)] * 3
    looked, polled = desk.look(
        room, answered=lambda _, answer: replace(answer, plain=[(answer.plain[0][0], row) for row in lies])
    )
    assert looked.lied and desk.slots() == [] and polled.messages == 0
    _, polled = desk.look(room)
    assert desk.slots() == [3, 4, 5] and polled.notifications == 3


def test_what_does_not_open_is_ignored_and_its_address_armed_again(desk):
    desk.network.arrive(desk.messages[7][0], os.urandom(239))  # garbled on its way
    desk.network.arrive(desk.group.address + os.urandom(16), os.urandom(239))  # for nobody
    _, polled = desk.look()
    assert (polled.ignored, polled.notifications) == (2, 0)
    assert [each.address.slot for each in desk.state.addresses.to_replace()] == [slot_of(START) - 7]


def test_two_boxes_that_begin_alike_are_told_apart_by_what_opens(desk):
    box = desk.messages[1][0][16:20]
    address = desk.group.address + box + os.urandom(12)
    desk.state._db.run("UPDATE mailboxes SET address = ? WHERE id = 3", address)
    desk.messages[2] = (address, desk.messages[2][1])
    desk.notify(1, 2)
    desk.look()
    assert desk.slots() == [1, 2]


def test_more_messages_than_there_is_room_for_are_told_by_and_by(desk):
    desk.dummies(0, 100)
    room = Room(30, 4)
    told = []
    for _ in range(4):
        looked, _ = desk.look(room)
        told.append((looked.told, looked.is_full))
    assert told == [(30, True), (30, True), (30, True), (10, False)]


@pytest.fixture
def time(monkeypatch):
    found = Time()
    monkeypatch.setattr(clock, "now", lambda: found.now)
    return found


@pytest.fixture
def wearer(tmp_path, time, monkeypatch):
    make_transparent(monkeypatch)
    made = Wearer(tmp_path / "state", time, monkeypatch, LOW)
    made.network.transparent = True
    made.until(START + DAY)
    yield made
    made.close()


def notify(wearer, first, count, case):
    slots = wearer.addresses(slot_of(START) + first, count)
    for slot, contact_address in slots.items():
        wearer.network.notify(contact_address, slot, exposure(case, bytes(8)))


def poll(wearer):
    with wearer._servers(wearer.state) as servers:
        return polling.poll(wearer.state, servers, lambda *_: None)


def test_by_hand_everything_is_asked_for_however_much_it_is(wearer):
    case = secrets.token_bytes(16)
    notify(wearer, 1, 250, case)
    polled = poll(wearer)
    assert (polled.notifications, polled.ignored, polled.failure) == (250, 0, None)
    assert polled.rearmed == 250 and polled.requests <= 6
    assert [each.case_id for each in polled.told] == [case]
    again = poll(wearer)
    assert again.receipts > 0  # for what was re-armed, and nothing else
    assert (again.requests, again.messages) == (1, again.receipts)


def test_by_hand_also_what_a_look_on_schedule_could_not_solve_is_found(wearer):
    case = secrets.token_bytes(16)
    notify(wearer, 1, 60, case)
    with wearer._servers(wearer.state) as servers:
        scheduled_polls.poll(wearer.state, servers, LOW, Random(1))
    assert wearer.state.groups.unsolved_count() > 40
    poll(wearer)
    (told,) = assess(wearer.state)
    assert len(told.seconds) == 60 and wearer.state.groups.unsolved_count() == 0


@pytest.mark.parametrize("ways", ["by hand", "on schedule"])
def test_the_other_servers_are_asked_when_one_refuses(wearer, monkeypatch, ways):
    other = 9
    wearer.state.groups.of_day(other, 1, int(wearer.time.now) + 30 * DAY)
    notify(wearer, 1, 3, CASE)
    real = Servers.fetch

    def refusing(self, server, asked):
        if server == other:
            raise RefusedError("mailbox server 9 refuses: not today")
        return real(self, server, asked)

    monkeypatch.setattr(Servers, "fetch", refusing)
    if ways == "by hand":
        polled = poll(wearer)
    else:
        with wearer._servers(wearer.state) as servers:
            polled = scheduled_polls.poll(wearer.state, servers, LOW, Random(1))
    assert polled.notifications == 3 and isinstance(polled.failure, RefusedError)
    assert [each.state for each in assess(wearer.state)] == ["told"]


def test_news_are_told_also_where_every_mix_refuses_what_follows_from_them(wearer, monkeypatch):
    notify(wearer, 1, 20, CASE)
    real = wearer.network.post

    def refusing(server, url, body):
        if url.endswith("/messages"):
            raise RefusedError(f"{server} refuses: not today")
        return real(server, url, body)

    monkeypatch.setattr(wearer.network, "post", refusing)
    polled = poll(wearer)
    assert [each.case_id for each in polled.told] == [CASE]
    assert isinstance(polled.failure, RefusedError)
    monkeypatch.setattr(wearer.network, "post", real)
    polled = poll(wearer)
    assert (polled.told, polled.failure) == ([], None)


def test_on_schedule_no_answer_is_read_before_the_last_server_was_asked(wearer, monkeypatch):
    """Else that one would see how long the answer of another was worked on."""
    for number in (8, 9):
        wearer.state.groups.of_day(number, 1, int(wearer.time.now) + 30 * DAY)
    notify(wearer, 1, 3, CASE)
    done, fetch, read = [], Servers.fetch, Servers.read

    def fetching(self, server, asked):
        done.append("asked")
        return fetch(self, MAILBOX, asked)

    def reading(server, asked, body):
        done.append("read")
        return read(server, asked, body)

    monkeypatch.setattr(Servers, "fetch", fetching)
    monkeypatch.setattr(Servers, "read", staticmethod(reading))
    with wearer._servers(wearer.state) as servers:
        assert scheduled_polls.poll(wearer.state, servers, LOW, Random(1)).notifications == 3
    assert done == ["asked"] * 3 + ["read"] * 3


def test_an_answer_that_is_short_long_replayed_or_for_another_group_is_refused_and_changes_nothing(wearer):
    notify(wearer, 1, 3, CASE)
    real, kept = wearer.network._look, []

    def content():
        rows = wearer.state._db.rows
        return rows("SELECT * FROM mail_groups"), rows("SELECT * FROM messages"), rows("SELECT * FROM sums")

    before = content()

    post = wearer.network.post

    def changed(server, url, body, change):
        answer = post(server, url, body)
        if not url.endswith("/look"):
            return answer
        kept.append(answer)
        return change(answer)

    another = look.Look(LOW.digests, LOW.sums, 0, bytes(16), [look.Group(os.urandom(16), 0, 0)] * looking.GROUPS)
    for change in (
        lambda answer: answer[:-1],
        lambda answer: answer + b"\0",
        lambda _: b"",
        lambda _: real(another).encode(another),
        lambda _: kept[0],
    ):
        wearer.network.post = partial(changed, change=change)
        with wearer._servers(wearer.state) as servers:
            polled = scheduled_polls.poll(wearer.state, servers, LOW, Random(1))
        assert isinstance(polled.failure, AnswerError) and polled.messages == 0
        assert content() == before
    wearer.network.post = post
    with wearer._servers(wearer.state) as servers:
        assert scheduled_polls.poll(wearer.state, servers, LOW, Random(1)).notifications == 3


def test_a_mailbox_server_of_before_is_named_and_said_to_be_older(wearer):
    def old(server, url, body):
        raise NoSuchThingError(f"{server} refuses: not found")

    wearer.network.post = old
    with wearer._servers(wearer.state) as servers:
        polled = scheduled_polls.poll(wearer.state, servers, LOW, Random(1))
    assert isinstance(polled.failure, RefusedError)
    assert str(polled.failure).startswith(f"mailbox server {MAILBOX} is older than this companion;")


def test_a_server_that_contradicts_itself_is_named_and_asked_as_before(wearer):
    notify(wearer, 1, 3, CASE)
    real = wearer.network._look
    wearer.network._look = lambda asked: lying_sums(asked, real(asked))
    before = wearer.network.looks[-1]  # `run` looked by itself
    wearer.network.looks.clear()
    for _ in range(3):
        with wearer._servers(wearer.state) as servers:
            polled = scheduled_polls.poll(wearer.state, servers, LOW, Random(1))
        assert "contradict" in str(polled.failure) and polled.notifications == polled.ignored == 0
    assert len(wearer.network.looks) == 3
    shapes = {(each.digests, each.sums, each.plain, each.size) for each in wearer.network.looks}
    assert shapes == {(before.digests, before.sums, before.plain, before.size)}
