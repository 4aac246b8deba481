"""A disk that is full or damaged under the companion: a sentence, nothing lost, and on it goes once that is mended."""

import shutil
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing

import pytest
from anontrace.companion import database, lock, state
from anontrace.companion.errors import FAILED

from tests.companion.conftest import BIN, START
from tests.companion.test_cli import NETWORK

ON_A_SMALL_DISK = """
    import json, os, subprocess, sys
    from pathlib import Path
    from anontrace.companion import state
    from anontrace.companion.errors import StateError

    disk, network, program = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    folder, words, ballast = disk / "state", disk / "words", disk / "ballast"
    full = f"the disk that holds {folder} is full; make room, and run the command again"

    def say(*arguments):
        command = [program, "--json", "--state", str(folder), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        return done.returncode, json.loads(done.stdout), done.stderr

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
"""


def test_on_a_full_disk_nothing_is_lost_and_a_sentence_says_what_to_do(tmp_path):
    small = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=3m none '{disk}'"
    if shutil.which("unshare") is None or subprocess.run([*small, mount], capture_output=True).returncode:
        pytest.skip("this system lets users mount no file system of their own")
    (tmp_path / "network.toml").write_text(NETWORK)
    run = f'{mount} && exec "$0" -c "$1" "{disk}" "{tmp_path / "network.toml"}" "{BIN / "anontrace"}"'
    done = subprocess.run(
        [*small, run, sys.executable, textwrap.dedent(ON_A_SMALL_DISK)], timeout=180, capture_output=True, text=True
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
    with closing(sqlite3.connect(cli.folder / database.FILE)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
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
    assert "cannot be written" in result.err
