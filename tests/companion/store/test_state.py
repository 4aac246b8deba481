"""The state folder: what is stored, what stays secret, what survives, and who may change it."""

import stat
import subprocess
import sys

import apsw
import pytest
from anontrace import clock
from anontrace.companion.errors import BusyError, SetupError, StateError
from anontrace.companion.keys import epoch, keyfile
from anontrace.companion.store import database, lock, state
from anontrace.companion.store.addresses import NewSurb
from anontrace.companion.store.badges import RATCHET
from anontrace.companion.store.network import StoredDirectory
from anontrace.companion.store.notifications import StoredNotification
from anontrace.companion.store.states import ACCEPTED, ASKED, CONFIRMED, MADE, READY, REFUSED, REPLACED, SENT
from anontrace.companion.store.uploads import DIRECT, MIXES, PASS_ON, REPORT
from anontrace.mixnet import swap
from anontrace.wire.permit import PERMIT
from anontrace.wire.upload import PermitAuthorization, Upload
from anontrace_shared import schedule

from tests.companion.store import old_state

NOW = 1_800_000_000
TODAY = NOW // 86400


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "state"
    state.create(path)
    return path


@pytest.fixture
def opened(folder, monkeypatch):
    monkeypatch.setattr(clock, "now", lambda: float(NOW))
    with state.changing(folder) as found:
        yield found


def surb(number: int, until: int = NOW + 86400) -> NewSurb:
    return NewSurb(
        server=5,
        mailbox=number.to_bytes(32, "big"),
        until=until,
        authentication=swap.NEW,
        blob=bytes([number]) * 174,
        secrets=b"secrets of surb " + bytes([number]) * 16,
    )


def add(opened, slots, until=NOW + 86400):
    badge = opened.badges.ensure(TODAY)
    opened.addresses.add(
        badge.number, [(slot, bytes([slot % 256]) * 20, surb(slot % 256, until)) for slot in slots], NOW
    )
    return badge


def test_what_lies_in_the_lock_s_place_is_to_be_deleted_and_not_the_state(tmp_path):
    path = tmp_path / lock.LOCK_FILE
    path.write_bytes(b"\xa5" * 5000)
    path.chmod(0o600)
    with pytest.raises(StateError, match="has nothing in it; delete it"), lock.exclusive(tmp_path):
        pass


def test_files_are_for_their_user_alone(opened):
    add(opened, range(3))
    with opened.transaction():  # so that the write-ahead log is there too
        opened.addresses.set_skip(1, 1)
        for path in opened.folder.iterdir():
            if path.name.startswith(lock.LOCK_FILE):
                continue  # holds nothing
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name
    assert stat.S_IMODE(opened.folder.stat().st_mode) == 0o700


def test_a_folder_that_was_never_made_is_not_made_by_looking(tmp_path):
    with pytest.raises(SetupError, match="anontrace init"), state.reading(tmp_path / "none"):
        pass
    assert not (tmp_path / "none").exists()


def test_the_day_key_goes_forward_and_the_old_one_is_gone(opened):
    first = opened.badges.ensure(TODAY)
    fetch_directory(opened, NOW + 3 * 86400)
    opened.keep_house(NOW + 3 * 86400)
    later = opened.badges.get()
    assert later.owner_key == first.owner_key
    assert later.day_key == schedule.day_key(first.day_key, TODAY, TODAY + 3) == first.key_of_day(TODAY + 3)
    with pytest.raises(StateError, match="past days are deleted"):
        later.key_of_day(TODAY)
    opened.keep_house(NOW + 86400)
    assert opened.badges.ensure(TODAY + 1) == later  # a clock that went back changes nothing


def fetch_directory(opened, at):
    """As when a directory came that was in force by the clock of that moment."""
    opened.network.put_directory(StoredDirectory(1, b"signed", at))


