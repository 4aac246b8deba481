"""Whether a server already runs from another folder: one that keeps its state in its folder may run only once.

Two copies would each accept messages that the other has seen. Workers that share a cluster are one server. Never starts
anything.
"""

import asyncio
from collections.abc import Sequence

import httpx

from anontrace.backend.config import Server
from anontrace.backend.errors import ConfigError

from .nearby import Place

_ANSWER_SECONDS = 5
_PREDECESSOR_SECONDS = 6.0  # a server that was told to end finishes what it was asked for as long as five


def running_at(server: Server) -> str | None:
    """Where this server, or another worker of it, answers, if one does."""
    return next((place.url for place in (Place.of(server), Place.outside(server)) if _answers(place)), None)


def copy_at(server: Server) -> str | None:
    """Where another instance of a server answers that may have none; this one does not run."""
    place = Place.outside(server)
    return place.url if server.config.store is None and _answers(place) else None


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
