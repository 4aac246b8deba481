"""Whether a server already runs from another folder: one that keeps its state in its folder may run only once.

Two copies would each accept messages that the other has seen. Workers that share a cluster are one server. Never starts
anything.
"""

import asyncio
from collections.abc import Sequence

import httpx
from anontrace_shared.errors import AnontraceError

from anontrace.backend.config import Server
from anontrace.backend.errors import ConfigError
from anontrace.wire import catching_up, directory, mixes
from anontrace.wire.description import Description

from .nearby import Place, title

_ANSWER_SECONDS = 5
_PREDECESSOR_SECONDS = 6.0  # a server that was told to end finishes what it was asked for as long as five


def running_at(server: Server) -> str | None:
    """Where this server, or another worker of it, answers, if one does."""
    return next((place.url for place in (Place.of(server), Place.outside(server)) if _answers(place)), None)


def copy_at(server: Server) -> str | None:
    """Where another instance of a server answers that may have none: at its URL, or where the network file or discovery
    leads others. This one does not run."""
    if server.config.store is not None:
        return None
    config, network = server.config, server.network
    urls = [config.url]
    urls += [network.discovery.url] if "discovery" in config.roles else []
    urls += [network.authority.url] if "authority" in config.roles else []
    for url in dict.fromkeys(urls):
        if _answers(Place.in_network(server, url)):
            return url
    described = None if config.number is None else _described(server, config.number)
    if described is None or described.url in urls:
        return None
    return described.url if _calls_itself(Place.in_network(server, described.url), described.name) else None


def _described(server: Server, number: int) -> Description | None:
    """What discovery shows of a mix; None where it does not answer, or not as it should."""
    pinned = server.network
    try:
        answer = Place.in_network(server, pinned.discovery.url).request("GET", catching_up.WHOLE, _ANSWER_SECONDS)
        found = directory.parse(answer.content, pinned.discovery.key)
        mix = mixes.verified(found.content, number, pinned.pins, found.head.issued)
    except (httpx.HTTPError, AnontraceError, KeyError):
        return None
    return mix.described


def _calls_itself(place: Place, name: str) -> bool:
    """Whether a server of this name answers there: what was a server's place may be another's now."""
    try:
        found = place.request("GET", "/openapi.json", _ANSWER_SECONDS).json()["info"]["title"]
    except (httpx.HTTPError, ValueError, RecursionError, TypeError, KeyError):
        return False
    return bool(found == title(name))


def refuse_twins(servers: Sequence[Server]) -> None:
    """ConfigError if one server is here twice."""
    seen: dict[str, Server] = {}
    for server in servers:
        other = seen.setdefault(server.config.url, server)
        if other is not server and server.config.store is None:
            raise ConfigError(f"{server.folder}: {other.folder} is the same server, at {server.config.url}")


async def refuse_copy(server: Server) -> None:
    """ConfigError if another instance of a server answers that may have none, and is not about to end. One that is
    not there, or behind a proxy that says so, does not answer; nor does one with another certificate."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _PREDECESSOR_SECONDS
    while (url := await asyncio.to_thread(copy_at, server)) is not None:
        if loop.time() > deadline:
            raise ConfigError(f"{server.folder}: {told(server, url)}")
        await asyncio.sleep(0.5)


def told(server: Server, url: str) -> str:
    """What is wrong if a copy answers."""
    return (
        f"{server.config.name} runs already: it answers at {url}. Two copies of a folder must not run: each would take"
        " what the other has seen; stop that one for good, or share a cluster"
    )


def _answers(place: Place) -> bool:
    """Whether a server says there, before long, that it lives."""
    try:
        answer = place.request("GET", "/healthz", _ANSWER_SECONDS)
        found = answer.json() if answer.is_success else None
    except (httpx.HTTPError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.get("alive") is True
