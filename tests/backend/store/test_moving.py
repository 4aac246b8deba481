"""A store's whole content moved to another place: folder to cluster, cluster to folder, and with another layout."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest
from anontrace.backend.errors import ConfigError, StoreError
from anontrace.backend.store import Entry, Store, notes, open_store
from anontrace.backend.store.cluster_site import ClusterSite
from anontrace.backend.store.folder_site import FolderSite
from anontrace.backend.store.moving import Moved, Site, move

from tests.backend.places import Place, SharedCluster, within

BUCKETS = {"nyms": 10}
DAYS = (100, 101, 130)
KEYS = [os.urandom(32) for _ in range(3000)]
LISTS = [os.urandom(16) for _ in range(40)]
BIG = os.urandom(700_000)
QUEUED = [("next", 1000.0 + i / 7, b"item %d" % i) for i in range(1200)] + [("next-2", 5.5, b"other"), ("n", 7.25, b"")]


@pytest.fixture(params=["folder-cluster", "cluster-folder", "cluster-cluster"])
def ways(request: pytest.FixtureRequest, redis_cluster: SharedCluster, tmp_path: Path) -> tuple[Place, Place]:
    """From where to where."""

    def place(kind: str, folder: Path, shards: int) -> Place:
        if kind == "folder":
            return Place(folder)
        return Place(folder, replace(redis_cluster.corner(), buckets=BUCKETS, shards=shards))

    source, target = request.param.split("-")
    return place(source, tmp_path / "one", 16), place(target, tmp_path / "two", 7)


async def site(place: Place, make: bool = False) -> Site:
    if place.cluster is None:
        return FolderSite.open(place.folder, make)
    return await ClusterSite.reach(place.cluster, "redis://there")


def moved(source: Place, target: Place, stop_at: str = "") -> Moved:
    """Move; `stop_at`: break off in the middle of this."""

    def progress(what: str, done: int, total: int) -> None:
        if what == stop_at and done > total // 3:
            raise InterruptedError

    async def both() -> Moved:
        first = await site(source)
        try:
            second = await site(target, make=True)
            try:
                return await move(first, second, progress, lambda: None)
            finally:
                await second.close()
        finally:
            await first.close()

    return asyncio.run(both())


async def fill(store: Store) -> None:
    for i, day in enumerate(DAYS):
        await store.put_many("nyms", [(key, key[::-1]) for key in KEYS[i::3]], expires=day)
    await store.put_many("plain", [(b"", b"empty key"), (b"k", b""), (b"big", BIG)])
    await store.append_many("boxes", [(key, b"%d" % i) for i in range(5) for key in LISTS], 9, expires=DAYS[1])
    await store.enqueue([Entry(*each) for each in QUEUED])


async def holds_all(store: Store) -> None:
    assert await store.get_many("nyms", KEYS) == [key[::-1] for key in KEYS]
    assert await store.get_many("plain", [b"", b"k", b"big", b"x"]) == [b"empty key", b"", BIG, None]
    assert await store.get_lists("boxes", LISTS) == [[b"%d" % i for i in range(5)]] * len(LISTS)
    index = int.from_bytes(KEYS[0][:4], "big") >> 22
    expected = {key for key in KEYS if int.from_bytes(key[:4], "big") >> 22 == index}
    assert {key for key, _ in await store.bucket("nyms", 10, index)} == expected
    assert await store.backlog() == {"next": 1200, "next-2": 1, "n": 1}
    taking = await store.take("next", 1050.0, 2000, 60.0)
    assert [entry.item for entry in taking.entries] == [item for _, due, item in QUEUED[:1200] if due <= 1050.0]
    assert taking.next_due == next(due for _, due, _ in QUEUED if due > 1050.0)
    assert [entry.item for entry in (await store.take("n", 7.25, 9, 60.0)).entries] == [b""]
    assert (await store.take("next-2", 5.4, 9, 60.0)).next_due == 5.5
    assert await store.expire(DAYS[2]) == 3
    assert [each is None for each in await store.get_many("nyms", KEYS)] == [i % 3 != 2 for i in range(len(KEYS))]


def test_all_is_moved_with_days_order_and_times(ways: tuple[Place, Place]) -> None:
    source, target = ways
    within(source, fill)
    done = moved(source, target)
    assert (done.rows, done.queued) == (len(KEYS) + 3 + len(LISTS), len(QUEUED))
    with pytest.raises(StoreError, match="moved away"):
        within(source, fill)
    assert moved(source, target).already
    within(target, holds_all)


@pytest.mark.parametrize("phase", ["copying", "comparing"])
def test_a_move_that_was_broken_off_goes_on_and_no_server_starts_from_its_half(
    ways: tuple[Place, Place], phase: str
) -> None:
    source, target = ways
    within(source, fill)
    with pytest.raises(InterruptedError):
        moved(source, target, stop_at=phase)
    with pytest.raises(StoreError, match="not been finished"):
        within(target, holds_all)
    moved(source, target)
    within(target, holds_all)


def test_what_changed_since_a_move_was_broken_off_counts(ways: tuple[Place, Place]) -> None:
    """The server ran once more in between: a value is another, a row and an entry of a queue are gone."""
    source, target = ways

    async def more(store: Store) -> None:
        await store.put_many("plain", [(b"late", b"1"), (b"k", b"2")])
        await store.delete_many("nyms", KEYS[:1])
        taking = await store.take("next", 1000.0, 1, 60.0)
        await store.done("next", [entry.id for entry in taking.entries])

    async def check(store: Store) -> None:
        assert await store.get_many("plain", [b"late", b"k"]) == [b"1", b"2"]
        assert await store.get_many("nyms", KEYS) == [None, *(key[::-1] for key in KEYS[1:])]
        assert (await store.backlog())["next"] == 1199

    within(source, fill)
    with pytest.raises(InterruptedError):
        moved(source, target, stop_at="comparing")
    within(source, more)
    moved(source, target)
    within(target, check)


def test_what_is_there_is_not_overwritten(ways: tuple[Place, Place], tmp_path: Path) -> None:
    source, target = ways
    within(source, fill)

    async def other(store: Store) -> None:
        await store.put_many("plain", [(b"k", b"mine")])

    within(target, other)
    with pytest.raises(StoreError, match="holds data already"):
        moved(source, target)

    async def untouched(store: Store) -> None:
        assert await store.get_many("plain", [b"k"]) == [b"mine"]
        assert await store.get_many("nyms", KEYS[:2]) == [None, None]

    within(target, untouched)
    third = Place(tmp_path / "third")
    with pytest.raises(InterruptedError):
        moved(source, third, stop_at="copying")
    with pytest.raises(StoreError, match="another store into it"):
        moved(target, third)
    moved(source, third)
    with pytest.raises(StoreError, match="was moved already"):
        moved(source, Place(tmp_path / "fourth"))
    within(third, holds_all)


def test_rows_that_change_meanwhile_are_noticed(tmp_path: Path, redis_cluster: SharedCluster) -> None:
    """A cluster has no lock: a worker that was forgotten writes while its state is copied."""
    source = Place(tmp_path, replace(redis_cluster.corner(), buckets=BUCKETS))
    within(source, fill)

    async def both() -> None:
        store = await open_store(source.folder, cluster=source.cluster)
        first, second = await site(source), FolderSite.open(tmp_path / "two", make=True)
        wrote: list[asyncio.Task[None]] = []

        def progress(what: str, done: int, total: int) -> None:
            if what == "comparing" and done == 0:
                wrote.append(asyncio.ensure_future(store.put_many("nyms", [(key, b"new") for key in KEYS])))

        try:
            with pytest.raises(StoreError, match="something else writes"):
                await move(first, second, progress, lambda: None)
            await wrote[0]
        finally:
            for each in (store, first, second):
                await each.close()

    asyncio.run(both())


def test_a_server_that_was_started_meanwhile_keeps_its_state(ways: tuple[Place, Place]) -> None:
    source, target = ways
    within(source, fill)

    def started() -> None:
        raise ConfigError("it runs")

    async def both() -> None:
        first, second = await site(source), await site(target, make=True)
        try:
            with pytest.raises(ConfigError, match="it runs"):
                await move(first, second, lambda *_: None, started)
        finally:
            await first.close()
            await second.close()

    asyncio.run(both())
    with pytest.raises(StoreError, match="not been finished"):
        within(target, holds_all)
    within(source, holds_all)


def test_a_folder_in_use_is_not_moved(tmp_path: Path) -> None:
    async def body(_: Store) -> None:
        with pytest.raises(StoreError, match="another process has this store open"):
            FolderSite.open(tmp_path / "db")

    within(Place(tmp_path / "db"), body)
    with pytest.raises(StoreError, match="no state to move"):
        FolderSite.open(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
    (tmp_path / "db" / notes.FILE).write_text('{"state": "odd"}')
    with pytest.raises(StoreError, match=r"move\.json: the note of a move is damaged"):
        within(Place(tmp_path / "db"), body)
