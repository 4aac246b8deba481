"""Reads and commits of the embedded store serve many at once, and none of them harms or delays another."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from anontrace.backend.errors import StoreError
from anontrace.backend.store import Store
from anontrace.backend.store.partitions import Partition, Partitions
from anontrace.backend.store.reads import FEW, Reads

from tests.backend.places import Place, within


def reading(
    read: Callable[[str, Sequence[bytes]], list[bytes | None]], body: Callable[[Reads], Awaitable[None]]
) -> None:
    async def run() -> None:
        with ThreadPoolExecutor(2) as threads:
            await body(Reads(threads, read))

    asyncio.run(run())


def test_what_is_asked_for_at_once_is_read_at_once_and_answered_to_whoever_asked() -> None:
    calls: list[tuple[str, list[bytes]]] = []

    def read(table: str, keys: Sequence[bytes]) -> list[bytes | None]:
        calls.append((table, list(keys)))
        return [key.upper() for key in keys]

    async def body(reads: Reads) -> None:
        answers = await asyncio.gather(
            reads.get("t", [b"a", b"b"]), reads.get("u", [b"c"]), reads.get("t", [b"d"]), reads.get("t", [])
        )
        assert answers == [[b"A", b"B"], [b"C"], [b"D"], []]

    reading(read, body)
    assert calls == [("t", [b"a", b"b", b"d"]), ("u", [b"c"])]


def test_a_key_that_cannot_be_read_is_an_error_for_those_who_asked_for_it() -> None:
    def read(_: str, keys: Sequence[bytes]) -> list[bytes | None]:
        if b"damaged" in keys:
            raise OSError("damaged")
        return list(keys)

    async def body(reads: Reads) -> None:
        wanted = [reads.get("t", [key]) for key in (b"a", b"damaged", b"b")]
        found = await asyncio.gather(*wanted, return_exceptions=True)
        assert found[0] == [b"a"] and found[2] == [b"b"]
        assert isinstance(found[1], StoreError)

    reading(read, body)


def test_who_asks_for_little_does_not_wait_for_who_asks_for_much() -> None:
    slow = threading.Event()

    def read(_: str, keys: Sequence[bytes]) -> list[bytes | None]:
        if len(keys) > FEW:
            assert slow.wait(30)
        return list(keys)

    async def body(reads: Reads) -> None:
        much = reads.get("t", [b"k"] * (FEW + 1))
        assert await asyncio.wait_for(reads.get("t", [b"k"]), 20) == [b"k"]
        assert not much.done()
        slow.set()
        assert len(await much) == FEW + 1

    reading(read, body)


def test_who_has_gone_away_is_not_read_for_and_the_next_still_is() -> None:
    asked: list[bytes] = []

    def read(_: str, keys: Sequence[bytes]) -> list[bytes | None]:
        asked.extend(keys)
        return list(keys)

    async def body(reads: Reads) -> None:
        gone, stays = reads.get("t", [b"gone"]), reads.get("t", [b"stays"])
        gone.cancel()
        assert await stays == [b"stays"]
        assert await reads.get("t", [b"next"]) == [b"next"]

    reading(read, body)
    assert asked == [b"stays", b"next"]


def test_a_store_that_is_closed_says_so_to_readers(tmp_path: Path) -> None:
    async def body() -> None:
        store = await Place(tmp_path / "db").open()
        await store.close()
        for keys in ([b"k"], [b"k"] * (FEW + 1)):
            with pytest.raises(StoreError):
                await store.get_many("t", keys)

    asyncio.run(body())


def test_the_swaps_of_one_commit_are_looked_up_by_one_read_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []
    held, get_many, find_one = threading.Event(), Partition.get_many, Partitions.find_one

    def many(self: Partition, keys: Sequence[bytes]) -> list[bytes | None]:
        reads.append(len(keys))
        assert held.wait(30)
        return get_many(self, keys)

    def one(self: Partitions, table: str, key: bytes) -> tuple[Partition, bytes] | None:
        reads.append(1)
        assert held.wait(30)
        return find_one(self, table, key)

    async def body(store: Store) -> None:
        await store.put_many("t", [(b"%02d" % i, b"old") for i in range(50)], expires=9)
        reads.clear()
        held.clear()
        first = asyncio.ensure_future(store.compare_and_swap("t", b"00", b"old", b"new"))
        while not reads:  # the writing thread is busy; what comes now is one commit
            await asyncio.sleep(0.001)
        others = [asyncio.ensure_future(store.compare_and_swap("t", b"%02d" % i, b"old", b"new")) for i in range(1, 50)]
        again = asyncio.ensure_future(store.compare_and_swap("t", b"07", b"new", b"newer"))  # sees the one before it
        await asyncio.sleep(0)
        held.set()
        assert all(await asyncio.gather(first, *others, again))
        assert reads == [1, 49]
        assert await store.get_many("t", [b"06", b"07"]) == [b"new", b"newer"]

    held.set()
    monkeypatch.setattr(Partition, "get_many", many)
    monkeypatch.setattr(Partitions, "find_one", one)
    within(Place(tmp_path / "db"), body)
