"""Stores as version 0.1 left them: a column family for each table, or each day of one."""

import asyncio
import gc
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from anontrace.backend.errors import StoreError
from anontrace.backend.store import Store, open_store, queuerows
from anontrace.backend.store.partitions import DAILY, LASTING, Partitions
from rocksdict import Options, Rdict

KEYS = [os.urandom(32) for _ in range(2500)]
LAST_DAY = 20_045
ENTRY = os.urandom(queuerows.ID)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store of version 0.1."""
    rows = {
        "peers": {b"directory": b"signed"},
        queuerows.TABLE: {queuerows.key("send", ENTRY): queuerows.value(7.0, b"message")},
        "key-20000@20029": {b"secret": b"sealed", b"tag": b""},
        "nyms@20044": {KEYS[0]: b"old"},
        f"nyms@{LAST_DAY}": {key: key[:8] for key in KEYS[1:]},
        "mailboxes@20030": {},
    }
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.create_missing_column_families(True)
    folder = tmp_path / "store"
    database = Rdict(str(folder), options, column_families={name: Options(raw_mode=True) for name in rows})
    for name, held in rows.items():
        family = database.get_column_family(name)
        for key, value in held.items():
            family.put(key, value)
        if name != "peers":  # one is in the log alone
            family.flush()
    del family
    database.close()
    assert (folder / "LOG").stat().st_size
    return folder


def run(folder: Path, body: Callable[[Store], Awaitable[None]]) -> None:
    async def around() -> None:
        store = await open_store(folder)
        try:
            await body(store)
        finally:
            await store.close()

    asyncio.run(around())


async def is_whole(store: Store) -> None:
    """Everything is there, in its day."""
    assert await store.get_many("peers", [b"directory"]) == [b"signed"]
    assert await store.get_many("key-20000", [b"secret", b"tag", b"other"]) == [b"sealed", b"", None]
    assert await store.get_many("nyms", KEYS) == [b"old", *(key[:8] for key in KEYS[1:])]
    bucket = await store.bucket("nyms", 4, KEYS[1][0] >> 4)
    assert {key for key, _ in bucket} == {key for key in KEYS if key[0] >> 4 == KEYS[1][0] >> 4}
    assert await store.backlog() == {"send": 1}
    assert [entry.item for entry in (await store.take("send", 7.0, 9, 1.0)).entries] == [b"message"]


def families(folder: Path) -> set[str]:
    return set(Rdict.list_cf(str(folder), Options(raw_mode=True)))


def test_a_store_of_version_0_1_opens_with_all_that_it_holds(folder: Path) -> None:
    async def body(store: Store) -> None:
        await is_whole(store)
        assert not await store.compare_and_swap("nyms", KEYS[0], None, b"squat", LAST_DAY)
        await store.put_many("nyms", [(KEYS[0], b"old")], LAST_DAY)  # it stays with its day
        await store.delete_many("peers", [b"directory"])

    async def later(store: Store) -> None:
        assert await store.get_many("peers", [b"directory"]) == [None]
        await store.scrub()
        assert not list(folder.glob("LOG.old*")) and (folder / "LOG").stat().st_size == 0
        assert not [path.name for path in folder.iterdir() if b"signed" in path.read_bytes()]
        assert await store.expire(20_030) == 1
        assert await store.get_many("key-20000", [b"secret"]) == [None]
        assert await store.expire(20_045) == 1
        assert await store.get_many("nyms", KEYS[:2]) == [None, KEYS[1][:8]]

    run(folder, body)
    run(folder, later)
    assert families(folder) == {"default", LASTING, DAILY}


def test_taking_over_a_store_goes_on_where_it_was_broken_off(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, turns = Partitions._make, 0

    def broken_off(*about: object) -> object:
        nonlocal turns
        turns += 1
        if turns == 4:
            raise OSError("no room")
        return real(*about)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(Partitions, "_make", broken_off)
        with pytest.raises(StoreError, match="no room"):
            asyncio.run(open_store(folder))
    gc.collect()  # the error holds what holds the folder
    run(folder, is_whole)
