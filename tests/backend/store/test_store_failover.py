"""The cluster store while its nodes die: nothing that was acknowledged is lost, and it goes on by itself."""

import asyncio
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from anontrace.backend.errors import StoreError
from anontrace.backend.store import Entry, Put, Store

from tests.backend.places import Place, SharedCluster
from tests.patience import HANG_SECONDS
from tools.redis_cluster import NODE_TIMEOUT

TABLE, QUEUE = "once", "q"


@pytest.fixture
def mortal(redis_cluster: SharedCluster) -> Iterator[SharedCluster]:
    """The cluster, which soon sees that a node is dead, and is whole again afterwards."""
    redis_cluster.set_node_timeout(0.5)
    yield redis_cluster
    redis_cluster.heal()
    redis_cluster.set_node_timeout(NODE_TIMEOUT)


@pytest.fixture
def patient(redis_cluster: SharedCluster) -> Iterator[SharedCluster]:
    """The cluster, which gives up no node within the time of a test."""
    redis_cluster.set_node_timeout(120.0)
    yield redis_cluster
    redis_cluster.heal()
    redis_cluster.set_node_timeout(NODE_TIMEOUT)


class Writer:
    """Writes without end, and keeps what was acknowledged. What was refused is tried again under another key."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.acknowledged: list[bytes] = []
        self.refused = 0

    async def run(self) -> None:
        while True:
            keys = [os.urandom(16) for _ in range(8)]
            try:
                puts = [Put(key, b"v", Entry(QUEUE, 0.0, key)) for key in keys]
                assert all(await self._store.put_if_absent_many(TABLE, puts, expires=5))
                assert await self._store.append_many("lists", [(keys[0][:1], key) for key in keys], 1 << 20, 5)
                self.acknowledged += keys
            except StoreError:
                self.refused += 1

    async def more(self, number: int) -> None:
        """Until so many more were acknowledged."""
        target = len(self.acknowledged) + number
        async with asyncio.timeout(HANG_SECONDS):
            while len(self.acknowledged) < target:
                await asyncio.sleep(0.01)


async def assert_all_there(store: Store, keys: list[bytes]) -> None:
    for at in range(0, len(keys), 500):
        assert None not in await store.get_many(TABLE, keys[at : at + 500])
    listed = await store.get_lists("lists", [bytes([first]) for first in range(256)])
    assert set(keys) <= {element for each in listed for element in each}
    queued: set[bytes] = set()
    while taken := (await store.take(QUEUE, 1.0, 500, 1e6)).entries:
        queued |= {entry.item for entry in taken}
    assert set(keys) <= queued


def test_what_was_acknowledged_survives_the_death_of_any_master(mortal: SharedCluster, tmp_path: Path) -> None:
    place = Place(tmp_path, mortal.corner())

    async def body() -> None:
        store = await place.open()
        writers = [Writer(store) for _ in range(4)]
        tasks = [asyncio.create_task(writer.run()) for writer in writers]
        for _ in range(2):
            await writers[0].more(40)
            (victim,) = (await asyncio.to_thread(mortal.masters))[:1]
            await asyncio.to_thread(mortal.kill, victim)
            # Eight keys a call on sixteen shards: no call succeeds for long without every part of the cluster.
            await writers[0].more(200)
            await asyncio.to_thread(mortal.heal)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await assert_all_there(store, [key for writer in writers for key in writer.acknowledged])
        await store.close()

    asyncio.run(body())


def test_nothing_is_acknowledged_that_only_one_node_has(patient: SharedCluster, tmp_path: Path) -> None:
    place = Place(tmp_path, replace(patient.corner(), shards=1))

    async def body() -> None:
        store = await place.open()
        await store.put_many("t", [(b"before", b"1")])
        patient.freeze_replicas()
        writing = asyncio.create_task(store.put_many("t", [(b"k", b"v")]))
        done, _ = await asyncio.wait([writing], timeout=1.0)
        assert not done
        assert await store.get_many("t", [b"before"]) == [b"1"]
        patient.thaw_replicas()
        async with asyncio.timeout(HANG_SECONDS):
            await writing
        assert await store.get_many("t", [b"k"]) == [b"v"]
        await store.close()

    asyncio.run(body())


def test_a_store_that_lost_its_whole_cluster_says_so_and_comes_back_with_it(
    mortal: SharedCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path, mortal.corner())

    async def body() -> None:
        store = await place.open()
        await store.put_many("t", [(b"k", b"v")], expires=3)
        nodes = range(len(mortal.ports))
        for node in nodes:
            await asyncio.to_thread(mortal.kill, node)
        with monkeypatch.context() as impatient:
            impatient.setattr("anontrace.backend.store.cluster._PATIENCE", 0.5)
            with pytest.raises(StoreError):
                await store.put_many("t", [(b"l", b"w")])
        with pytest.raises(StoreError):
            await place.open()
        await asyncio.to_thread(mortal.heal)
        assert await store.get_many("t", [b"k"]) == [b"v"]
        await store.put_many("t", [(b"l", b"w")])
        await store.close()

    asyncio.run(body())
