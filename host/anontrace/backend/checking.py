"""What is wrong with servers' folders before they are started: every fault with its file and, where it can, its line.

Reads and tries; changes nothing. Never shows a secret.
"""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
from anontrace_shared.errors import AnontraceError

from anontrace.wire import trust
from anontrace.wire.tomllines import line_of

from . import config, keyfiles, sockets, storeplace, tls
from .config import FILE, Server
from .errors import ConfigError, StoreError
from .store import try_cluster

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


def _of_server(server: Server) -> Iterator[str]:
    folder = server.folder
    secrets: dict[str, bytes] = {}
    for name in dict.fromkeys(name for role in server.config.roles for name in SECRETS[role]):
        try:
            secrets[name] = keyfiles.read(folder, name)
        except AnontraceError as error:
            yield str(error)
    if keyfiles.SIGNING in secrets:
        yield from _of_network(server, keyfiles.verify_key(secrets[keyfiles.SIGNING]))
    if server.config.tls is not None:
        try:
            tls.server_context(folder, server.config.tls)
        except ConfigError as error:
            yield str(error)
    yield from _of_store(server)
    try:
        sockets.bind(server.config).close()
    except ConfigError as error:
        if not _runs(server):
            yield f"{_at(folder / FILE, 'listen')}: {error}"


def _of_store(server: Server) -> Iterator[str]:
    """Whether the cluster that the `store` line names, if it does, can hold the state."""
    where = _at(server.folder / FILE, "store")
    try:
        cluster = storeplace.cluster(server)
        if cluster is not None:
            asyncio.run(try_cluster(cluster))
    except ConfigError as error:
        yield str(error)
    except StoreError as error:
        yield f"{where}: {error}"


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
    for server in servers:
        path = server.folder / FILE
        if server.config.listen in listens:
            yield f"{_at(path, 'listen')}: {listens[server.config.listen]} listens there too"
        listens.setdefault(server.config.listen, path)
        if server.config.number is not None:
            if server.config.number in numbers:
                yield f"{_at(path, 'number')}: {numbers[server.config.number]} has this number too"
            numbers.setdefault(server.config.number, path)
    for server in servers[1:]:
        if server.network != servers[0].network:
            yield f"{server.network_path}: not the same network as {servers[0].network_path}"


def _runs(server: Server) -> bool:
    """Whether what has the port is this server, running."""
    url = server.config.url
    context = trust.client_context(server.network.network.ca) if url.startswith("https:") else False
    try:
        answer = httpx.get(f"{url}/v1/status", verify=context, timeout=5, trust_env=False).json()
    except (httpx.HTTPError, ValueError):
        return False
    return isinstance(answer, dict) and answer.get("name") == server.config.name


def _at(path: Path, *where: str | int) -> str:
    line = line_of(path.read_text(encoding="utf-8"), where)
    return f"{path}, line {line}" if line else str(path)