def test_by_a_clock_far_ahead_nothing_is_deleted_until_the_servers_agree_with_it(opened):
    badge = add(opened, [7, 8])
    opened.logs.append(badge.number, 1, 1, 0, b"abc", NOW)
    year = NOW + 365 * 86400
    for known in (None, NOW):
        if known is not None:
            fetch_directory(opened, known)
        opened.keep_house(year)
        assert opened.badges.get().day_key == badge.day_key
        assert opened.logs.segments() == [[b"abc"]]
        assert opened.addresses.slots(badge.number, 7, 9) == {7, 8}
    fetch_directory(opened, year)
    opened.keep_house(year + 86400)
    assert opened.badges.get().day == TODAY + 366
    assert opened.logs.segments() == []
    assert opened.addresses.slots(badge.number, 7, 9) == set()


def test_a_mailbox_that_a_clock_ahead_has_noted_as_asked_does_not_wait_for_that_time(opened):
    add(opened, [7, 8, 9], NOW + 2 * 86400)
    addresses = opened.addresses
    first, second, third = (each.number for each in addresses.alone(0))
    server = addresses.alone(0)[0].server
    addresses.set_asked([first], NOW - 2)
    addresses.set_asked([second], NOW + 86400)
    addresses.set_asked([third], NOW - 1)
    asked_next = lambda now: [each.number for each in addresses.to_ask(server, (0, 100), now, 3)]  # noqa: E731
    assert asked_next(NOW) == [second, first, third]
    assert asked_next(NOW + 86400) == [first, third, second]


def test_secrets_show_in_no_repr_and_in_no_file(opened):
    badge = add(opened, [7, 8])
    pending = opened.addresses.pending()
    upload = opened.uploads.add(REPORT, b"hash of the token", b"u" * 16, b"the sealed log", NOW)
    opened.uploads.set_ready(upload, b"the case-ID 1234", b"payload with a permit")
    opened_now = [
        badge,
        pending,
        opened.addresses.alone(NOW),
        opened.addresses.receiving(1),
        opened.uploads.all(),
    ]
    files = b"".join(path.read_bytes() for path in opened.folder.glob("companion.db*"))
    for secret in (
        badge.owner_key,
        badge.day_key,
        bytes([7]) * 20,
        bytes([7]) * 174,
        b"secrets of surb",
        b"hash of the token",
        b"the case-ID 1234",
        b"with a permit",
    ):
        assert secret not in files
        assert repr(secret)[2:-1] not in repr(opened_now)


def test_a_swap_goes_from_made_over_sent_to_confirmed(opened):
    badge = add(opened, [10, 11, 12])
    addresses = opened.addresses
    assert [each.state for each in addresses.pending()] == [MADE] * 3
    first, second, third = (each.surb for each in addresses.pending())
    addresses.set_sent([first, second], NOW)
    assert [each.state for each in addresses.pending()] == [SENT, SENT, MADE]
    addresses.set_confirmed([first, third], NOW)
    assert [each.surb for each in addresses.pending()] == [second]
    assert addresses.pending_count() == 1
    assert addresses.confirmed_until(badge.number, 10) == 11  # slot 11 is a gap
    addresses.set_confirmed([second], NOW)
    assert addresses.confirmed_until(badge.number, 10) == 13
    assert addresses.confirmed_until(badge.number, 9) == 9
    assert addresses.slots(badge.number, 0, 12) == {10, 11}


