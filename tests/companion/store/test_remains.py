"""What is left on the wearer's disk of what has had its time: nothing that opens; and that nothing there tells more."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing

import pytest
from anontrace import clock
from anontrace.companion.errors import StateError
from anontrace.companion.keys import epoch, keyfile
from anontrace.companion.store import database, state
from anontrace.companion.store.addresses import NewSurb
from anontrace.companion.store.network import StoredDirectory
from anontrace.companion.store.notifications import StoredNotification
from anontrace.companion.store.states import ACCEPTED
from anontrace.companion.store.uploads import REPORT
from anontrace.mixnet import swap

DAY = 86400
NOW = 1_800_000_000 // DAY * DAY
SIZE = 24 << 20  # bytes of the disk


class Clock:
    def __init__(self):
        self.now = float(NOW)


@pytest.fixture
def moment(monkeypatch):
    found = Clock()
    monkeypatch.setattr(clock, "now", lambda: found.now)
    return found


def seeded(text, size):
    return random.Random(text).randbytes(size)


def live(opened, moment, kind="idle"):
    """What a day brings to each wearer, and to some besides: their database is written to at the same moments."""
    now = int(moment.now)
    day = now // DAY
    opened.network.put_directory(StoredDirectory(day, b"signed", now))
    badge = opened.badges.ensure(day)
    made = [
        (day * 288 + each, seeded(f"address {day} {each}", 20), NewSurb(
            5, seeded(f"mailbox {day} {each}", 32), now + 2 * DAY, swap.NEW, seeded(f"blob {day} {each}", 174),
            seeded(f"secrets {day} {each}", 250),
        ))
        for each in range(60)
    ]  # fmt: skip
    opened.addresses.add(badge.number, made, now)
    opened.addresses.set_confirmed([each.surb for each in opened.addresses.pending()], now)
    opened.logs.append(badge.number, 1, day, 0, seeded(f"log {day}", 40_000), now)
    boxes = opened.addresses.alone(now)
    with opened.transaction():
        opened.addresses.set_asked([box.number for box in boxes], now)
        if kind == "notified":
            opened.addresses.set_skip(boxes[0].number, 1)
            opened.addresses.set_spent(1, now)
            content = seeded(f"content {day}", 191)
            opened.notifications.add(StoredNotification(day * 288, now, seeded(f"address {day} 0", 20), content))
    if kind == "ill":
        log = b"".join(piece for segment in opened.logs.segments() for piece in segment)
        upload = opened.uploads.add(REPORT, seeded("token", 32), seeded("upload", 16), log, now)
        opened.uploads.set_ready(upload, seeded("case", 16), log)


@pytest.fixture
def disk(tmp_path):
    """A small ext4 file system of its own, and the file that holds all its blocks."""
    image, place = tmp_path / "image", tmp_path / "disk"
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root may mount an image")
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("there is no mkfs.ext4 here")
    with image.open("wb") as file:
        file.truncate(SIZE)
    place.mkdir()
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
    if subprocess.run(["mount", "-o", "loop", str(image), str(place)], capture_output=True, check=False).returncode:
        pytest.skip("this system lets root mount no image")
    try:
        yield place, image
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False, capture_output=True)


def secrets_in(folder):
    """The secrets of the epochs, as their file has them at the moment."""
    data = (folder / epoch.FILE).read_bytes()
    return {data[at + 8 : at + 40] for at in (epoch.BLOCK, 2 * epoch.BLOCK)}


def test_no_block_of_the_disk_has_a_key_that_opens_what_has_had_its_time(disk, moment, tmp_path):
    place, image = disk
    folder = place / "state"
    key = state.create(folder)
    day_keys, before = [], set()
    for day in range(4):
        moment.now = NOW + day * DAY + 100.0
        with state.changing(folder) as opened:
            live(opened, moment, "notified")
            day_keys.append(opened.badges.get().day_key)
            (present,) = opened._db._epochs.epochs()
            if day == 0:
                first = present
                for path in folder.iterdir():
                    shutil.copyfile(path, tmp_path / path.name)
                held = os.open(folder / f"{database.FILE}-wal", os.O_RDONLY)
        before |= secrets_in(folder)
    last = secrets_in(folder)
    os.close(held)  # only now its blocks are free, and nothing is written any more
    subprocess.run(["umount", str(place)], check=True)
    blocks = image.read_bytes()

    assert key in blocks  # the vault key lies in its file: here nothing locks it
    assert [secret for secret in last if secret in blocks]  # so does the secret of the present epoch
    assert not [secret for secret in before - last if secret in blocks]  # but of none that is over
    for secret in (first.key, present.key, *day_keys, seeded(f"content {NOW // DAY}", 191)):
        assert secret not in blocks

    log = (tmp_path / f"{database.FILE}-wal").read_bytes()  # and yet what was written on the first day lies there
    assert len([at for at in range(56, len(log), 4120) if log[at : at + 2048] in blocks]) > 10

    then = tmp_path / "then"  # with the key of that day it opens, with today's it does not
    then.mkdir(mode=0o700)
    for name in (keyfile.FILE, epoch.FILE, database.FILE, f"{database.FILE}-wal"):
        shutil.copyfile(tmp_path / name, then / name)
        (then / name).chmod(0o600)
    with state.reading(then) as opened:
        assert opened.badges.get().day_key == day_keys[0]
        assert len(opened.notifications.all()) == 1
    subprocess.run(["mount", "-o", "loop", str(image), str(place)], check=True)
    shutil.copyfile(folder / epoch.FILE, then / epoch.FILE)
    with pytest.raises(StateError, match="does not open"), state.reading(then):
        pass


def test_wearers_who_were_told_and_who_reported_have_files_like_anybody_else_s(tmp_path, moment):
    sizes = {}
    for kind in ("idle", "notified", "ill"):
        folder = tmp_path / kind
        moment.now = float(NOW)
        state.create(folder)
        for day in range(5):
            moment.now = NOW + day * DAY + 100.0
            with state.changing(folder) as opened:
                live(opened, moment, "idle" if kind == "ill" and day != 2 else kind)
        found = {path.name: path.read_bytes() for path in folder.iterdir()}
        sizes[kind] = {name: len(data) for name, data in found.items()}
        whole = b"".join(found.values())
        for told in (b"notifications", b"uploads", b"surbs", b"report", b"SQLite", b"CREATE", seeded("token", 32)):
            assert told not in whole
    assert sizes["idle"] == sizes["notified"] == sizes["ill"]
    assert sizes["idle"][database.FILE] % (database.STEP * database.PAGE) == 0


def test_uploads_are_forgotten_after_thirty_days_and_with_a_report_what_came_of_its_case(tmp_path, moment):
    folder = tmp_path / "state"
    state.create(folder)
    with state.changing(folder) as opened:
        badge = opened.badges.ensure(NOW // DAY)
        upload = opened.uploads.add(REPORT, b"token", b"u" * 16, b"log", NOW)
        opened.uploads.finish(opened.uploads.set_ready(upload, b"c" * 16, b"payload"), ACCEPTED)
        later = opened.uploads.add(REPORT, b"another", b"v" * 16, b"log", NOW + DAY)
    for days, left in ((29, 2), (30, 1), (31, 0)):
        moment.now = float(NOW + days * DAY)
        with state.changing(folder) as opened:
            opened.network.put_directory(StoredDirectory(1, b"signed", int(moment.now)))
            opened.keep_house(int(moment.now))
            assert [each.number for each in opened.uploads.all()] == [upload.number, later.number][2 - left :]
    assert badge.number == 1


def test_the_key_is_overwritten_where_it_lies(tmp_path, moment):
    folder = tmp_path / "state"
    state.create(folder)
    with state.changing(folder) as opened:
        opened.badges.ensure(NOW // DAY)
    file = (folder / epoch.FILE).stat()
    seen = set()
    for day in range(1, 4):
        seen |= secrets_in(folder)
        moment.now = float(NOW + day * DAY)
        with state.changing(folder):
            pass
        assert len(secrets_in(folder) & seen) == 0
        after = (folder / epoch.FILE).stat()
        assert (after.st_ino, after.st_size, after.st_blocks) == (file.st_ino, file.st_size, file.st_blocks)
        with state.reading(folder) as opened:
            assert len(opened._db._epochs.epochs()) == 1


def test_while_somebody_reads_the_key_lives_on_and_is_destroyed_by_who_comes_next(tmp_path, moment):
    folder = tmp_path / "state"
    key = state.create(folder)
    with state.changing(folder):
        pass
    (first,) = _epochs(folder, key)
    moment.now = float(NOW + DAY)
    with state.reading(folder) as reader:
        with state.changing(folder) as opened:
            opened.badges.ensure(NOW // DAY + 1)
        assert reader.badges.count() == 1
        assert _epochs(folder, key) == [first]
    with state.changing(folder):
        pass
    (second,) = _epochs(folder, key)
    assert second.number > first.number


def _epochs(folder, key):
    with closing(epoch.EpochFile.open(folder, key)) as file:
        return file.epochs()


TURN = """
import sys
from pathlib import Path
from anontrace import clock
from anontrace.companion.store import state
day = int(sys.argv[2])
print("begun", flush=True)
while True:
    day += 1
    clock.now = lambda: day * 86400.0
    with state.changing(Path(sys.argv[1])) as opened:
        opened._db.turn(day)
        opened._db.turn(day + 1)
"""


def test_a_kill_while_a_key_is_replaced_loses_nothing(tmp_path, moment):
    folder = tmp_path / "state"
    state.create(folder)
    with state.changing(folder) as opened:
        live(opened, moment)
    with state.reading(folder) as opened:
        badge, segments = opened.badges.get(), opened.logs.segments()
    (tmp_path / "turn.py").write_text(TURN)
    for attempt in range(12):
        worker = subprocess.Popen(
            [sys.executable, str(tmp_path / "turn.py"), str(folder), str(NOW // DAY)], stdout=subprocess.PIPE
        )
        try:
            assert worker.stdout.readline() == b"begun\n"
            time.sleep(0.02 + attempt * 0.011)  # somewhere in the many turns that it makes
        finally:
            worker.send_signal(signal.SIGKILL)
            worker.communicate()
        with state.reading(folder) as opened:
            assert opened.badges.get().owner_key == badge.owner_key
            assert opened.logs.segments() == segments
    moment.now = float(NOW - DAY)
    with state.changing(folder) as opened:
        opened._db.turn(1)
    assert len(_epochs(folder, keyfile.load(folder))) == 1
