"""Groups of mailboxes in the state: one begun a day, which take new mailboxes for ten; what is kept of them and for how
long, and older folders."""

import os
from collections import Counter
from contextlib import closing

import pytest
from anontrace.companion.addresses import registration
from anontrace.companion.schedule import run
from anontrace.companion.store import database, older, state
from anontrace.companion.store.addresses import NewSurb
from anontrace.companion.store.expected import DUMMY
from anontrace.companion.store.groups import KEPT_SECONDS
from anontrace.mixnet import swap
from anontrace.mixnet.path import Hop
from anontrace.wire import look
from anontrace.wire.sums import Equation
from anontrace_primitives import x25519_base
from anontrace_shared.slots import SLOTS_PER_DAY, slot_of

NOW, DAY = 1_767_600_000, 86400
SERVER = 7


@pytest.fixture
def opened(tmp_path):
    state.create(tmp_path / "state")
    with closing(state.State(tmp_path / "state")) as found:
        yield found


def test_a_server_has_one_group_begun_a_day_and_is_home_as_long_as_the_directory_has_it(opened, monkeypatch):
    class Servers:
        mailbox_servers = (5, 7)

        def random_mailbox_server(self):
            return self.mailbox_servers[0]

    servers, now = Servers(), [float(NOW)]
    monkeypatch.setattr(registration.clock, "now", lambda: now[0])
    first = registration.group_of_today(opened, servers)
    servers.mailbox_servers = (7, 5)
    assert registration.group_of_today(opened, servers) == first
    now[0] += DAY
    second = registration.group_of_today(opened, servers)
    assert (second.server, len(second.address)) == (5, 16) and second.address != first.address
    servers.mailbox_servers = (7,)
    moved = registration.group_of_today(opened, servers)
    assert moved.server == 7
    assert opened.groups.live(int(now[0]), 32) == {7: [moved], 5: [second, first]}
    assert opened.groups.live(int(now[0]), 1) == {7: [moved], 5: [second]}
    assert registration.mailbox_in(moved)[:16] == moved.address
    assert opened.groups.live(int(now[0]) + 31 * DAY, 32) == {}


