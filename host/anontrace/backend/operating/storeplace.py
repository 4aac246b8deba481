"""Where a server keeps its state: its own folder, or the cluster that the `store` line of server.toml names."""

import os
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import anontrace.backend.store as stores
from anontrace.backend import files
from anontrace.backend.config import FILE, Server
from anontrace.backend.errors import ConfigError, StoreError
from anontrace.backend.keys import keyfiles
from anontrace.backend.store import Store, address, moving, notes
from anontrace.backend.store.address import Cluster
from anontrace.backend.store.moving import LastLook, Moved, Progress, Site
from anontrace.wire import trust

FOLDER = "store"


async def open_store(server: Server) -> Store:
    """ConfigError or StoreError if it cannot be opened."""
    place = cluster(server)
    if place is not None and _is_left_behind(server):
        await try_store(server)
    return await stores.open_store(server.folder / FOLDER, place)


async def try_store(server: Server) -> bool:
    """Whether a process has the store in the server's folder open. ConfigError or StoreError if the store could not be
    opened, or would be empty although there is a state. Changes nothing."""
    place = cluster(server)
    folder = server.folder / FOLDER
    if place is None:
        is_open = stores.try_folder(folder)
        if not os.access(folder if folder.exists() else server.folder, os.W_OK | os.X_OK):
            raise ConfigError(f"{folder}: cannot be written to")
        return is_open
    if not await stores.try_cluster(place) and _is_left_behind(server):
        raise StoreError(
            f"the state is in {folder}, and this cluster is empty: remove the line `store`, then"
            f" `anontrace-server move {server.folder} --to ...`"
        )
    return False


def _is_left_behind(server: Server) -> bool:
    """Whether the folder holds a state that was not moved away."""
    folder = server.folder / FOLDER
    note = notes.read(folder)
    return stores.holds_trace(folder) and (note is None or note.state != "gone")


def cluster(server: Server) -> Cluster | None:
    """The cluster that holds the server's state, if one does, with what it takes to get in. ConfigError if a file that
    belongs to it is not right."""
    return None if server.config.store is None else _cluster(server, server.config.store)


def _cluster(server: Server, line: str) -> Cluster:
    config = server.config
    place = address.parse(line, config.name)
    user, password = keyfiles.read_login(server.folder) or (None, None)
    ca = None if place.ca_file is None else _certificates(server.folder / place.ca_file)
    buckets = {}
    if "nymserver" in config.roles:
        from anontrace.backend.nymserver import nyms  # no other server loads it

        buckets[nyms.TABLE] = config.nymserver.bucket_bits
    return replace(place, user=user, password=password, ca=ca, buckets=buckets)


async def move(server: Server, to: str | None, progress: Progress, last_look: LastLook) -> Moved:
    """Move the state of a server that does not run to where this `store` line names (None: its folder). ConfigError or
    StoreError says why that cannot be; `last_look` is as in moving.py."""
    folder, line = server.folder / FOLDER, server.config.store
    if to == line:
        raise ConfigError(f"{line or folder}: the state is there already, as {server.folder / FILE} says")
    old, new = (None if each is None else (each, _cluster(server, each)) for each in (line, to))
    async with AsyncExitStack() as stack:
        source = await _site(folder, old, make=False)
        stack.push_async_callback(source.close)
        target = await _site(folder, new, make=True)
        stack.push_async_callback(target.close)
        return await moving.move(source, target, progress, last_look)


async def _site(folder: Path, place: tuple[str, Cluster] | None, make: bool) -> Site:
    """Of the folder, or of the cluster that a line names."""
    from anontrace.backend.store.cluster_site import ClusterSite
    from anontrace.backend.store.folder_site import FolderSite

    if place is None:
        return FolderSite.open(folder, make)
    line, where = place
    return await ClusterSite.reach(where, line)


def _certificates(path: Path) -> str:
    try:
        return trust.checked_ca(files.read_text(path)[0])
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except ValueError:
        raise ConfigError(f"{path}: not certificates in PEM") from None
