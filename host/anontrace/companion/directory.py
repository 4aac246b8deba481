"""The directory of servers: fetched from discovery, verified against the pinned keys, kept for the next command.

A directory that contradicts the one seen before, or is not shown to continue it, is refused (docs/protocol.md, section
10). When discovery cannot be reached, the kept one serves as long as its key lists are in force.
"""

from anontrace_shared.errors import AnontraceError

from anontrace import clock
from anontrace.companion.client import Client
from anontrace.companion.errors import DirectoryError, OfflineError, RefusedError
from anontrace.companion.output import warn
from anontrace.companion.store.network import NetworkStore, StoredDirectory
from anontrace.mixnet.keydays import day_at
from anontrace.wire import directory
from anontrace.wire.directory import Directory, Seen
from anontrace.wire.keylist import KeyList
from anontrace.wire.network import Network

FRESH_SECONDS = 3600  # and no longer than the day, since the mixes change their keys with it


def key_lists(
    store: NetworkStore, network: Network, client: Client, fresh_seconds: int = FRESH_SECONDS
) -> dict[int, KeyList]:
    """The key lists in force, by mix number. Raises DirectoryError, or OfflineError when there is none at all."""
    stored = store.directory()
    kept = None if stored is None else _kept(stored, network)
    if kept is not None and stored is not None and _is_fresh(stored, fresh_seconds):
        lists = _usable(kept, network)
        if lists.keys() == network.pins.keys():  # otherwise a newer one may have what is missing
            return lists
    try:
        text, found = _newest(network, client, None if kept is None else kept.seen)
    except OfflineError:
        lists = {} if kept is None else _usable(kept, network)
        if kept is None or not lists:
            raise
        _warn_of_age(kept, "discovery does not answer")
        return lists
    lists = _usable(found, network)
    if not lists:
        raise DirectoryError("the directory holds no key list that is in force; is this computer's clock right?")
    store.put_directory(StoredDirectory(found.seen.sequence, text, int(clock.now())))
    _warn_of_age(found, "discovery may be keeping newer ones back, or this computer's clock is wrong")
    return lists


def shown(store: NetworkStore, network: Network) -> str | None:
    """Which directory was believed last, for people to compare; None if none is kept."""
    stored = store.directory()
    kept = None if stored is None else _kept(stored, network)
    return None if kept is None else kept.seen.shown


def _is_fresh(kept: StoredDirectory, fresh_seconds: int) -> bool:
    now = clock.now()
    return 0 <= now - kept.fetched < fresh_seconds and day_at(now) == day_at(kept.fetched)


def _kept(stored: StoredDirectory, network: Network) -> Directory | None:
    """The directory seen last; None if an older companion wrote it in a way of its own."""
    try:
        return directory.verify(directory.read(stored.document), network.discovery.key)
    except AnontraceError:
        return None


def _newest(network: Network, client: Client, seen: Seen | None) -> tuple[str, Directory]:
    """What discovery serves now, as text too, if it continues what was seen."""
    url = f"{network.discovery.url}/v1/directory"
    text = client.get("discovery", url).decode("utf-8", "replace")
    now = clock.now()
    try:
        found = directory.verify(directory.read(text), network.discovery.key)
        heads: list[str] = []
        for page in directory.pages(seen, found, now):
            heads += directory.read_page(client.get("discovery", f"{url}/chain/{page}"))
        checked = directory.follow(seen, found, heads, now)
    except (AnontraceError, RefusedError) as error:
        raise DirectoryError(f"discovery's directory cannot be trusted: {error}") from error
    if not checked:
        warn(
            f"the last directory was fetched more than {directory.KEPT_DAYS} days ago; whether discovery's history is"
            " still the same cannot be checked, and the new one is trusted by its signature alone"
        )
    return text, found


def _usable(found: Directory, network: Network) -> dict[int, KeyList]:
    return directory.usable(found, network.pins, clock.now()).lists


def _warn_of_age(found: Directory, why: str) -> None:
    hours = (clock.now() - found.head.issued) / 3600
    if hours > directory.OLD_SECONDS / 3600:
        warn(f"the directory of servers is {hours:.0f} hours old; {why}")