def test_a_successor_replaces_what_it_succeeds_once_it_is_confirmed(opened):
    badge = add(opened, [10])
    addresses = opened.addresses
    (old,) = addresses.pending()
    addresses.set_confirmed([old.surb], NOW)
    assert addresses.to_replace() == []
    with opened.transaction():
        addresses.set_spent(old.surb, NOW)
    (spent,) = addresses.to_replace()
    assert spent == addresses.receiving(1)
    addresses.add_successors([(spent.address, surb(99))], NOW)
    assert addresses.to_replace() == []
    assert addresses.confirmed_until(badge.number, 10) == 11  # the old one serves until the new one is there
    (new,) = addresses.pending()
    addresses.set_confirmed([new.surb], NOW)
    addresses.set_sent([old.surb, new.surb], NOW)  # too late to matter
    assert addresses.pending() == []
    assert addresses.confirmed_until(badge.number, 10) == 11
    assert len(addresses.alone(NOW)) == 2  # what was sent to the old one still arrives
    states = {row["state"] for row in opened._db.rows("SELECT state FROM surbs")}
    assert states == {CONFIRMED, REPLACED}


def test_spent_mailboxes_take_their_secrets_and_addresses_with_them(opened):
    badge = add(opened, [10], until=NOW + 100)
    add(opened, [11], until=NOW + 200)
    opened.keep_house(NOW + 100)
    assert [box.number for box in opened.addresses.alone(NOW)] == [2]
    assert opened.addresses.slots(badge.number, 0, 99) == {11}
    assert opened.addresses.receiving(1) is None


def test_a_piece_of_log_is_read_on_where_it_ended(opened):
    badge = opened.badges.ensure(TODAY)
    logs = opened.logs
    assert logs.pulled(badge.number, 1, 4) == 0
    logs.append(badge.number, 1, 4, 0, b"abc", NOW)
    logs.append(badge.number, 1, 4, 3, b"defg", NOW + 10)
    logs.append(badge.number, 1, 3, 0, b"before", NOW)
    logs.append(badge.number, 2, 1, 0, b"after", NOW)
    assert logs.pulled(badge.number, 1, 4) == 7
    assert logs.segments() == [[b"before", b"abcdefg"], [b"after"]]
    with pytest.raises(apsw.ConstraintError):
        logs.append(badge.number, 1, 4, 3, b"again", NOW)
    logs.forget(NOW + 30 * 86400)
    assert logs.segments() == [[b"abcdefg"]]


def test_a_log_that_was_fetched_by_a_clock_that_was_behind_is_kept_when_the_clock_is_right(opened, monkeypatch):
    badge = opened.badges.ensure(TODAY)
    fetch_directory(opened, NOW)
    monkeypatch.setattr(clock, "now", lambda: float(NOW - 400 * 86400))
    opened.logs.append(badge.number, 1, 1, 0, b"abc", opened.moment())
    opened.keep_house(NOW + 86400)
    assert opened.logs.segments() == [[b"abc"]]
    monkeypatch.setattr(clock, "now", lambda: float(NOW + 60))
    assert opened.moment() == NOW + 60


def test_notifications_are_kept_for_thirty_days(opened):
    with opened.transaction():
        opened.notifications.add(StoredNotification(77, NOW, b"k" * 20, b"c" * 191))
    (found,) = opened.notifications.all()
    assert (found.slot, found.contact_address, found.content) == (77, b"k" * 20, b"c" * 191)
    opened.keep_house(NOW + 30 * 86400)
    assert opened.notifications.all() == []


def test_an_upload_is_found_again_until_it_is_refused(opened):
    uploads = opened.uploads
    assert uploads.find(REPORT, b"token") is None
    upload = uploads.add(REPORT, b"token", b"u" * 16, b"log", NOW)
    assert (uploads.find(REPORT, b"token").state, uploads.find(PASS_ON, b"token")) == (ASKED, None)
    ready = uploads.set_ready(upload, b"case" * 4, b"payload")
    assert ready == uploads.find(REPORT, b"token")
    assert (ready.state, ready.log, ready.payload) == (READY, b"", b"payload")
    assert uploads.cases(REPORT) == {b"case" * 4}
    uploads.set_sent(ready, 5)
    assert uploads.find(REPORT, b"token").sent == 5
    uploads.finish(ready, ACCEPTED)
    done = uploads.find(REPORT, b"token")
    assert (done.state, done.payload, done.case_id) == (ACCEPTED, None, b"case" * 4)
    uploads.finish(ready, REFUSED)
    assert uploads.find(REPORT, b"token") is None
    assert uploads.cases(REPORT) == set()


