"""One encrypted file that holds everything, what it does not open with, and how everything is erased."""

import json
import os
import struct
from pathlib import Path

import pytest
from anontrace.companion.errors import FAILED, INTERRUPTED, USAGE, SetupError, StateError
from anontrace.companion.keys import keyfile
from anontrace.companion.keys.passphrase import MAX_MEMORY, MAX_OPERATIONS, SALT
from anontrace.companion.store import backup, database, making, state
from nacl import bindings

from tests.companion.commands.test_cli import NETWORK
from tests.companion.conftest import Cli
from tests.companion.store import old_state
from tests.companion.terminal import talk

WORDS = "three small green words"


@pytest.fixture
def wearer(cli, tmp_path):
    """A companion with a badge and some log."""
    (tmp_path / "network.toml").write_text(NETWORK)
    (tmp_path / "words").write_text(WORDS + "\n")
    cli.do("init", str(tmp_path / "network.toml"))
    with state.changing(cli.folder) as opened:
        badge = opened.badges.ensure(2_000_000)
        opened.badges.set_provisioned(badge, 1, 100, 200, 1000)
        opened.logs.append(badge.number, 1, 1, 0, os.urandom(200_000), 2_000_000_000)
    return cli


def contents(folder):
    with state.reading(folder) as opened:
        return opened.badges.all(), opened.logs.segments(), opened.network.get()


def test_a_backup_restores_everything_elsewhere(wearer, tmp_path, clock):
    words, file = str(tmp_path / "words"), tmp_path / "my.backup"
    made = wearer.do("backup", str(file), "--passphrase-file", words)
    assert made["bytes"] == file.stat().st_size
    assert file.stat().st_mode & 0o777 == 0o600
    other = Cli(tmp_path / "other", clock)
    assert other.do("restore", str(file), "--passphrase-file", words, "--protect", "file")["protection"] == "file"
    assert contents(other.folder) == contents(wearer.folder)
    with state.reading(other.folder) as opened:
        assert opened._db.row("PRAGMA integrity_check") == {"integrity_check": "ok"}
    assert other.do("badge", "list") == wearer.do("badge", "list")


def test_without_a_word_the_passphrase_of_the_backup_locks_the_restored_state(wearer, tmp_path, clock):
    words, file = str(tmp_path / "words"), tmp_path / "my.backup"
    wearer.do("backup", str(file), "--passphrase-file", words)
    other = Cli(tmp_path / "other", clock)
    other.environment["ANONTRACE_PASSPHRASE_FILE"] = words
    assert other.do("restore", str(file))["protection"] == "passphrase"
    assert other.do("badge", "list") == wearer.do("badge", "list")
    del other.environment["ANONTRACE_PASSPHRASE_FILE"]
    assert other.run("badge", "list").code == USAGE


def test_on_a_terminal_both_ask(wearer, tmp_path, clock):
    file = str(tmp_path / "my.backup")
    code, screen = talk(wearer, ["backup", file], [("Passphrase for the backup", WORDS), ("Repeat", WORDS)])
    assert (code, WORDS in screen) == (0, False), screen
    code, screen = talk(Cli(tmp_path / "other", clock), ["restore", file], [("Passphrase of the backup", WORDS)])
    assert (code, "Restored" in screen) == (0, True), screen


def test_nothing_is_overwritten(wearer, tmp_path):
    words, file = str(tmp_path / "words"), tmp_path / "my.backup"
    wearer.do("backup", str(file), "--passphrase-file", words)
    before = file.read_bytes(), contents(wearer.folder)
    result = wearer.run("backup", str(file), "--passphrase-file", words)
    assert (result.code, "exists already" in result.err) == (USAGE, True)
    result = wearer.run("restore", str(file), "--passphrase-file", words)
    assert (result.code, "not overwritten" in result.err) == (USAGE, True)
    assert (file.read_bytes(), contents(wearer.folder)) == before


@pytest.fixture
def quick(monkeypatch):
    """Argon2id at its cheapest: these tests are about what follows."""
    monkeypatch.setattr(backup.Stretching, "fresh", lambda: backup.Stretching(os.urandom(16), 1, 8192))


def nothing(_done, _total):
    return None


def test_a_backup_that_was_changed_or_shortened_anywhere_does_not_open(wearer, tmp_path, quick):
    file = tmp_path / "my.backup"
    backup.write(wearer.folder, keyfile.load(wearer.folder), file, WORDS, nothing)
    whole = file.read_bytes()
    assert len(backup.read(file, WORDS, nothing).image) > 3 * backup.CHUNK
    with pytest.raises(SetupError, match="passphrase is wrong"):
        backup.read(file, WORDS.upper(), nothing)
    chunk = backup.CHUNK + 17
    begin = len(whole) - ((len(whole) - 68) % chunk + 1)  # of the last chunk, which may be a full one
    damaged = [
        whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in (3, 20, 45, 70, 70 + chunk, len(whole) - 1)
    ]
    damaged += [whole[:at] for at in (0, 10, 50, 70, 67 + chunk, begin, len(whole) - 1)]
    damaged += [whole + b"\0", whole[: 67 + chunk] + whole[67 + 2 * chunk :], b"", b"something else" * 100]
    for data in damaged:
        file.write_bytes(data)
        with pytest.raises((SetupError, StateError)):
            backup.read(file, WORDS, nothing)


