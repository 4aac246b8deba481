"""Where a server keeps its state: its own folder, or the cluster that the `store` line of server.toml names."""

from dataclasses import replace

import anontrace.backend.store as stores
from anontrace import clock

from . import keyfiles
from .config import Server
from .mix import keys as mix_keys
from .nymserver.nyms import TABLE as NYMS
from .store import Store, address
from .store.address import Cluster

FOLDER = "store"


async def open_store(server: Server) -> Store:
    """ConfigError or StoreError if it cannot be opened."""
    expected = mix_keys.partitions(clock.now()) if server.config.is_mix else []
    return await stores.open_store(server.folder / FOLDER, expected, _cluster(server))


def _cluster(server: Server) -> Cluster | None:
    config = server.config
    if config.store is None:
        return None
    has_password = (server.folder / keyfiles.STORE).exists()
    password = keyfiles.read(server.folder, keyfiles.STORE).hex() if has_password else None
    buckets = {NYMS: config.nymserver.bucket_bits} if "nymserver" in config.roles else {}
    return replace(address.parse(config.store, config.name), password=password, buckets=buckets)