@pytest.mark.parametrize(
    "change",
    [
        "payload = NULL", "payload = x''", "payload = x'00'", "payload = 'text'", "payload = substr(payload, 1, 40)",
        "payload = payload || x'00'", "case_id = NULL", "case_id = x'01'", "upload_id = x'00'", "subject = 'abc'",
        "log = 'abc'", "sent = 99999999", "sent = -5", "sent = 'x'", "opens = 'x'", "unsent = 'abc'",
    ],
)  # fmt: skip
def test_an_upload_that_is_damaged_is_said_to_be(opened, change):
    payload = Upload(PermitAuthorization(b"\2" * PERMIT), b"l" * 100).encode()
    opened.uploads.set_ready(opened.uploads.add(REPORT, b"token", b"u" * 16, b"log", NOW), b"case" * 4, payload)
    assert opened.uploads.get(1).parsed().log == b"l" * 100
    with opened.transaction():
        opened.uploads._db.run(f"UPDATE uploads SET {change}")
    with pytest.raises(StateError, match=r"an upload in the state folder is damaged \(.*anontrace restore FILE"):
        opened.uploads.get(1).parsed()


def test_a_failed_transaction_leaves_nothing(opened):
    with pytest.raises(RuntimeError), opened.transaction():
        opened.notifications.add(StoredNotification(1, NOW, b"k" * 20, b"c" * 191))
        raise RuntimeError
    assert opened.notifications.all() == []


def test_another_process_may_look_but_not_change(folder):
    look = (
        "import sys; from pathlib import Path; from anontrace.companion import errors\n"
        "from anontrace.companion.store import lock, state\n"
        "folder = Path(sys.argv[1])\n"
        "with state.reading(folder) as seen: print(len(seen.badges.all()))\n"
        "try:\n"
        "    with lock.exclusive(folder, 0.1): print('changed')\n"
        "except errors.BusyError as error: print(error)\n"
    )
    with state.changing(folder) as opened:
        opened.badges.ensure(TODAY)
        done = subprocess.run([sys.executable, "-c", look, str(folder)], capture_output=True, text=True, check=True)
    count, refusal = done.stdout.splitlines()
    assert count == "1"
    assert "another anontrace process" in refusal
    with lock.exclusive(folder, 0.1):
        pass


def test_a_lock_is_gone_with_its_process(folder):
    hold = (
        "import os, sys; from pathlib import Path; from anontrace.companion.store import lock\n"
        "with lock.exclusive(Path(sys.argv[1])): os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", hold, str(folder)], check=False)
    with lock.exclusive(folder, 0.1):
        pass
    with pytest.raises(BusyError), lock.exclusive(folder, 0.1), lock.exclusive(folder, 0.1):
        pass


def test_what_was_committed_survives_a_kill(folder):
    work = (
        "import os, sys; from pathlib import Path; from anontrace.companion.store import state\n"
        "with state.changing(Path(sys.argv[1])) as opened:\n"
        "    opened.logs.append(opened.badges.ensure(20000).number, 1, 1, 0, b'piece', 1)\n"
        "    with opened.transaction():\n"
        "        opened._db.run('DELETE FROM log_pieces')\n"
        "        os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", work, str(folder)], check=False)
    with state.reading(folder) as opened:
        assert opened.logs.segments() == [[b"piece"]]


def test_owner_keys_of_an_older_state_folder_may_be_on_a_badge_and_new_ones_are_not(folder, tmp_path):
    with state.changing(folder) as opened:
        assert not opened.badges.ensure(TODAY).keyed
    old_state.make(tmp_path / "older", 3, NOW)
    with state.changing(tmp_path / "older") as opened:
        assert [badge.keyed for badge in opened.badges.all()] == [True]
        assert not opened.badges.add(TODAY).keyed