@pytest.mark.parametrize(
    "settings",
    [
        {"operations": 0},
        {"operations": MAX_OPERATIONS + 1},
        {"memory": 0},
        {"memory": 8191},
        {"memory": MAX_MEMORY + 1},
        {"operations": 0, "memory": 0},
    ],
)
def test_settings_that_nobody_writes_are_said_to_make_no_sense_and_not_to_be_a_want_of_memory(
    wearer, tmp_path, clock, quick, settings
):
    """In a backup, and in a key file under a passphrase."""
    words, file = tmp_path / "words", tmp_path / "my.backup"
    backup.write(wearer.folder, keyfile.load(wearer.folder), file, WORDS, nothing)
    whole, begin = file.read_bytes(), len(backup.MAGIC) + SALT
    changed = struct.pack("<II", settings.get("operations", 1), settings.get("memory", 8192))
    file.write_bytes(whole[:begin] + changed + whole[begin + 8 :])
    said = "the passphrase settings of this file make no sense; it is damaged"
    restored = Cli(tmp_path / "other", clock).run("restore", str(file), "--passphrase-file", str(words))
    assert (restored.code, restored.err) == (FAILED, f"anontrace: {said}\n")
    assert not making.traces(tmp_path / "other")

    keyfile.store(wearer.folder, keyfile.load(wearer.folder), keyfile.PASSPHRASE, WORDS)
    key_file = wearer.folder / keyfile.FILE
    key_file.write_text(json.dumps(json.loads(key_file.read_text()) | settings))
    wearer.environment["ANONTRACE_PASSPHRASE_FILE"] = str(words)
    opened = wearer.run("status")
    assert (opened.code, opened.err) == (FAILED, f"anontrace: {said}\n")


def test_a_backup_is_of_one_moment_while_somebody_writes(wearer, tmp_path, quick):
    with state.changing(wearer.folder) as opened, opened.transaction():
        opened._db.run("DELETE FROM log_pieces")
        backup.write(wearer.folder, keyfile.load(wearer.folder), tmp_path / "my.backup", WORDS, nothing)
    opened = backup.read(tmp_path / "my.backup", WORDS, nothing)
    state.restore(tmp_path / "other", opened.image, opened.old_key, keyfile.PLAIN, None)
    assert len(contents(tmp_path / "other")[1][0][0]) == 200_000


def first_free(folder):
    """The first pages of the list of free ones (by their numbers from 0), behind which used pages lie."""
    with state.reading(folder) as opened:
        image = opened.image()
    (trunk,) = struct.unpack_from(">I", image, 32)
    (count,) = struct.unpack_from(">I", image, (trunk - 1) * database.PAGE + 4)
    return sorted(each - 1 for each in struct.unpack_from(f">{count}I", image, (trunk - 1) * database.PAGE + 8))[:2]


