"""A disk that is full or damaged under the companion: a sentence, nothing lost, and on it goes once that is mended."""

import shutil
import subprocess
import sys
import textwrap

import pytest
from anontrace.companion.errors import FAILED
from anontrace.companion.store import database, lock, state

from tests.companion.commands.test_cli import NETWORK
from tests.companion.conftest import START
from tests.patience import HANG_SECONDS
from tools import loaded

ON_A_SMALL_DISK = """
    import json, os, sys, time
    from pathlib import Path
    from anontrace import clock
    from anontrace.companion.errors import StateError
    from anontrace.companion.store import state
    from tests.companion import loaded

    disk, network = Path(sys.argv[1]), sys.argv[2]
    folder, words, ballast = disk / "state", disk / "words", disk / "ballast"
    full = f"the disk that holds {folder} is full; make room, and run the command again"

    def say(*arguments):
        code, out, err = loaded.PROGRAM.run(["--json", "--state", str(folder), *arguments], os.environ)
        return code, json.loads(out), err

    def fill():
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(512))
            except OSError:
                pass

    backup = ["backup", str(disk.parent / "backup"), "--passphrase-file", str(words)]
    words.write_text("five random words would do\\n")
    assert say("init", network)[0] == 0
    fill()
    for command in (["status"], ["exposures", "list"], ["poll"], ["run", "--once", "--no-badge"], backup):
        code, document, said = say(*command)
        assert code == 1 and document["error"]["kind"] == "state", (command, code, document, said)
        assert len(said.splitlines()) == 1 and said.endswith(f"{full}\\n"), (command, said)
    assert not (disk.parent / "backup").exists()
    document = say("doctor", "--no-bluetooth")[1]
    (wrong,) = [each for each in document["checks"] if not each["ok"]]
    assert (wrong["name"], wrong["mend"]) == ("state", "make room, and run the command again"), wrong
    failed = 0
    for day in range(1, 30):  # each day's change of keys, with more room each time
        moment = time.time() + day * 86400
        clock.now = lambda: moment
        fill()
        os.truncate(ballast, ballast.stat().st_size - day * 30_000)
        try:
            with state.changing(folder) as opened:
                turned = not opened._db.is_turn_due(int(moment) // 86400)
        except StateError as error:
            failed += 1
            assert str(error) == full, error
    assert failed > 3 and turned
    ballast.write_bytes(bytes(1_000_000))  # the rest is free again
    kept = 0
    with state.changing(folder) as opened:
        badge = opened.badges.ensure(20000)
        try:
            while True:
                opened.logs.append(badge.number, 1, 1, kept * 50_000, os.urandom(50_000), 2**31)
                kept += 1
        except StateError as error:
            assert str(error) == full, error
    assert kept > 10
    ballast.unlink()
    assert say(*backup)[0] == 0
    with state.reading(folder) as opened:  # what was kept is there, each piece whole
        ((segment,),) = opened.logs.segments()
        assert len(segment) == kept * 50_000
    say("erase-all", "--yes")
    for left in (0, 20_000, 100_000, 400_000):  # a restore that finds no room leaves nothing, and the next one works
        fill()
        os.truncate(ballast, ballast.stat().st_size - left)
        code, document, said = say("restore", *backup[1:], "--protect", "file")
        assert code == 1 and document["error"]["kind"] == "state", (left, code, document, said)
        assert not any(path.is_file() and path.name != "lock.db" for path in folder.rglob("*")), left
    ballast.unlink()
    assert say("restore", *backup[1:], "--protect", "file")[0] == 0
    with state.reading(folder) as opened:
        assert opened.logs.segments() == [[segment]]
"""


def test_on_a_full_disk_nothing_is_lost_and_a_sentence_says_what_to_do(tmp_path):
    small = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=6m none '{disk}'"
    if shutil.which("unshare") is None or subprocess.run([*small, mount], capture_output=True).returncode:
        pytest.skip("this system lets users mount no file system of their own")
    (tmp_path / "network.toml").write_text(NETWORK)
    run = f'{mount} && exec "$0" -c "$1" "{disk}" "{tmp_path / "network.toml"}"'
    done = subprocess.run(
        [*small, run, sys.executable, textwrap.dedent(ON_A_SMALL_DISK)],
        cwd=loaded.ROOT,
        timeout=HANG_SECONDS,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def kept(cli, tmp_path):
    """A companion with a log, whose database lies in one file."""
    (tmp_path / "network.toml").write_text(NETWORK)
    cli.do("init", str(tmp_path / "network.toml"))
    with state.changing(cli.folder) as opened:
        badge = opened.badges.ensure(START // 86400)
        opened.logs.append(badge.number, 1, 1, 0, bytes(100_000), START + 2**28)
    return cli


def test_damage_in_the_middle_of_the_database_is_said_with_the_way_back(kept):
    path = kept.folder / database.FILE
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)  # the first page still says that all is well
    path.write_bytes(data)
    for command in ("status", "poll"):
        result = kept.run(command)
        assert (result.code, len(result.err.splitlines())) == (FAILED, 1)
        assert "it is damaged" in result.err and "anontrace restore FILE" in result.err


def test_a_lock_that_cannot_be_had_at_all_is_not_taken_for_another_process(kept):
    (kept.folder / lock.LOCK_FILE).unlink()
    (kept.folder / lock.LOCK_FILE).mkdir()
    result = kept.run("poll")
    assert (result.code, len(result.err.splitlines())) == (FAILED, 1)
    assert "is no regular file" in result.err