def schema(folder):
    with state.reading(folder) as opened:
        tables = [row["name"] for row in opened._db.rows("SELECT name FROM sqlite_master ORDER BY name")]
        return {name: opened._db.rows(f"PRAGMA table_info({name})") for name in tables}


@pytest.mark.parametrize("version", old_state.VERSIONS)
@pytest.mark.parametrize("way", [state.reading, state.changing])
def test_a_state_folder_of_each_older_version_is_brought_up_to_date_with_all_that_it_holds(
    folder, tmp_path, monkeypatch, version, way
):
    monkeypatch.setattr(clock, "now", lambda: float(NOW))
    older = tmp_path / "older"
    old_state.make(older, version, NOW)
    for _ in range(2):
        with way(older) as opened:
            assert opened.network.get().proxy == "socks5h://127.0.0.1:9050"
            assert opened.badges.get().owner_key == b"o" * 32
            assert opened.addresses.contact_addresses(1, 0, 10) == {7: b"K" * 20}
            surb = opened.addresses.receiving(1)
            assert (surb.address.contact_address, surb.blob, surb.secrets) == (b"K" * 20, b"b" * 174, b"s" * 99)
            assert [box.address for box in opened.addresses.alone(NOW)] == [b"m" * 32]
            assert opened.logs.segments() == [[b"piece"]]
            assert opened.notifications.all() == [StoredNotification(7, NOW, b"K" * 20, b"c" * 191)]
            assert opened.uploads.cases(REPORT) == {b"case"}
            assert opened.uploads.find(REPORT, b"token").state == ACCEPTED
    assert schema(older) == schema(folder)
    assert {path.name for path in older.iterdir()} == {keyfile.FILE, epoch.FILE, database.FILE, lock.LOCK_FILE}


def test_what_an_older_companion_wrote_is_overwritten_where_it_lay(tmp_path):
    older, link = tmp_path / "older", tmp_path / "the same file"
    old_state.make(older, 4, NOW)
    link.hardlink_to(older / database.FILE)
    before = link.read_bytes()
    with state.reading(older):
        pass
    assert len(link.read_bytes()) == len(before)
    assert b"SQLite format" not in link.read_bytes() and b"notifications" not in link.read_bytes()


def test_a_newer_database_is_left_alone(folder):
    with state.changing(folder) as opened:
        opened._db.run("PRAGMA user_version = 99")
    for way in (state.reading, state.changing):
        with pytest.raises(StateError, match="newer anontrace"), way(folder):
            pass


def test_a_newer_plain_database_is_left_alone(tmp_path):
    older = tmp_path / "older"
    old_state.make(older, 4, NOW)
    with apsw.Connection(str(older / database.FILE)) as connection:
        connection.pragma("user_version", 99)
    connection.close()
    before = (older / database.FILE).read_bytes()
    with pytest.raises(StateError, match="newer anontrace"), state.reading(older):
        pass
    assert (older / database.FILE).read_bytes() == before
    assert not (older / epoch.FILE).exists()


def test_provisioning_begins_an_era_and_keeps_what_was_broadcast(opened):
    badge = opened.badges.ensure(TODAY)
    opened.badges.set_provisioned(badge, RATCHET, 100, 120, NOW)
    opened.badges.set_horizon(badge, 150)
    opened.badges.set_provisioned(badge, RATCHET, 140, 130, NOW)
    found = opened.badges.get()
    assert (found.era, found.first_slot, found.horizon) == (2, 100, 150)


