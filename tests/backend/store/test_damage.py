"""A store in a folder that is not whole: that is said at each start, and nothing is touched."""

import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from anontrace.backend.errors import StoreError
from anontrace.backend.store import Store, mark, open_store, try_folder
from anontrace.backend.store.folder_site import FolderSite
from anontrace.backend.store.mark import Mark, MarkFile
from rocksdict import Options, Rdict, WriteBatch, WriteOptions

WRITES = """
    import asyncio, json, os, random, signal, sys
    from pathlib import Path
    from anontrace.backend.store import Entry, Put, open_store

    async def main(folder, number, seed):
        store = await open_store(folder)
        rows, drawn = {}, random.Random(seed)

        async def write(number, day):
            for _ in range(number):
                key, value = drawn.randbytes(16), drawn.randbytes(120)
                assert await store.put_if_absent_many("t", [Put(key, value, Entry("q", 0.0, key))], expires=day)
                rows[key.hex()] = value.hex()

        await write(100, 100)
        await store.scrub()
        await write(number, 101)
        print(json.dumps(rows), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

    asyncio.run(main(Path(sys.argv[1]), *map(int, sys.argv[2:])))
"""
COMES_AND_GOES = """
    import asyncio, os, random, sys
    from pathlib import Path
    from anontrace.backend.store import Entry, Put, open_store

    async def main(folder, day):
        store = await open_store(folder)
        print("open", flush=True)
        while True:
            puts = [Put(os.urandom(16), b"v", Entry("q", 0.0, b"i")) for _ in range(random.randrange(1, 9))]
            await store.put_if_absent_many("t", puts, expires=1000)
            print(" ".join(put.key.hex() for put in puts), flush=True)
            await store.put_many(f"t{random.randrange(3)}", [(os.urandom(8), bytes(100))], expires=day)
            if random.random() < 0.1:
                day += 1
                await store.expire(day)
            if random.random() < 0.1:
                await store.scrub()
            taken = await store.take("q", 1.0, 5, 1e6)
            await store.done("q", [entry.id for entry in taken.entries])

    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
"""
HOLDS = """
    import sys
    from rocksdict import Options, Rdict
    from pathlib import Path
    from anontrace.backend.store.partitions import Partitions
    held = Partitions(Path(sys.argv[1])) if sys.argv[2] == "ours" else Rdict(sys.argv[1], Options(raw_mode=True))
    print("open", flush=True)
    sys.stdin.read()
"""


@dataclass(frozen=True)
class Killed:
    """A store whose process was killed, and what had been acknowledged."""

    folder: Path
    rows: dict[bytes, bytes]

    def file(self, pattern: str) -> Path:
        (path,) = self.folder.glob(pattern)
        return path


def held(folder: Path) -> dict[str, bytes | None]:
    """The files of a folder with what is in them (None: it is no file)."""
    return {path.name: path.read_bytes() if path.is_file() else None for path in folder.iterdir()}


def made(folder: Path, number: int, seed: int) -> Killed:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(WRITES), str(folder), str(number), str(seed)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    rows = {bytes.fromhex(key): bytes.fromhex(value) for key, value in json.loads(done.stdout).items()}
    return Killed(folder, rows)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    return made(tmp_path_factory.mktemp("killed") / "store", 100, seed=1)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    """Another store that had come further."""
    return made(tmp_path_factory.mktemp("other") / "store", 140, seed=2)


@pytest.fixture
def killed(template: Killed, tmp_path: Path) -> Killed:
    """In a folder whose name has the word that "lock" is in."""
    shutil.copytree(template.folder, tmp_path / "block-1" / "store")
    return Killed(tmp_path / "block-1" / "store", template.rows)


def within(folder: Path, body: Callable[[Store], object] | None = None) -> None:
    async def around() -> None:
        store = await open_store(folder)
        try:
            if body is not None:
                await body(store)  # type: ignore[misc]
        finally:
            await store.close()

    asyncio.run(around())


def assert_whole(killed: Killed) -> None:
    async def body(store: Store) -> None:
        keys = list(killed.rows)
        assert await store.get_many("t", keys) == list(killed.rows.values())
        assert len([row for half in range(2) for row in await store.bucket("t", 1, half)]) == len(keys)
        assert {entry.item for entry in (await store.take("q", 1.0, 1000, 1.0)).entries} == set(keys)

    within(killed.folder, body)


