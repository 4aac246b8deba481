"""Where the stores of tests are: in folders, and in corners of a real six-node Redis Cluster."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from anontrace.backend.store import Store, address, open_store
from anontrace.backend.store.address import Cluster

from tools.redis_cluster import RedisCluster


@dataclass(frozen=True)
class Place:
    """A folder, or, if `cluster` is given, a part of a cluster."""

    folder: Path
    cluster: Cluster | None = None

    async def open(self, buckets: Mapping[str, int] | None = None) -> Store:
        cluster = self.cluster
        if cluster is not None and buckets is not None:
            cluster = replace(cluster, buckets=buckets)
        return await open_store(self.folder, cluster=cluster)


def within(place: Place, body: Callable[[Store], Awaitable[None]]) -> None:
    """Run a piece of test against the store in a place, opened and closed around it."""

    async def around() -> None:
        store = await place.open()
        try:
            await body(store)
        finally:
            await store.close()

    asyncio.run(around())


class SharedCluster(RedisCluster):
    """A cluster in which many tests have a corner each, by a prefix of their own."""

    def corner(self) -> Cluster:
        """A place that nobody else uses."""
        return replace(address.parse(self.url, f"test-{os.urandom(8).hex()}"), password=self.password)