def test_what_a_companion_of_0_2_had_under_way_goes_on_by_receipts_relays_and_fragments(tmp_path, monkeypatch):
    """Swaps on their way, a renewal in each state, and an upload of which some chunks were sent."""
    path = tmp_path / "state"
    monkeypatch.setattr(clock, "now", lambda: float(NOW))
    with monkeypatch.context() as older:
        older.setattr(database, "MIGRATIONS", database.MIGRATIONS[:5])
        fresh = database.in_memory()
        database.migrate(fresh)
    renewals = ("replacing", "draining", "dummy due", "settling", "checking")
    fresh.execute(
        "INSERT INTO badges (id, owner_key, day, day_key, keyed) VALUES (1, ?, ?, ?, 1)", (b"o" * 32, TODAY, b"d" * 32)
    )
    for number, surb_state in enumerate(("made", "sent", *["replaced"] * len(renewals)), 1):
        fresh.execute("INSERT INTO addresses VALUES (?, 1, ?, ?)", (number, number, b"K" * 20))
        fresh.execute(
            "INSERT INTO mailboxes (id, server, address, until) VALUES (?, 5, ?, ?)",
            (number, number.to_bytes(32, "big"), NOW + 86400),
        )
        fresh.execute(
            "INSERT INTO surbs (id, address, mailbox, state, authentication, blob, secrets, changed)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (number, number, number, surb_state, swap.NEW, b"b" * 174, b"s" * 96, NOW - 60),
        )
    for number, renewal_state in enumerate(renewals, 3):
        fresh.execute("INSERT INTO renewals (surb, state, due) VALUES (?, ?, ?)", (number, renewal_state, NOW))
    fresh.execute(
        "INSERT INTO uploads (kind, state, subject, case_id, payload, upload_id, sent, log, made)"
        " VALUES ('report', 'ready', ?, ?, ?, ?, 16358, x'', ?)",
        (b"token", b"case" * 4, b"payload", b"u" * 16, NOW),
    )
    fresh.execute("INSERT INTO samples (day, bytes, found) VALUES (1, 800, 1)")
    fresh.execute("INSERT INTO timetable VALUES ('messages', ?), ('chunk', ?), ('confirm', ?)", (NOW, NOW, NOW))
    database.migrate(fresh)
    with monkeypatch.context() as made:
        made.setattr(database, "in_memory", lambda: fresh)
        state.create(path)
    with state.changing(path) as opened:
        assert [(item.surb, item.state) for item in opened.addresses.pending()] == [(1, MADE), (2, SENT)]
        assert opened.addresses.due(NOW) == ([1], [])
        # A dummy is drawn when its SURB is given up, which that one is once more.
        assert opened.renewals.counts() == {"replacing": 1, "draining": 2, "settling": 1, "checking": 1}
        (upload,) = opened.uploads.all()
        assert (upload.state, upload.way, upload.sent, upload.unsent, upload.moved) == (READY, MIXES, 0, None, True)
        assert upload.upload_id != b"u" * 16 and upload.payload == b"payload"
        assert opened.timetable.due() == {"messages": NOW}
        assert opened.timetable.last_samples(9) == []
        assert opened.receipts.open() == opened.receipts.answered() == []


def test_which_fragments_are_to_be_sent_is_kept_and_another_way_begins_anew(opened):
    uploads = opened.uploads
    ready = uploads.set_ready(uploads.add(REPORT, b"token", b"u" * 16, b"log", NOW), b"case" * 4, b"payload")
    assert (ready.way, uploads.get(ready.number)) == (MIXES, ready)
    uploads.set_fragments(ready, {0, 7, 8, 300}, NOW + 9, NOW)
    found = uploads.get(ready.number)
    assert (found.unsent, found.opens, found.changed) == (frozenset((0, 7, 8, 300)), NOW + 9, NOW)
    uploads.put_right(NOW - 5, NOW)
    assert (uploads.get(ready.number).opens, uploads.get(ready.number).changed) == (NOW, NOW - 5)
    moved = uploads.set_way(found, DIRECT)
    assert (moved.way, moved.unsent, moved.opens, moved.moved) == (DIRECT, None, 0, True)
    assert moved.upload_id != ready.upload_id
    assert uploads.set_way(moved, DIRECT) == moved
