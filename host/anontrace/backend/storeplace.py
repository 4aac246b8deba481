"""Where a server keeps its state: its own folder, or the cluster that the `store` line of server.toml names."""

from dataclasses import replace
from pathlib import Path

import anontrace.backend.store as stores
from anontrace import clock
from anontrace.wire import trust

from . import keyfiles
from .config import Server
from .errors import ConfigError
from .mix import keys as mix_keys
from .nymserver.nyms import TABLE as NYMS
from .store import Store, address
from .store.address import Cluster

FOLDER = "store"


async def open_store(server: Server) -> Store:
    """ConfigError or StoreError if it cannot be opened."""
    expected = mix_keys.partitions(clock.now()) if server.config.is_mix else []
    return await stores.open_store(server.folder / FOLDER, expected, cluster(server))


def cluster(server: Server) -> Cluster | None:
    """The cluster that holds the server's state, if one does, with what it takes to get in. ConfigError if a file that
    belongs to it is not right."""
    config = server.config
    if config.store is None:
        return None
    place = address.parse(config.store, config.name)
    user, password = keyfiles.read_login(server.folder) or (None, None)
    ca = None if place.ca_file is None else _certificates(server.folder / place.ca_file)
    buckets = {NYMS: config.nymserver.bucket_bits} if "nymserver" in config.roles else {}
    return replace(place, user=user, password=password, ca=ca, buckets=buckets)


def _certificates(path: Path) -> str:
    try:
        return trust.checked_ca(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise ConfigError(f"{path}: not certificates in PEM") from None