def test_a_mailbox_is_in_any_group_of_the_last_ten_days_that_lasts_as_long_as_it_may_be_needed(opened, monkeypatch):
    class Servers:
        mailbox_servers = (SERVER,)

        def random_mailbox_server(self):
            return SERVER

        def path_to(self, server, days):
            return [Hop(server, 1, x25519_base(bytes(31) + b"1"))]

    servers, now = Servers(), [float(NOW)]
    monkeypatch.setattr(registration.clock, "now", lambda: now[0])

    def drawn(days_ahead):
        """How often each group is drawn, by its age in days, for slots so far ahead."""
        groups = registration.open_groups(opened, servers)
        ages = {group.number: age for age, group in enumerate(groups)}
        slot = slot_of(now[0]) + days_ahead * SLOTS_PER_DAY
        return Counter(
            ages[registration.new_surbs(servers, groups, [(bytes(20), slot, swap.NEW)])[0].group] for _ in range(600)
        )

    assert drawn(0) == {0: 600}
    for _ in range(12):
        now[0] += DAY
        registration.group_of_today(opened, servers)
    for days_ahead, open_days in ((-14, 10), (0, 10), (run.AHEAD_SLOTS // SLOTS_PER_DAY, 10), (14, 3)):
        often = drawn(days_ahead)
        assert often.keys() == set(range(open_days))
        mean = 600 / open_days
        assert all(abs(count - mean) < 6 * mean**0.5 for count in often.values())
    until = {group.number: group.until for group in opened.groups.live(int(now[0]), 32)[SERVER]}
    slot = slot_of(now[0]) + 14 * SLOTS_PER_DAY
    for _ in range(50):
        groups = registration.open_groups(opened, servers)
        (made,) = registration.new_surbs(servers, groups, [(bytes(20), slot, swap.NEW)])
        assert made.until == until[made.group] >= (slot // SLOTS_PER_DAY + registration.NEEDED_DAYS + 1) * DAY


def told(opened, group, count, now):
    digests = [os.urandom(look.DIGEST) for _ in range(count)]
    with opened.transaction():
        opened.groups.note(group, digests, now)
    (after,) = [each for each in opened.groups.live(now, 32)[SERVER] if each.number == group.number]
    return after, digests


def test_what_was_told_is_kept_until_it_is_solved_and_some_days_more(opened):
    group, first = told(opened, opened.groups.of_day(SERVER, 1, NOW + 31 * DAY), 3, NOW)
    group, second = told(opened, group, 2, NOW + DAY)
    assert group.known == 5
    kept = opened.groups.told(group.number, 1)
    assert [kept[place].digest for place in sorted(kept)] == [*first[1:], *second]
    with opened.transaction():
        for place in (1, 2, 3):
            opened.groups.set_solved(kept[place].number, bytes(look.ROW))
    assert opened.groups.told_since(group.number, NOW + 1) == 3
    assert opened.groups.told_since(group.number, NOW + 2 * DAY) is None
    assert opened.groups.first_unsolved(group.number) == 0 and opened.groups.unsolved_count() == 2
    opened.groups.forget(NOW + KEPT_SECONDS + 1)
    assert sorted(opened.groups.told(group.number, 0)) == [0, 3, 4]
    with opened.transaction():
        opened.groups.set_sums(SERVER, [Equation({5: 7, 9: 255}, b"sum")])
    assert opened.groups.sums(SERVER) == [Equation({5: 7, 9: 255}, b"sum")]
    opened.groups.forget(NOW + 31 * DAY)
    assert (opened.groups.told(group.number, 0), opened.groups.sums(SERVER)) == ({}, [])


def test_what_was_told_by_a_clock_that_was_ahead_counts_as_told_now(opened):
    group, _ = told(opened, opened.groups.of_day(SERVER, 1, NOW + 99 * DAY), 1, NOW + 30 * DAY)
    opened.groups.put_right(NOW)
    assert opened.groups.told_since(group.number, NOW + 1) is None


def test_a_mailbox_without_a_surb_may_have_several_answers_to_come(opened):
    group = opened.groups.of_day(SERVER, 1, NOW + 31 * DAY)
    address, held, unknown = registration.mailbox_in(group), os.urandom(239), os.urandom(239)
    with opened.transaction():
        mailbox = opened.addresses.add_mailbox(SERVER, address, NOW + DAY, group.number)
        opened.expected.expect(mailbox, held, "receipt", 12, 1)
        opened.expected.expect(mailbox, unknown, "receipt", 12, 0)
    found = opened.expected.find(group.number, look.digest(address[16:20] + held))
    assert found is not None and (found.kind, found.subject, found.meaning) == ("receipt", 12, 1)
    assert opened.expected.find(group.number, os.urandom(6)) is None and opened.expected.came("receipt") == []
    with opened.transaction():
        opened.expected.set_came(found.number, NOW)
    assert [each.meaning for each in opened.expected.came("receipt")] == [1]
    assert opened.expected.came(DUMMY) == []
    with opened.transaction():
        opened.expected.remove([found.number])
    assert opened.expected.came("receipt") == []
    opened.addresses.forget(NOW + DAY)
    assert opened.expected.find(group.number, look.digest(address[16:20] + unknown)) is None


def test_a_folder_of_before_keeps_its_mailboxes_in_no_group_and_draws_the_dummies_that_were_due_anew():
    connection = database.in_memory()
    for script in database.MIGRATIONS[:5]:
        connection.execute(script)
    connection.pragma("user_version", 5)
    connection.execute("INSERT INTO badges (id, owner_key, day, day_key) VALUES (1, x'00', 1, x'00')")
    for number, step in enumerate(("dummy due", "settling", "checking"), 1):
        connection.execute("INSERT INTO addresses VALUES (?, 1, ?, x'00')", (number, number))
        connection.execute(
            "INSERT INTO mailboxes (id, server, address, until) VALUES (?, 5, ?, ?)", (number, bytes(32), NOW)
        )
        connection.execute(
            "INSERT INTO surbs (id, address, mailbox, state, authentication, blob, secrets, changed)"
            " VALUES (?, ?, ?, 'replaced', x'', x'', x'', 1)",
            (number, number, number),
        )
        connection.execute("INSERT INTO renewals (surb, state, due) VALUES (?, ?, 1)", (number, step))
    after = older.brought_over(connection.serialize("main"), bytes(32))
    states = after.execute("SELECT state, seed FROM renewals ORDER BY surb").fetchall()
    assert states == [("draining", None), ("settling", None), ("checking", None)]
    assert after.execute("SELECT mail_group FROM mailboxes").fetchall() == [(None,)] * 3


def test_a_surb_stored_without_a_group_has_a_mailbox_of_its_own(opened):
    badge = opened.badges.ensure(1)
    group = opened.groups.of_day(SERVER, 1, NOW + 31 * DAY)
    alone = NewSurb(SERVER, bytes(32), NOW + DAY, bytes(32), bytes(174), bytes(64))
    grouped = NewSurb(SERVER, group.address + b"box!" * 4, NOW + DAY, bytes(32), bytes(174), bytes(64), group.number)
    opened.addresses.add(badge.number, [(1, bytes(20), alone), (2, bytes(20), grouped)], NOW)
    assert [each.address for each in opened.addresses.alone(NOW)] == [bytes(32)]
    assert [each.address[16:] for each in opened.addresses.in_group(group.number, b"box!")] == [b"box!" * 4]
    assert opened.addresses.in_group(group.number, b"box?") == []
