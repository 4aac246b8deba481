"""What can be wrong around the companion, one check after the other: each passes, or says how to mend the fault.

Looks and asks, changes nothing. The companion's commands fail with the same sentences; here they come all at once.
"""

import asyncio
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from importlib import metadata
from pathlib import Path

import apsw
from anontrace_shared.errors import AnontraceError

from anontrace import clock
from anontrace.companion.errors import CertificateError, CompanionError, DirectoryError, StateError
from anontrace.companion.keys import keyfile, private
from anontrace.companion.network.client import Client
from anontrace.companion.network.directory import missing, mixes_in_force, named, shown
from anontrace.companion.store import making
from anontrace.companion.store.state import State
from anontrace.wire import network

CLOCK_SECONDS = 60  # a slot is five minutes; from here on something is set wrong
LISTEN_SECONDS = 1.0


@dataclass(frozen=True)
class Check:
    """One line: what was looked at, what it is, and how to mend it where it is not well."""

    name: str
    ok: bool
    said: str
    mend: str = ""


def versions() -> Check:
    said = (
        f"anontrace {metadata.version('anontrace')}, Python {platform.python_version()}, SQLite"
        f" {apsw.sqlite_lib_version()}, bleak {metadata.version('bleak')}, {platform.system()}"
    )
    return Check("versions", True, said)


def bluetooth(adapter: str) -> Check:
    """Whether this program may listen with the adapter."""
    from anontrace.companion.badge.radio import Radio

    async def listen() -> int:
        async with Radio(adapter) as radio:
            return await radio.listen(LISTEN_SECONDS)

    try:
        heard = asyncio.run(listen())
    except CompanionError as error:
        said, _, mend = str(error).partition("; ")
        return Check("bluetooth", False, said, mend or "check the adapter, and that the Bluetooth service runs")
    return Check("bluetooth", True, f"it listens; badges heard within a second: {heard}")


def permissions(folder: Path) -> Check:
    """Whether the state folder can be written by its user, and be read by nobody else."""
    if not folder.exists():
        return Check("permissions", False, f"there is no state folder {folder}", "run: anontrace init NETWORK.toml")
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return Check("permissions", False, f"{folder} cannot be written", f"make it yours: chown -R $USER {folder}")
    if os.name == "posix" and folder.stat().st_mode & 0o077:
        return Check("permissions", False, f"others may read {folder}", f"close it: chmod -R go= {folder}")
    try:
        private.check_folder(folder)
        for name in making.FILES:
            private.check(folder / name)
        return Check("permissions", True, f"{folder} is for you alone; secrets: {keyfile.protection(folder)}")
    except StateError as error:
        said, _, mend = str(error).partition("; ")
        return Check("permissions", False, said, mend)


def broken_state(error: StateError) -> Check:
    """A state folder that cannot be opened: a full disk, damage, a lost key."""
    said, _, mend = str(error).partition("; ")
    return Check("state", False, said, mend or "bring back a backup: anontrace restore FILE")


def badges(state: State) -> Iterator[Check]:
    """What the last sync told of each badge."""
    for badge in state.badges.all():
        name = f"badge {badge.number}"
        flags = badge.info.get("flags", [])
        if badge.provisioned is None:
            yield Check(name, False, "not provisioned yet", "run: anontrace badge provision, --usb PORT or --new")
        elif badge.last_sync is None:
            yield Check(name, False, "never synchronised", "run: anontrace badge sync")
        elif "safe mode" in flags:
            yield Check(name, False, "in safe mode after crashes", "update it: anontrace badge update --usb PORT")
        elif badge.info.get("log_was_full"):
            yield Check(name, False, "its log was full: the oldest days are gone", "sync it more often")
        else:
            yield Check(name, True, f"firmware {badge.info.get('firmware', 'unknown')}")


def servers(state: State) -> Iterator[Check]:
    """Whether discovery, every mix and the health authority answer, and whether this computer's clock agrees."""
    stored = state.network.get()
    if stored is None:
        yield Check("network", False, "no network is set", "run: anontrace init NETWORK.toml")
        return
    try:
        pinned = network.parse(stored.file, "the stored network file")
    except AnontraceError as error:
        yield Check("network", False, str(error), "run: anontrace init NETWORK.toml, with a new network file")
        return
    clocks: list[float] = []
    with Client(stored.proxy, pinned.network.ca) as client:
        addresses = {"discovery": pinned.discovery.url, "health authority": pinned.authority.url}
        try:
            found = mixes_in_force(state.network, pinned, client)
        except CompanionError as error:
            yield _unreached("directory", error, "go online, and check the proxy if there is one")
        else:
            if lacking := missing(found, pinned):
                said = f"without {named(lacking)} of the network file; messages go through the others"
                yield Check("directory", False, said, "wait: their operators have to mend it")
            else:
                said = f"{len(found)} servers, all with keys in force; directory {shown(state.network, pinned)}"
                yield Check("directory", True, said)
            addresses |= {f"mix {number} ({each.name})": each.url for number, each in sorted(found.items())}
        for name, url in addresses.items():
            try:
                status, dated = client.probe(name, f"{url}/healthz")
            except CompanionError as error:
                yield _unreached(name, error, "go online; if you are, it is down: wait")
                continue
            if dated:
                clocks.append(_difference(dated))
            yield (
                Check(name, True, f"{url} answers")
                if status == 200
                else Check(name, False, f"{url} answers with status {status}", "wait: its operator has to mend it")
            )
    yield _clock(clocks)


def _unreached(name: str, error: CompanionError, mend: str) -> Check:
    """A server that was not reached, or a directory that is of no use: mended as its error says where that tells more,
    else by `mend`."""
    said, _, told = str(error).partition("; ")
    return Check(name, False, said, (isinstance(error, (CertificateError, DirectoryError)) and told) or mend)


def _difference(dated: str) -> float:
    """Seconds by which this computer is ahead of a server's Date; 0 for one that makes no sense."""
    try:
        return clock.now() - parsedate_to_datetime(dated).timestamp()
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _clock(differences: list[float]) -> Check:
    """The middle one counts: a single server whose clock is wrong does not matter."""
    if not differences:
        return Check("clock", False, "nobody could be asked what time it is", "go online")
    ahead = sorted(differences)[len(differences) // 2]
    if abs(ahead) > CLOCK_SECONDS:
        said = f"this computer's clock is {clock.duration_text(abs(ahead))} {'ahead' if ahead > 0 else 'behind'}"
        return Check("clock", False, said, "set it, or switch on time synchronisation in the system's settings")
    return Check("clock", True, "agrees with the servers'")
