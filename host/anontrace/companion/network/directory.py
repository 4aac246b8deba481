"""The directory of servers: fetched from discovery, verified against the pinned keys, kept for the next command.

Whoever has one fetches only what is new in it, once a day. A directory that contradicts the one seen before, or is not
shown to continue it, is refused (docs/protocol.md, section 10), and so is one that lacks too many of the pinned mixes.
If discovery cannot be reached, the stored one is used as long as its mixes are in force.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from anontrace_shared.errors import AnontraceError

from anontrace import clock
from anontrace.companion.errors import DirectoryError, NoSuchThingError, OfflineError, RefusedError
from anontrace.companion.network.client import Client
from anontrace.companion.output import warn
from anontrace.companion.store.network import NetworkStore, StoredDirectory
from anontrace.mixnet.keydays import day_at
from anontrace.wire import catching_up, directory, mixes
from anontrace.wire.catching_up import Caught
from anontrace.wire.directory import Directory
from anontrace.wire.mixes import Mix
from anontrace.wire.network import Network

FRESH_SECONDS = 3600  # and no longer than the day, since the mixes change their keys with it
_MAX_ANSWER = 8 << 20  # bytes; a month of editions made as fast as discovery makes them, at 255 mixes


def mixes_in_force(
    store: NetworkStore, network: Network, client: Client, fresh_seconds: int = FRESH_SECONDS
) -> dict[int, Mix]:
    """The mixes in force, by number. Raises DirectoryError, or OfflineError when there is no directory at all."""
    if (found := fresh(store, network, fresh_seconds)) is not None:
        return found
    stored = store.directory()
    kept = None if stored is None else _kept(stored, network)
    try:
        caught = _newest(network, client, kept)
    except OfflineError as error:
        found = {} if kept is None else _in_force(kept, network)
        if kept is None or not found:
            raise
        check(found, network)
        _warn_of_age(kept, "discovery does not answer" if type(error) is OfflineError else str(error))
        return found
    found = _in_force(caught.directory, network)
    check(found, network)
    store.put_directory(StoredDirectory(caught.directory.head.sequence, caught.directory.encode(), int(clock.now())))
    _warn_of_age(caught.directory, "discovery may be keeping newer ones back, or this computer's clock is wrong")
    if lacking := missing(found, network):
        warn(f"the directory lacks {named(lacking)} of the network file; messages go through the others")
    return found


def fresh(store: NetworkStore, network: Network, fresh_seconds: int) -> dict[int, Mix] | None:
    """The mixes in force by the stored directory, if there is no need to ask for another one yet."""
    stored = store.directory()
    if stored is None or not _is_fresh(stored, fresh_seconds):
        return None
    kept = _kept(stored, network)
    found = {} if kept is None else _in_force(kept, network)
    # Otherwise a newer one may have what is missing. Whoever fetches once a day does so for nothing less.
    if found and (not missing(found, network) or (fresh_seconds > FRESH_SECONDS and _has_all_roles(found, network))):
        return found
    return None


def shown(store: NetworkStore, network: Network) -> str | None:
    """Which directory was believed last, for people to compare; None if none is kept."""
    stored = store.directory()
    kept = None if stored is None else _kept(stored, network)
    return None if kept is None else kept.seen.shown


def missing(found: Mapping[int, Mix], network: Network) -> list[int]:
    """The pinned mixes that are not among those in force."""
    return sorted(network.pins.keys() - found.keys())


def named(numbers: list[int]) -> str:
    """Some mixes, as they are told of."""
    return f"mix {', '.join(map(str, numbers))}"


def check(found: Mapping[int, Mix], network: Network) -> None:
    """DirectoryError, with the names of those that are missing, if less than two thirds of the pinned mixes are there:
    whoever keeps the others back could lead all messages over mixes of their choice."""
    if not found:
        raise DirectoryError("the directory holds no mix that is in force; is this computer's clock right?")
    if 3 * len(found) < 2 * len(network.pins):
        raise DirectoryError(
            f"the directory lacks {named(missing(found, network))}: fewer than two thirds of the {len(network.pins)}"
            " mixes of the network file are left, and whoever keeps the others back could choose every path; try again"
            " later, and tell the operator of discovery"
        )


def _has_all_roles(found: Mapping[int, Mix], network: Network) -> bool:
    there = {role for mix in found.values() for role in mix.roles}
    return there == {role for pin in network.mix for role in pin.roles} and 3 * len(found) >= 2 * len(network.pins)


def _is_fresh(kept: StoredDirectory, fresh_seconds: int) -> bool:
    now = clock.now()
    return 0 <= now - kept.fetched < fresh_seconds and day_at(now) == day_at(kept.fetched)


def _kept(stored: StoredDirectory, network: Network) -> Directory | None:
    """The directory seen last; None if an older companion wrote it in a way of its own."""
    try:
        return None if isinstance(stored.document, str) else directory.parse(stored.document, network.discovery.key)
    except AnontraceError:
        return None


def _newest(network: Network, client: Client, known: Directory | None) -> Caught:
    """What discovery serves now, if it continues what was seen."""
    asking = catching_up.catch_up(known, network.discovery.key, clock.now())
    try:
        path = next(asking)
        while True:
            path = asking.send(_asked(network, client, path))
    except StopIteration as end:
        caught: Caught = end.value
    except (AnontraceError, RefusedError) as error:
        raise DirectoryError(f"discovery's directory cannot be trusted: {error}") from error
    if not caught.checked:
        warn(
            f"the last directory was fetched more than {directory.KEPT_DAYS} days ago; whether discovery's history is"
            " still the same cannot be checked, and the new one is trusted by its signature alone"
        )
    return caught


def _asked(network: Network, client: Client, path: str) -> bytes | None:
    """What discovery answers; None if it has no such thing. DirectoryError if it has no directory of this time."""
    try:
        return client.get("discovery", f"{network.discovery.url}{path}", _MAX_ANSWER)
    except NoSuchThingError as error:
        if path == catching_up.WHOLE:
            raise DirectoryError(
                f"discovery at {urlsplit(network.discovery.url).netloc} is older than this companion, and has no"
                " directory that it can read; its operator has to bring it up to date"
            ) from error
        return None


def _in_force(found: Directory, network: Network) -> dict[int, Mix]:
    now = clock.now()
    return mixes.in_force(mixes.known(found.content, network.pins, now).mixes.values(), now)


def _warn_of_age(found: Directory, why: str) -> None:
    age = clock.now() - found.head.issued
    if age > directory.OLD_SECONDS:
        warn(f"the directory of servers is {age / 3600:.0f} hours old; {why}")
