"""What is wrong with servers' folders before they are started: every fault with its file and, where it can, its line.

Reads and tries; changes nothing. Never shows a secret.
"""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from anontrace_shared.errors import AnontraceError

from anontrace.backend import config, files
from anontrace.backend.config import FILE, Server
from anontrace.backend.errors import ConfigError, StoreError
from anontrace.backend.keys import keyfiles
from anontrace.backend.web import sockets, tls
from anontrace.wire.tomllines import line_of

from . import copies, storeplace
from .nearby import Place

SECRETS: dict[config.Role, tuple[str, ...]] = {
    "discovery": (keyfiles.SIGNING,),
    "mix": (keyfiles.SIGNING, keyfiles.STORAGE),
    "nymserver": (keyfiles.LOG, keyfiles.TOKEN),
    "mailbox": (),
    "authority": (keyfiles.SIGNING, keyfiles.STAFF),
}


def faults(folders: Sequence[Path]) -> list[str]:
    """One line for each thing that is wrong with these folders, by themselves and together."""
    found: list[str] = []
    servers: list[Server] = []
    for folder in folders:
        try:
            server = config.load(folder)
        except ConfigError as error:
            found.append(str(error))
            continue
        servers.append(server)
        found += _of_server(server)
    return found + list(_together(servers))


def secret_names(server: Server) -> list[str]:
    """The key files that a server needs."""
    return list(dict.fromkeys(name for role in server.config.roles for name in SECRETS[role]))


def _of_server(server: Server) -> Iterator[str]:
    folder = server.folder
    secrets: dict[str, bytes] = {}
    for name in secret_names(server):
        try:
            secrets[name] = keyfiles.read(folder, name)
        except AnontraceError as error:
            yield str(error)
    if keyfiles.SIGNING in secrets:
        yield from _of_network(server, keyfiles.verify_key(secrets[keyfiles.SIGNING]))
    if server.config.tls is not None:
        yield from _of_certificate(server, server.config.tls)
    yield from _of_store(server)
    yield from _of_doors(server)


def _of_doors(server: Server) -> Iterator[str]:
    """Whether the server can listen where it is to, unless it does."""
    found: list[str] = []
    path = server.folder / FILE
    for setting, door in (("listen", sockets.bound), ("portal_listen", sockets.bound_for_portal)):
        try:
            with door(server.config):
                pass
        except ConfigError as error:
            found.append(f"{_at(path, setting)}: {error}")
    try:
        sockets.try_staff(server)
    except ConfigError as error:
        found.append(f"{_at(path, 'staff_listen')}: {error}")
    if found and not _runs(server):
        yield found[0]  # who is in the way at one door mostly is at the other too


def _of_certificate(server: Server, settings: config.TlsSettings) -> Iterator[str]:
    """Whether the server can show a certificate that is believed to be that of its URL."""
    try:
        context = tls.server_context(server.folder, settings)
    except ConfigError as error:
        yield str(error)
        return
    host = urlsplit(server.config.url).hostname or ""
    reason = tls.disbelief(context, host, server.network.network.ca)
    if reason is not None:
        where = _at(server.folder / FILE, "tls", "certificate")
        yield f"{where}: clients do not believe that {settings.certificate} is of {host}: {reason}"


def _of_store(server: Server) -> Iterator[str]:
    """Whether the state is, or can be, where the `store` line says, or else in the server's folder, and there only."""
    runs, fault = False, None
    try:
        runs = asyncio.run(storeplace.try_store(server))
    except ConfigError as error:
        fault = str(error)
    except StoreError as error:
        where = "" if server.config.store is None else f"{_at(server.folder / FILE, 'store')}: "
        fault = f"{where}{error}"
    if not runs and (url := copies.copy_at(server)) is not None:
        # A store that was copied while its server wrote to it may be damaged; that comes of this.
        fault = f"{_at(server.folder / FILE, 'url')}: {copies.told(server, url)}"
    if fault is not None:
        yield fault


def _of_network(server: Server, key: bytes) -> Iterator[str]:
    """Whether the network file pins this server as it is."""
    network, path = server.network, server.network_path
    key_file = server.folder / keyfiles.SIGNING
    for role, service in (("discovery", network.discovery), ("authority", network.authority)):
        if role in server.config.roles:
            if service.key != key:
                yield f"{_at(path, role, 'key')}: not the key of {key_file}"
            if service.url != server.config.url:
                yield f"{_at(path, role, 'url')}: {server.folder / FILE} says {server.config.url}"
    if server.config.number is not None:
        index = [mix.number for mix in network.mix].index(server.config.number)
        if network.mix[index].key != key:
            yield f"{_at(path, 'mix', index, 'key')}: not the key of {key_file}"


def _together(servers: Sequence[Server]) -> Iterator[str]:
    """What no two servers may share."""
    listens: dict[str, Path] = {}
    numbers: dict[int, Path] = {}
    urls: dict[str, Path] = {}
    for server in servers:
        path = server.folder / FILE
        if server.config.url in urls and server.config.store is None:
            yield f"{_at(path, 'url')}: {urls[server.config.url]} has this URL too, and each a store of its own"
        urls.setdefault(server.config.url, path)
        doors = [("listen", server.config.listen)]
        if server.config.staff_at is not None:
            doors.append(("staff_listen", server.config.staff_listen))
        for setting, place in doors:
            if place in listens:
                yield f"{_at(path, setting)}: {listens[place]} listens there too"
            listens.setdefault(place, path)
        if server.config.number is not None:
            if server.config.number in numbers:
                yield f"{_at(path, 'number')}: {numbers[server.config.number]} has this number too"
            numbers.setdefault(server.config.number, path)
    for server in servers[1:]:
        if server.network != servers[0].network:
            yield f"{server.network_path}: not the same network as {servers[0].network_path}"


def _runs(server: Server) -> bool:
    """Whether what has the port is this server, running."""
    try:
        answer = Place.for_staff(server).request("GET", "/v1/status", 5).json()
    except (ConfigError, httpx.HTTPError, ValueError, RecursionError):
        return False
    return isinstance(answer, dict) and answer.get("name") == server.config.name


def _at(path: Path, *where: str | int) -> str:
    line = line_of(files.read_text(path)[0], where)
    return f"{path}, line {line}" if line else str(path)
