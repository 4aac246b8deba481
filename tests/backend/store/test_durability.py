"""A cluster whose nodes, replicas too, are set to lose what they acknowledge: said with the node and the setting."""

import asyncio
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from anontrace.backend.errors import StoreError
from anontrace.backend.store import Put, Store, try_cluster

from tests.backend.places import Place, SharedCluster

PATIENCE = 60.0
RIGHT = {
    "maxmemory-policy": "noeviction",
    "appendonly": "yes",
    "appendfsync": "always",
    "no-appendfsync-on-rewrite": "no",
}
MASTER, REPLICA = "master", "replica"


@pytest.fixture
def cluster(redis_cluster: SharedCluster) -> Iterator[SharedCluster]:
    """The cluster, set right again afterwards."""
    yield redis_cluster
    for name, value in RIGHT.items():
        redis_cluster.ask_all("CONFIG", "SET", name, value)
    redis_cluster.wait_until_copied()


def node_of(cluster: SharedCluster, role: str) -> int:
    masters = cluster.masters()
    return masters[-1] if role == MASTER else next(n for n in range(len(cluster.ports)) if n not in masters)


def set_one(cluster: SharedCluster, node: int, name: str, value: str) -> None:
    with cluster.client(node) as client:
        client.config_set(name, value)


@pytest.mark.parametrize("role", [MASTER, REPLICA])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("maxmemory-policy", "allkeys-lru"),
        ("appendonly", "no"),
        ("appendfsync", "no"),
        ("appendfsync", "everysec"),
        ("no-appendfsync-on-rewrite", "yes"),
    ],
)
def test_a_node_that_is_set_to_lose_data_is_refused(
    cluster: SharedCluster, tmp_path: Path, role: str, name: str, value: str
) -> None:
    place = Place(tmp_path, cluster.corner())
    assert place.cluster is not None
    node = node_of(cluster, role)
    set_one(cluster, node, name, value)
    told = rf"^127\.0\.0\.1:{cluster.ports[node]}: {name} is {value}: .*; set (noeviction|{name} {RIGHT[name]})$"
    for _ in range(2):
        with pytest.raises(StoreError, match=told):
            asyncio.run(place.open())
    with pytest.raises(StoreError, match=told):
        asyncio.run(try_cluster(place.cluster))
    set_one(cluster, node, name, RIGHT[name])
    assert asyncio.run(try_cluster(place.cluster)) is False


async def until(store: Store, refused: bool) -> str:
    """Write until it is refused, or is not any more; why it was."""
    async with asyncio.timeout(PATIENCE):
        while True:
            why = ""
            try:
                await store.put_if_absent_many("t", [Put(os.urandom(16), b"v") for _ in range(64)])
            except StoreError as error:
                why = str(error)
            if bool(why) == refused:
                return why
            await asyncio.sleep(0.05)


