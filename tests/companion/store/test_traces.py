"""A file of the state folder that is gone, cut short, another's or planted: said, refused, and nothing is made."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from anontrace import clock
from anontrace.companion import cli
from anontrace.companion.errors import FAILED, USAGE, StateError
from anontrace.companion.keys import epoch, keyfile
from anontrace.companion.store import backup, database, lock, making, state
from nacl.pwhash import argon2id

from tests.companion.commands.test_cli import NETWORK
from tests.companion.store import old_state

NOW = 1_800_000_000
TODAY = NOW // 86400
WORDS = "three small green words"
NAMES = (keyfile.FILE, epoch.FILE, database.FILE)


@pytest.fixture(autouse=True)
def moment(monkeypatch):
    monkeypatch.setattr(clock, "now", lambda: float(NOW))


def fill(folder):
    with state.changing(folder) as opened:
        badge = opened.badges.ensure(TODAY)
        opened.logs.append(badge.number, 1, 1, 0, b"piece" * 1000, NOW)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "state"
    state.create(path)
    fill(path)
    return path


@pytest.fixture
def say(capsys, monkeypatch, tmp_path):
    """A command of the CLI, in this process: its exit code, and what it said on stderr."""

    def run(folder: Path, *arguments: str) -> tuple[int, str]:
        code = cli.run(["--state", str(folder), *arguments])
        return code, capsys.readouterr().err

    return run


def everything(folder):
    """Every file but the locks, by its name."""
    return {
        path.name: path.read_bytes() if path.is_file() else b""
        for path in folder.rglob("*")
        if path.name not in (lock.LOCK_FILE, lock.RUN_FILE)
    }


def missing(path):
    path.unlink()


def empty(path):
    path.write_bytes(b"")


def cut_short(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def one_byte(path):
    path.write_bytes(b"x")


def garbage(path):
    path.write_bytes(b"\xa5" * path.stat().st_size)


def flipped(path):
    data = bytearray(path.read_bytes())
    for at in range(9, len(data), 512):
        data[at] ^= 1
    path.write_bytes(data)


def a_folder(path):
    path.unlink()
    path.mkdir()


def a_pipe(path):
    path.unlink()
    os.mkfifo(path, 0o600)


def a_link(path):
    path.rename(path.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent / "elsewhere")


def a_link_to_nothing(path):
    path.unlink()
    path.symlink_to(path.parent.parent / "nowhere")


def a_device(path):
    path.unlink()
    path.symlink_to("/dev/zero")


def for_everybody(path):
    path.chmod(0o666)


def of_another_state(path):
    other = path.parent.parent / "other"
    state.create(other)
    shutil.copyfile(other / path.name, path)


DAMAGE = [
    missing, empty, cut_short, one_byte, garbage, flipped, a_folder, a_pipe, a_link, a_link_to_nothing, a_device,
    for_everybody, of_another_state,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda each: each.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_not_what_it_was_is_said_at_each_command_and_nothing_is_made(
    folder, say, tmp_path, name, damage
):
    (tmp_path / "network.toml").write_text(NETWORK)
    (tmp_path / "words").write_text(WORDS)
    damage(folder / name)
    before = everything(folder) if damage is not a_device else None
    for command in (
        ["status"], ["exposures", "list"], ["poll"], ["init", str(tmp_path / "network.toml")], ["status"],
        ["backup", str(tmp_path / "copy"), "--passphrase-file", str(tmp_path / "words")],
    ):  # fmt: skip
        code, said = say(folder, *command)
        assert (code, len(said.splitlines())) == (FAILED, 1), (command, said)
        assert name in said or "vault key" in said, said
        assert "fault of the program" not in said
    code, said = say(folder, "restore", str(tmp_path / "copy"), "--passphrase-file", str(tmp_path / "words"))
    assert (code, "holds a state already" in said) == (USAGE, True)
    assert before is None or everything(folder) == before
    assert not (tmp_path / "copy").exists() and not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("kept", NAMES)
def test_what_is_left_of_a_state_is_not_taken_for_an_empty_folder(folder, say, kept):
    for name in NAMES:
        if name != kept:
            (folder / name).unlink()
    with pytest.raises(StateError):
        state.create(folder)
    assert say(folder, "status")[0] == FAILED
    assert making.traces(folder) == [kept]
    assert say(folder, "erase-all", "--yes")[0] == 0
    assert not folder.exists()


def killed_while_writing(folder, more=()):
    """A process that is killed when its last rows have been acknowledged, and lie in the write-ahead log."""
    work = (
        "import os, sys; from pathlib import Path; from anontrace.companion.store import state\n"
        "with state.changing(Path(sys.argv[1])) as opened:\n"
        "    for number in range(50): opened.logs.append(1, 2, 1, number, b'x', 1_800_000_000)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", work, str(folder)], check=False)
    assert done.returncode == -signal.SIGKILL
    return folder / f"{database.FILE}-wal"


def test_what_was_acknowledged_before_a_kill_is_there(folder):
    assert killed_while_writing(folder).stat().st_size > 0
    with state.reading(folder) as opened:
        assert opened.logs.segments()[1] == [b"x" * 50]


@pytest.mark.parametrize("part", [0.0, 0.3, 0.999])
@pytest.mark.parametrize("way", ["gone", "cut short", "flipped"])
def test_a_write_ahead_log_that_lost_what_was_acknowledged_is_refused(folder, say, part, way):
    log = killed_while_writing(folder)
    data = log.read_bytes()
    at = int(len(data) * part)
    if way == "gone":
        log.unlink()
    elif way == "cut short":
        log.write_bytes(data[:at])
    else:
        log.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    for command in ("status", "poll", "status"):
        code, said = say(folder, command)
        assert (code, "has lost what was written last" in said) == (FAILED, True), said


def test_an_older_database_put_in_the_place_of_today_s_is_refused(folder, say, tmp_path):
    older = (folder / database.FILE).read_bytes()
    with state.changing(folder) as opened:
        opened.logs.append(1, 1, 2, 0, b"more", NOW)
    (folder / database.FILE).write_bytes(older)
    code, said = say(folder, "status")
    assert (code, "has lost what was written last" in said) == (FAILED, True), said


def test_a_plain_database_in_the_place_of_an_encrypted_one_is_refused(folder, say):
    (folder / database.FILE).unlink()
    old_state.write(folder / database.FILE, bytes(32), 4, NOW)
    (folder / database.FILE).chmod(0o600)
    code, said = say(folder, "status")
    assert (code, "it is not encrypted as it was" in said) == (FAILED, True), said


def test_a_folder_into_which_others_may_write_is_not_believed(folder, say):
    folder.chmod(0o770)
    for command in ("status", "poll"):
        code, said = say(folder, command)
        assert (code, "others may write into" in said) == (FAILED, True), said
    folder.chmod(0o700)
    folder.parent.chmod(0o777)
    code, said = say(folder, "status")
    assert (code, "others may replace" in said) == (FAILED, True), said
    folder.parent.chmod(0o1777)  # as /tmp is
    assert say(folder, "status")[0] == 0


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root may give a file to another user")
@pytest.mark.parametrize("name", [*NAMES, lock.LOCK_FILE, "."])
def test_what_belongs_to_another_user_is_not_believed(folder, say, name):
    os.chown(folder / name, 65534, 65534)
    code, said = say(folder, "poll")
    assert (code, "belongs to another user" in said) == (FAILED, True), said


@pytest.mark.parametrize("name", [*NAMES, lock.LOCK_FILE, keyfile.FILE.replace(".key", ".new"), making.UNFINISHED])
def test_nothing_is_written_through_a_link_that_was_planted(tmp_path, say, name):
    folder, target = tmp_path / "state", tmp_path / "target"
    (tmp_path / "network.toml").write_text(NETWORK)
    target.write_bytes(b"somebody's")
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    (folder / name).symlink_to(target)
    code, said = say(folder, "init", str(tmp_path / "network.toml"), "--protect", "file")
    if name in ("vault.new", making.UNFINISHED):  # what broke off is made anew
        assert (code, say(folder, "passphrase", "--protect", "file")[0]) == (0, 0)
        assert not (folder / name).is_symlink()
    else:
        assert (code, "is a link" in said or "others may write into" in said) == (FAILED, True), said
    assert target.read_bytes() == b"somebody's"


def test_a_key_that_was_planted_with_open_doors_is_not_taken(tmp_path, say):
    (tmp_path / "network.toml").write_text(NETWORK)
    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(0o777)
    (folder / keyfile.FILE).write_bytes(bytes(32))
    (folder / keyfile.FILE).chmod(0o666)
    code, said = say(folder, "init", str(tmp_path / "network.toml"), "--protect", "file")
    assert (code, "others may write into" in said) == (FAILED, True), said
    folder.chmod(0o700)
    code, said = say(folder, "init", str(tmp_path / "network.toml"), "--protect", "file")
    assert (code, "others may open" in said) == (FAILED, True), said
    assert making.traces(folder) == [keyfile.FILE]


BREAK_OFF = """
import os, sys
from pathlib import Path
calls = iter(range(10**9))
last = int(sys.argv[1])

