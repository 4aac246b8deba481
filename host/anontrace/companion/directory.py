"""The directory of servers: fetched from discovery, verified against the pinned keys, kept for the next command.

A directory that contradicts the one seen before is refused (docs/protocol.md, section 10). When discovery cannot be
reached, the kept one serves as long as its key lists are in force.
"""

from anontrace_shared.errors import AnontraceError

from anontrace import clock
from anontrace.companion.client import Client
from anontrace.companion.errors import DirectoryError, OfflineError
from anontrace.companion.store.network import NetworkStore, StoredDirectory
from anontrace.mixnet.keydays import day_at
from anontrace.wire import directory, signed
from anontrace.wire.keylist import KeyList
from anontrace.wire.network import Network

FRESH_SECONDS = 3600  # and no longer than the day, since the mixes change their keys with it


def key_lists(
    store: NetworkStore, network: Network, client: Client, fresh_seconds: int = FRESH_SECONDS
) -> dict[int, KeyList]:
    """The key lists in force, by mix number. Raises DirectoryError, or OfflineError when there is none at all."""
    kept = store.directory()
    if kept is not None and _is_fresh(kept, fresh_seconds):
        lists = _read(kept.document, network, None)[0]
        if lists.keys() == network.pins.keys():  # otherwise a newer one may have what is missing
            return lists
    try:
        text = client.get("discovery", f"{network.discovery.url}/v1/directory").decode("utf-8", "replace")
    except OfflineError:
        lists = _read(kept.document, network, None)[0] if kept is not None else {}
        if lists:
            return lists
        raise
    lists, seen = _read(text, network, kept)
    store.put_directory(StoredDirectory(seen.sequence, text, int(clock.now())))
    if not lists:
        raise DirectoryError("the directory holds no key list that is in force; is this computer's clock right?")
    return lists


def _is_fresh(kept: StoredDirectory, fresh_seconds: int) -> bool:
    now = clock.now()
    return 0 <= now - kept.fetched < fresh_seconds and day_at(now) == day_at(kept.fetched)


def _read(text: str, network: Network, kept: StoredDirectory | None) -> tuple[dict[int, KeyList], directory.Seen]:
    try:
        envelope = signed.read(text)
        verified = directory.verify(envelope, network.discovery.key)
        before = None
        if kept is not None:
            before = directory.Seen(kept.sequence, directory.digest(signed.read(kept.document).document))
        seen = directory.follow(before, envelope, verified)
    except AnontraceError as error:
        raise DirectoryError(f"discovery's directory cannot be trusted: {error}") from error
    return directory.usable(verified, network.pins, clock.now()).lists, seen