async def until_said(caplog: pytest.LogCaptureFixture, what: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while not any(what in each for each in caplog.messages):
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("role", [MASTER, REPLICA])
def test_a_node_whose_setting_is_changed_later_is_seen_and_all_goes_on_when_it_is_put_right(
    cluster: SharedCluster, tmp_path: Path, caplog: pytest.LogCaptureFixture, role: str
) -> None:
    place = Place(tmp_path, cluster.corner())
    node = node_of(cluster, role)

    async def body() -> None:
        store = await place.open()
        await until(store, refused=False)
        await asyncio.to_thread(set_one, cluster, node, "appendfsync", "no")
        assert store.fault is None
        assert f":{cluster.ports[node]}: appendfsync is no: " in await until(store, refused=True)
        await until_said(caplog, "appendfsync is no: ")
        assert store.fault is not None and "appendfsync is no: " in store.fault
        with pytest.raises(StoreError, match="appendfsync"):
            await store.get_many("t", [b"k"])
        await asyncio.to_thread(set_one, cluster, node, "appendfsync", "always")
        await until(store, refused=False)
        await until_said(caplog, "the cluster is right again")
        assert store.fault is None
        await store.close()

    asyncio.run(body())


def test_a_replica_that_comes_back_with_another_setting_is_seen(cluster: SharedCluster, tmp_path: Path) -> None:
    place = Place(tmp_path, cluster.corner())
    node = node_of(cluster, REPLICA)

    async def body() -> None:
        store = await place.open()
        await asyncio.to_thread(cluster.kill, node)
        await until(store, refused=False)
        await asyncio.to_thread(cluster.start, node)
        await asyncio.to_thread(set_one, cluster, node, "maxmemory-policy", "allkeys-random")
        assert f":{cluster.ports[node]}: maxmemory-policy is allkeys-random" in await until(store, refused=True)
        await asyncio.to_thread(set_one, cluster, node, "maxmemory-policy", "noeviction")
        await until(store, refused=False)
        await store.close()

    asyncio.run(body())


def test_nothing_is_acknowledged_by_a_master_that_was_connected_to_anew_and_not_asked(
    cluster: SharedCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anontrace.backend.store.cluster._LOOK_SECONDS", 1e6)  # it is seen by the write itself
    place = Place(tmp_path, replace(cluster.corner(), shards=64))
    node = node_of(cluster, MASTER)

    def restarted() -> None:
        with cluster.client(node) as client:
            client.config_set("appendfsync", "no")
            client.client_kill_filter(_type="normal", skipme=True)

    async def body() -> None:
        store = await place.open()
        await until(store, refused=False)
        await asyncio.to_thread(restarted)
        failed = 0
        for key in range(64):
            try:
                await store.put_many("t", [(b"%d" % key, b"v")])
            except StoreError:
                failed += 1
        assert failed >= 5  # all after the first that went to that master
        with pytest.raises(StoreError, match="appendfsync is no"):
            await store.put_many("t", [(b"last", b"v")])
        await store.close()

    asyncio.run(body())


@pytest.mark.parametrize("shard", [0, 5])
def test_a_cluster_that_came_back_without_a_part_of_its_data_is_not_laid_out_anew(
    cluster: SharedCluster, tmp_path: Path, shard: int
) -> None:
    place = Place(tmp_path, cluster.corner())
    assert place.cluster is not None
    prefix = place.cluster.prefix

    async def body() -> None:
        store = await place.open()
        await store.put_many("t", [(os.urandom(8), b"v") for _ in range(64)])
        await store.close()

    asyncio.run(body())
    asyncio.run(body())
    for node in cluster.masters():
        with cluster.client(node) as client:
            for name in client.scan_iter(match=f"{{{prefix}.{shard}}}:*"):
                client.unlink(name)
    for _ in range(2):
        with pytest.raises(StoreError, match=rf"has lost what it held under \{{{prefix}\.{shard}\}}"):
            asyncio.run(place.open())
    with pytest.raises(StoreError, match="has lost"):
        asyncio.run(try_cluster(place.cluster))


def test_a_cluster_of_version_0_1_is_laid_out_in_all_its_shards_from_then_on(
    cluster: SharedCluster, tmp_path: Path
) -> None:
    place = Place(tmp_path, cluster.corner())
    assert place.cluster is not None

    async def opened() -> None:
        await (await place.open()).close()

    asyncio.run(opened())
    layouts = [name for name in cluster.names(place.cluster.prefix) if name.endswith(b":layout")]
    assert len(layouts) == place.cluster.shards
    for node in cluster.masters():
        with cluster.client(node) as client:
            for name in client.scan_iter(match=f"{{{place.cluster.prefix}.*"):
                if b".0}" in name:
                    client.hdel(name, "whole")
                else:
                    client.unlink(name)
    asyncio.run(opened())
    found = [name for name in cluster.names(place.cluster.prefix) if name.endswith(b":layout")]
    assert sorted(found) == sorted(layouts)


def test_a_user_who_may_not_ask_is_told_what_is_wanting(cluster: SharedCluster, tmp_path: Path) -> None:
    rights = ("on", ">secret", "~*", "&*", "+@all", "-@dangerous", "+info", "+cluster|slots")
    cluster.ask_all("ACL", "SETUSER", "anontrace", "reset", *rights)
    place = Place(tmp_path, replace(cluster.corner(), user="anontrace", password="secret"))
    with pytest.raises(StoreError, match=r"ACL SETUSER anontrace \+config\|get$"):
        asyncio.run(place.open())
    cluster.ask_all("ACL", "SETUSER", "anontrace", "+config|get")

    async def body() -> None:
        store = await place.open()
        await store.put_many("t", [(b"k", b"v")])
        assert await store.get_many("t", [b"k"]) == [b"v"]
        await store.close()

    asyncio.run(body())
    cluster.ask_all("ACL", "DELUSER", "anontrace")
