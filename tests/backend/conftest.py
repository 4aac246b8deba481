"""One network of real servers for all tests that do not disturb it beyond repair."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.redis import MissingRedis

from .client import Client
from .places import Place, SharedCluster
from .servers import Servers

STEADY = ("discovery", "mix-1", "mix-2", "nymserver", "mailbox", "authority")
SLOW = ("mix-3",)


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Six servers in one process; mix-3, which holds messages for a second, in another. The nymserver takes what was
    deleted out of its files twice a second."""
    servers = Servers(tmp_path_factory.mktemp("network") / "net", "--delay", "0.02", "--pace", "0.01")
    try:
        servers.configure("mix-3", "delay = 0.02", "delay = 1.0")
        servers.configure("nymserver", "network =", "scrub_seconds = 0.5\nnetwork =")
        servers.start_apart(STEADY, SLOW)
        servers.ready((*STEADY, *SLOW))
        yield Client(servers)
    finally:
        servers.close()


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedCluster]:
    """Three masters and three replicas, for tests that do not kill any."""
    try:
        cluster = SharedCluster(tmp_path_factory.mktemp("redis"))
    except MissingRedis as error:
        pytest.skip(str(error))
    yield cluster
    cluster.close()


@pytest.fixture(params=["folder", "cluster"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where a test's store is: a folder, or a corner of its own of the six-node cluster."""
    if request.param == "folder":
        return Place(tmp_path / "db")
    return Place(tmp_path / "db", request.getfixturevalue("redis_cluster").corner())