def test_of_a_damaged_database_there_is_no_backup(wearer, tmp_path):
    """Unless the damage is in a page that is free, and no used one lies behind it."""
    before = contents(wearer.folder)
    path = wearer.folder / database.FILE
    whole, refused = path.read_bytes(), 0
    pages = len(whole) // database.PAGE
    for page in {*range(0, pages, max(1, pages // 12)), *first_free(wearer.folder)}:
        at = page * database.PAGE + 1000
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        file, other = tmp_path / f"{page}.backup", tmp_path / f"restored-{page}"
        result = wearer.run("backup", str(file), "--passphrase-file", str(tmp_path / "words"))
        if result.code:
            assert "damaged" in result.err and database.FILE in result.err, result
            assert (result.code, file.exists()) == (FAILED, False)
            refused += 1
        else:
            opened = backup.read(file, WORDS, nothing)
            state.restore(other, opened.image, opened.old_key, keyfile.PLAIN, None)
            assert contents(other) == before
    assert refused >= 6


def test_erasing_asks_and_leaves_nothing(wearer, tmp_path):
    (wearer.folder / "a file of somebody else").write_text("stays")
    result = wearer.run("erase-all")
    assert (result.code, "give --yes" in result.err) == (USAGE, True)
    code, screen = talk(wearer, ["erase-all"], [("Erase it?", "n")])
    assert (code, "anontrace: nothing is erased" in screen) == (INTERRUPTED, True), screen
    assert wearer.run("status").code == 0
    assert talk(wearer, ["erase-all"], [("Erase it?", "y")])[0] == 0
    assert [path.name for path in wearer.folder.iterdir()] == ["a file of somebody else"]
    assert wearer.run("erase-all", "--yes").code == USAGE


def test_what_is_erased_is_overwritten_first(wearer):
    link = wearer.folder.parent / "another name of the key"
    link.hardlink_to(wearer.folder / keyfile.FILE)
    before = link.read_bytes()
    wearer.do("erase-all", "--yes")
    assert not wearer.folder.exists()
    after = link.read_bytes()
    assert len(after) == len(before) and after != before


def test_a_file_that_is_no_backup_is_said_in_a_sentence(cli, tmp_path):
    (tmp_path / "words").write_text(WORDS)
    for content in (b"", b"hello", os.urandom(1000)):
        (tmp_path / "file").write_bytes(content)
        result = cli.run("restore", str(tmp_path / "file"), "--passphrase-file", str(tmp_path / "words"))
        assert (result.code, "no anontrace backup" in result.err) == (FAILED, True)
        assert not cli.folder.exists()


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "huge", "endless pipe"])
def test_what_does_not_end_or_is_no_file_is_not_read_as_a_backup(cli, tmp_path, kind):
    (tmp_path / "words").write_text(WORDS)
    file, writer = tmp_path / "file", None
    if kind.endswith("pipe"):
        os.mkfifo(file)
        if kind == "endless pipe":
            writer = os.open(file, os.O_RDWR)
            os.write(writer, backup.MAGIC + bytes(1000))
    elif kind == "device":
        file = Path("/dev/zero")
    elif kind == "folder":
        file.mkdir()
    else:
        with file.open("wb") as huge:
            huge.write(backup.MAGIC)
            huge.truncate(backup.MAX_BYTES + 1)
    result = cli.run("restore", str(file), "--passphrase-file", str(tmp_path / "words"))
    if writer is not None:
        os.close(writer)
    assert (result.code, len(result.err.splitlines())) == (USAGE if kind == "folder" else FAILED, 1), result.err
    assert "no regular file" in result.err or "too large" in result.err or "is a directory" in result.err
    assert not cli.folder.exists()


@pytest.mark.parametrize("version", old_state.VERSIONS)
def test_a_backup_of_an_older_companion_is_restored(tmp_path, version):
    key, begin = os.urandom(32), 1_800_000_000
    old_state.write(tmp_path / "old.db", key, version, begin)
    plaintext = key + (tmp_path / "old.db").read_bytes()
    cheap = backup.Stretching(os.urandom(16), 1, 8192)
    head = backup.MAGIC_SEALED + backup._SETTINGS.pack(cheap.salt, cheap.operations, cheap.memory)
    stream = bindings.crypto_secretstream_xchacha20poly1305_state()
    sealed = head + bindings.crypto_secretstream_xchacha20poly1305_init_push(stream, cheap.key(WORDS))
    for at in range(0, len(plaintext), backup.CHUNK):
        tag = backup._FINAL if at + backup.CHUNK >= len(plaintext) else backup._MESSAGE
        chunk, aad = plaintext[at : at + backup.CHUNK], head if at == 0 else None
        sealed += bindings.crypto_secretstream_xchacha20poly1305_push(stream, chunk, aad, tag)
    (tmp_path / "old.backup").write_bytes(sealed)
    opened = backup.read(tmp_path / "old.backup", WORDS, nothing)
    state.restore(tmp_path / "state", opened.image, opened.old_key, keyfile.PLAIN, None)
    badges, segments, network = contents(tmp_path / "state")
    assert (badges[0].owner_key, segments, network.name) == (b"o" * 32, [[b"piece"]], "old")
    assert keyfile.load(tmp_path / "state") != key


def test_an_image_that_is_none_leaves_no_trace_and_the_next_restore_works(tmp_path, wearer, quick):
    backup.write(wearer.folder, keyfile.load(wearer.folder), tmp_path / "my.backup", WORDS, nothing)
    whole = backup.read(tmp_path / "my.backup", WORDS, nothing).image
    for image in (b"", b"something else" * 1000, whole[: len(whole) // 2], whole[:5000] + bytes(len(whole) - 5000)):
        with pytest.raises((StateError, SetupError)):
            state.restore(tmp_path / "other", image, b"", keyfile.PLAIN, None)
        assert making.traces(tmp_path / "other") == []
    state.restore(tmp_path / "other", whole, b"", keyfile.PLAIN, None)
    assert contents(tmp_path / "other") == contents(wearer.folder)


def test_a_backup_has_its_name_once_it_is_whole(tmp_path, wearer, quick, monkeypatch):
    target, key = tmp_path / "my.backup", keyfile.load(wearer.folder)
    (tmp_path / "my.backup.part").write_bytes(b"of an attempt that broke off")
    seen = []
    backup.write(wearer.folder, key, target, WORDS, lambda *_: seen.append(target.exists()))
    assert set(seen) == {False} and target.exists()
    assert not (tmp_path / "my.backup.part").exists()

    def fails(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(StateError, match="there is no backup"):
        backup.write(wearer.folder, key, tmp_path / "another", WORDS, nothing)
    assert [path.name for path in tmp_path.glob("another*")] == []