def stopping(function):
    def counted(*arguments, **named):
        if next(calls) == last:
            os.kill(os.getpid(), 9)
        return function(*arguments, **named)
    return counted

for name in ("open", "write", "fsync", "rename", "replace", "unlink", "mkdir", "rmdir"):
    setattr(os, name, stopping(getattr(os, name)))
from anontrace.companion.store import backup, state
folder, copy = Path(sys.argv[3]), Path(sys.argv[4])
if sys.argv[2] == "restore":
    opened = backup.read(copy, "three small green words", lambda *_: None)
    state.restore(folder, opened.image, opened.old_key, "file", None)
elif sys.argv[2] == "create":
    state.create(folder)
else:
    with state.reading(folder):
        pass
"""


def break_off(tmp_path, what, folder, at, copy="none"):
    """Do it in a process that is killed before its step number `at`; whether it was."""
    (tmp_path / "work.py").write_text(BREAK_OFF)
    arguments = [sys.executable, str(tmp_path / "work.py"), str(at), what, str(folder), str(copy)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


@pytest.fixture
def copy(folder, tmp_path, monkeypatch):
    """A backup, with Argon2id at its cheapest."""
    cheap = lambda: backup.Stretching(os.urandom(16), argon2id.OPSLIMIT_MIN, argon2id.MEMLIMIT_MIN)  # noqa: E731
    monkeypatch.setattr(backup.Stretching, "fresh", cheap)
    backup.write(folder, keyfile.load(folder), tmp_path / "copy", WORDS, lambda *_: None)
    return tmp_path / "copy"


def is_whole(folder):
    with state.reading(folder) as opened:
        return opened.badges.count() == 1 and opened.logs.segments() == [[b"piece" * 1000]]


def test_a_restore_that_is_broken_off_anywhere_leaves_all_or_nothing_and_can_be_repeated(tmp_path, copy):
    seen = {True: 0, False: 0}
    for at in range(0, 1000, 2):
        restored = tmp_path / f"restored {at}"
        killed = break_off(tmp_path, "restore", restored, at, copy)
        is_there = bool(making.traces(restored))
        seen[is_there] += 1
        if not is_there:
            opened = backup.read(copy, WORDS, lambda *_: None)
            state.restore(restored, opened.image, opened.old_key, keyfile.PLAIN, None)
        assert is_whole(restored)
        assert not (restored / making.READY).exists()
        shutil.rmtree(restored)
        if not killed:
            break
    assert min(seen.values()) > 1, seen


def test_a_state_that_is_broken_off_while_it_is_made_is_made_by_the_next_attempt(tmp_path):
    for at in range(0, 1000, 3):
        made = tmp_path / f"made {at}"
        killed = break_off(tmp_path, "create", made, at)
        state.create(made)
        fill(made)
        assert is_whole(made)
        if not killed:
            break
    assert at > 10


def test_moving_an_older_state_over_may_be_broken_off_anywhere(tmp_path):
    for at in range(0, 1000, 3):
        older = tmp_path / f"older {at}"
        old_state.make(older, 4, NOW)
        killed = break_off(tmp_path, "look", older, at)
        with state.reading(older) as opened:
            assert opened.badges.get().owner_key == b"o" * 32
            assert opened.logs.segments() == [[b"piece"]]
        assert not database.is_plain(older)
        shutil.rmtree(older)
        if not killed:
            break
    assert at > 10
