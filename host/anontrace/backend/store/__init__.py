"""Where servers keep state: one interface, and `open_store`, which picks the engine behind it."""

from pathlib import Path

from anontrace.backend.errors import StoreError

from . import notes
from .address import Cluster
from .interface import Entry, Put, Store, Taken, Taking

__all__ = ["Entry", "Put", "Store", "Taken", "Taking", "holds_trace", "open_store", "try_cluster", "try_folder"]


async def open_store(folder: Path, cluster: Cluster | None = None) -> Store:
    """The embedded store in a folder, made if that is empty or absent, or, if one is named, the one in a cluster.
    StoreError also if a move has left it unfinished, or has taken its state elsewhere."""
    if cluster is not None:
        from .cluster import ClusterStore

        return await ClusterStore.open(cluster)
    from .rocks import RocksStore

    _check_note(folder)
    return await RocksStore.open(folder)


def try_folder(folder: Path) -> bool:
    """Whether a process has the store in this folder open. StoreError if a move has left it unfinished, or has taken
    its state elsewhere, or if it is not whole. Changes nothing."""
    from . import soundness

    _check_note(folder)
    return soundness.try_folder(folder)


def holds_trace(folder: Path) -> bool:
    """Whether anything of a store lies in this folder. StoreError if that cannot be known."""
    from . import soundness

    return soundness.is_there(folder)


def _check_note(folder: Path) -> None:
    note = notes.read(folder)
    try:
        notes.check(note)
    except StoreError as error:
        raise StoreError(f"{folder}: {error}") from None


async def try_cluster(cluster: Cluster) -> bool:
    """Whether a server has ever kept its state there. StoreError if a store could not be opened. Changes nothing."""
    from .cluster import ClusterStore

    store = await ClusterStore.open(cluster, changes=False)
    try:
        return await store.is_laid_out()
    finally:
        await store.close()