def assert_refused(folder: Path, *words: str) -> None:
    """At each start, by `check` and by a move too, and nothing is touched."""
    before = held(folder)
    for start in (within, within, try_folder, lambda folder: FolderSite.open(folder, make=True)):
        with pytest.raises(StoreError) as caught:
            start(folder)
        assert "another process" not in str(caught.value)
        for word in ("damaged", str(folder), *words):
            assert word in str(caught.value)
        assert held(folder) == before


def flipped(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(data)


def cut(path: Path, size: int) -> None:
    os.truncate(path, size)


def newest_sst(killed: Killed, column_family: str) -> Path:
    """The largest file that holds rows of a column family."""
    marked = [path for path in killed.folder.glob("*.sst") if column_family.encode() in path.read_bytes()]
    return max(marked, key=lambda path: path.stat().st_size)


def test_a_store_whose_process_was_killed_is_whole(killed: Killed) -> None:
    assert try_folder(killed.folder) is False
    assert_whole(killed)
    assert_whole(killed)


DAMAGE: dict[str, tuple[Callable[[Killed], object], str]] = {
    "no CURRENT": (lambda k: k.file("CURRENT").unlink(), "CURRENT"),
    "an empty CURRENT": (lambda k: cut(k.file("CURRENT"), 0), "CURRENT"),
    "a folder in place of CURRENT": (lambda k: (k.file("CURRENT").unlink(), (k.folder / "CURRENT").mkdir()), "CURRENT"),
    "another CURRENT": (lambda k: k.file("CURRENT").write_text("MANIFEST-000001\n"), "MANIFEST-000001 is missing"),
    "a CURRENT that names what is not there": (
        lambda k: k.file("CURRENT").write_text("MANIFEST-999999\n"),
        "MANIFEST-999999 is missing",
    ),
    "a pipe in place of the mark": (
        lambda k: ((k.folder / mark.FILE).unlink(), os.mkfifo(k.folder / mark.FILE)),
        "mark: damaged: it is no file",
    ),
    "no MANIFEST": (lambda k: k.file("MANIFEST-*").unlink(), "MANIFEST-"),
    "half a MANIFEST": (lambda k: cut(k.file("MANIFEST-*"), k.file("MANIFEST-*").stat().st_size // 2), "MANIFEST-"),
    "a MANIFEST that is one byte short": (
        lambda k: cut(k.file("MANIFEST-*"), k.file("MANIFEST-*").stat().st_size - 1),
        "MANIFEST-",
    ),
    "a bit in the MANIFEST": (lambda k: flipped(k.file("MANIFEST-*"), 4), "MANIFEST-"),
    "no IDENTITY": (lambda k: k.file("IDENTITY").unlink(), "IDENTITY"),
    "another IDENTITY": (lambda k: flipped(k.file("IDENTITY"), 3), "IDENTITY"),
    "no log": (lambda k: k.file("*.log").unlink(), "none is there"),
    "an empty log": (lambda k: cut(k.file("*.log"), 0), ".log"),
    "half a log": (lambda k: cut(k.file("*.log"), k.file("*.log").stat().st_size // 2), ".log"),
    "a log that is one byte short": (lambda k: cut(k.file("*.log"), k.file("*.log").stat().st_size - 1), ".log"),
    "a bit in the middle of the log": (lambda k: flipped(k.file("*.log"), k.file("*.log").stat().st_size // 2), ".log"),
    "a bit in the log's first length": (lambda k: flipped(k.file("*.log"), 5), ".log"),
    "no .sst": (lambda k: newest_sst(k, "@daily").unlink(), ".sst is missing; nothing was touched"),
    "an .sst that is one byte short": (
        lambda k: cut(newest_sst(k, "@daily"), newest_sst(k, "@daily").stat().st_size - 1),
        ".sst: Bad table magic number",
    ),
    "a bit in the footer of an .sst": (
        lambda k: flipped(newest_sst(k, "@daily"), newest_sst(k, "@daily").stat().st_size - 20),
        ".sst: Footer at",
    ),
    "no mark": (lambda k: (k.folder / mark.FILE).unlink(), mark.FILE),
    "an empty mark": (lambda k: cut(k.folder / mark.FILE, 0), mark.FILE),
    "half a mark": (lambda k: cut(k.folder / mark.FILE, 700), mark.FILE),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_said_at_each_start_with_its_file_and_nothing_is_touched(killed: Killed, name: str) -> None:
    spoil, told = DAMAGE[name]
    before = killed.folder.with_name("before")
    shutil.copytree(killed.folder, before)
    spoil(killed)
    assert_refused(killed.folder, told)
    shutil.rmtree(killed.folder)
    before.rename(killed.folder)  # whoever has what is missing puts it back
    assert_whole(killed)


@pytest.mark.parametrize("pattern", ["MANIFEST-*", "IDENTITY", "*.log", "largest.sst"])
def test_a_file_of_another_store_is_not_taken_for_one_of_this(killed: Killed, other: Killed, pattern: str) -> None:
    own = newest_sst(killed, "@daily") if "sst" in pattern else killed.file(pattern)
    foreign = newest_sst(other, "@daily") if "sst" in pattern else other.file(pattern)
    shutil.copy(foreign, own)
    assert_refused(killed.folder, own.suffix or own.stem[:8])


def test_a_file_of_a_store_that_has_the_same_in_it_is_not_taken_either(killed: Killed, tmp_path: Path) -> None:
    """RocksDB names it by its number only."""
    twin = made(tmp_path / "twin" / "store", 100, seed=1)
    own, foreign = newest_sst(killed, "@daily"), newest_sst(twin, "@daily")
    assert own.stat().st_size == foreign.stat().st_size
    shutil.copy(foreign, own)
    assert_refused(killed.folder, f"{own.name}: Mismatch in unique ID", "nothing was touched")


def test_a_log_of_another_store_that_lies_beside_is_not_read(killed: Killed, other: Killed) -> None:
    number = int(killed.file("*.log").stem)
    for beside in (number - 1, number + 100):
        path = killed.folder / f"{beside:06}.log"
        shutil.copy(other.file("*.log"), path)
        assert_refused(killed.folder, path.name)
        path.unlink()
    assert_whole(killed)


def test_a_log_that_ends_in_the_middle_of_what_was_not_acknowledged_is_no_damage(killed: Killed) -> None:
    with killed.file("*.log").open("ab") as file:
        file.write(os.urandom(4) + (500).to_bytes(2, "little") + b"\x01" + os.urandom(200))
    assert_whole(killed)


def test_what_lies_in_a_damaged_block_is_an_error_and_never_absent(killed: Killed) -> None:
    flipped(newest_sst(killed, "@daily"), 5000)

    async def body(store: Store) -> None:
        failed = 0
        for key, value in killed.rows.items():
            try:
                assert await store.get_many("t", [key]) == [value]
            except StoreError as error:
                assert "damaged" in str(error) and ".sst" in str(error)
                failed += 1
        assert 0 < failed < 100
        with pytest.raises(StoreError, match=r"damaged.*\.sst"):
            await store.get_many("t", list(killed.rows))
        with pytest.raises(StoreError, match=r"damaged.*\.sst"):
            [await store.bucket("t", 1, half) for half in range(2)]

    within(killed.folder, body)

    async def moved() -> None:
        site = FolderSite.open(killed.folder)
        with pytest.raises(StoreError, match=r"damaged.*\.sst"):
            await site.parts()
        await site.close()

    asyncio.run(moved())


def test_any_trace_of_a_store_keeps_another_from_being_made(killed: Killed, tmp_path: Path) -> None:
    files = held(killed.folder)
    for name in sorted({*files, "move.json", "notes.txt"} - {mark.FILE}):
        folder = tmp_path / name / "store"
        folder.mkdir(parents=True)
        (folder / name).write_bytes(files.get(name) or b"{}")
        with pytest.raises(StoreError):
            try_folder(folder)
        for _ in range(2):
            with pytest.raises(StoreError):
                within(folder)
        assert [path.name for path in folder.iterdir()] == [name]


def test_what_is_no_folder_or_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "away").symlink_to(tmp_path / "unmounted")
    (tmp_path / "loop").symlink_to("loop")
    for name, why in (("file", "no folder"), ("away", "unmounted, which is not there"), ("loop", "cannot be read")):
        for start in (try_folder, within):
            with pytest.raises(StoreError, match=why):
                start(tmp_path / name)
    assert not (tmp_path / "unmounted").exists()


def test_a_store_is_made_in_an_empty_folder_and_on_a_new_disk(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "disk" / "lost+found").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    for name in ("empty", "disk", "away", "link"):
        assert try_folder(tmp_path / name) is False
        within(tmp_path / name)
        assert (tmp_path / name / "CURRENT").exists()


@pytest.mark.parametrize("how", ["ours", "RocksDB's"])
def test_a_store_that_another_process_has_is_said_to_be_in_use(killed: Killed, how: str) -> None:
    if how == "RocksDB's":
        (killed.folder / "LOCK").touch()
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDS), str(killed.folder), how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        with pytest.raises(StoreError, match="another process has this store open"):
            within(killed.folder)
        assert try_folder(killed.folder) is True
    finally:
        process.kill()
        process.communicate()
    assert_whole(killed)


def test_a_store_of_version_0_1_is_opened_once_without_a_mark_and_has_one_then(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    options = Options(raw_mode=True)
    options.create_missing_column_families(True)
    old = Rdict(str(folder), options, column_families={name: Options(raw_mode=True) for name in ("queues", "t@5")})
    durably, batch = WriteOptions(), WriteBatch(raw_mode=True)
    durably.sync = True
    batch.put(b"key", b"value", old.get_column_family_handle("t@5"))
    old.write(batch, durably)
    old.close()
    assert try_folder(folder) is False
    assert not (folder / mark.FILE).exists()

    async def body(store: Store) -> None:
        assert await store.get_many("t", [b"key"]) == [b"value"]

    within(folder, body)
    (folder / mark.FILE).unlink()
    assert_refused(folder, f"{mark.FILE} is missing")


def test_a_store_that_was_killed_at_any_moment_is_whole(tmp_path: Path) -> None:
    """While it is made, written to, scrubbed, and days are dropped; what was acknowledged is there each time."""
    folder = tmp_path / "store"
    kept: set[bytes] = set()

    async def body(store: Store) -> None:
        assert None not in await store.get_many("t", sorted(kept))

    for number in range(12):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(COMES_AND_GOES), str(folder), str(100 * number % 1000)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        lines: list[str] = []
        for _ in range(random.choice([0, 1, 5, 60])):
            lines.append(process.stdout.readline())
            assert lines[-1], process.communicate()
        process.kill()
        rest, errors = process.communicate()
        assert errors == ""
        acknowledged = "".join([*lines, rest]).rpartition("\n")[0].split()
        kept |= {bytes.fromhex(key) for key in acknowledged if key != "open"}

        if number % 3 == 2:
            within(folder, body)
    assert kept


def test_a_store_whose_making_was_broken_off_is_made(killed: Killed, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    file = MarkFile.open(folder, make=True)
    file.write_through(Mark())
    file.close()
    for name in ("LOCK", "IDENTITY", "MANIFEST-*"):
        path = killed.file(name)
        shutil.copy(path, folder / path.name)
    assert try_folder(folder) is False
    within(folder)
    (folder / "CURRENT").unlink()
    assert_refused(folder, "CURRENT")


def test_a_mark_that_was_torn_is_the_one_before(tmp_path: Path) -> None:
    file = MarkFile.open(tmp_path, make=True)
    for number in range(1, 4):
        file.write_through(Mark(True, number, 7, 8, bytes(16), "an-id"))
    file.close()
    path = tmp_path / mark.FILE
    whole = path.read_bytes()

    def read() -> Mark | None:
        file = MarkFile.open(tmp_path, make=False)
        file.close()
        return file.mark

    assert read() == Mark(True, 3, 7, 8, bytes(16), "an-id")
    flipped(path, 2 * 512 + 30)
    assert read() == Mark(True, 2, 7, 8, bytes(16), "an-id")
    flipped(path, 512 + 30)
    flipped(path, 30)
    with pytest.raises(StoreError, match="damaged"):
        read()
    path.write_bytes(whole)
    assert read() is not None
