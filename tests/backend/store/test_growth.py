"""What a store keeps in memory stays as much, however long its process lives."""

import asyncio
import os
from dataclasses import replace

from anontrace.backend.store import Entry, Store
from anontrace.backend.store.cluster import ClusterStore
from anontrace.backend.store.links import Access
from anontrace.backend.store.queues import DelayQueues
from anontrace.backend.store.topology import Topology

from tests.backend.places import Place, SharedCluster


def test_leases_that_are_renewed_for_ever_leave_nothing_behind() -> None:
    queues = DelayQueues()
    for identity in (b"first", b"busy"):
        queues.add([("q", identity, 0.0)])
    for turn in range(5000):
        queues.again("q", [b"busy"], 1.0 + turn)  # all behind the one that waits at the head
    assert queues.lengths() == {"q": 2}
    assert len(queues._heaps["q"]) < 100
    assert queues.take("q", 0.5, 9, 1.0) == ([b"first"], 5000.0)
    assert queues.take("q", 5000.0, 9, 1.0) == ([b"first", b"busy"], None)


def test_nodes_that_come_and_go_in_a_cluster_are_let_go_of() -> None:
    async def body() -> None:
        seed = ("seed", 1)
        topology = Topology([seed], Access(None, None, None), 1)
        for number in range(300):
            master, replica = ([host.encode(), 1, b"id"] for host in (f"host-{number}", f"host-{number + 1}"))
            topology._take(seed, [[0, 16383, master, replica]])
            topology.seen += 1
            await topology._forget_gone()
        last = topology.master(0)
        assert last is not None and last.address == ("host-299", 1)
        assert len(topology._nodes) < 40
        assert len(asyncio.all_tasks()) < 100  # two links each, and this
        await topology.close()

    asyncio.run(body())


def test_a_cluster_has_no_more_names_on_day_60_than_on_day_6(redis_cluster: SharedCluster) -> None:
    keys = [os.urandom(32) for _ in range(50)]

    async def body() -> None:
        place = Place(redis_cluster.folder, replace(redis_cluster.corner(), buckets={"nyms": 8}))
        assert place.cluster is not None
        store = await place.open()
        names = []
        for day in range(60):
            await store.expire(day)
            for table in ("nyms", "mailboxes", f"key-{day}"):
                await store.put_many(table, [(key, b"v") for key in keys], expires=day + 3)
                await store.delete_many(table, keys[:25])
                await store.put_many(table, [(key, b"v") for key in keys[:10]], expires=day + 4)
            for queue in ("q", f"q-{day}"):
                await store.enqueue([Entry(queue, 0.0, b"x")])
                taken = (await store.take(queue, 1.0, 9, 1.0)).entries
                await store.done(queue, [each.id for each in taken])
            for each in keys[25:]:
                await store.delete_many("nyms", [each])
            names.append(len(redis_cluster.names(place.cluster.prefix)))
        assert names[-1] <= max(names[:7])
        await store.close()

    asyncio.run(body())


def test_entries_that_another_worker_has_taken_over_are_not_kept_in_mind(redis_cluster: SharedCluster) -> None:
    async def body() -> None:
        place = Place(redis_cluster.folder, redis_cluster.corner())
        one: Store = await place.open()
        other: Store = await place.open()
        assert isinstance(one, ClusterStore)
        for turn in range(20):
            await one.enqueue([Entry("q", 0.0, b"x")])
            assert len((await one.take("q", 10.0 * turn, 1, 5.0)).entries) == 1
            taken = (await other.take("q", 10.0 * turn + 5.0, 1, 5.0)).entries  # its lease has run out
            await other.done("q", [each.id for each in taken])
        assert len(one._leases) == 1
        await one.close()
        await other.close()

    asyncio.run(body())
