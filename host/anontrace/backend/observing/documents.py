"""What a server tells of itself to its operators: the documents of /healthz, /readyz and /v1/status."""

from typing import Any

from pydantic import BaseModel


class Health(BaseModel):
    """What a server that serves says."""

    alive: bool


class Readiness(BaseModel):
    """Whether a server is ready, and why not: mixes that are not in force, a wrong clock, a cluster that is unfit."""

    ready: bool
    missing: list[int]
    clock_wrong: bool
    store_unfit: bool = False


class PeerStatus(BaseModel):
    """A pinned mix, and, if it is in force (`listed`), what it says: since when it describes itself like this (unix
    seconds), the day of its newest key, which mixes lose its loops, whether it makes no more keys."""

    number: int
    roles: list[str]
    listed: bool
    name: str = ""
    described: int = 0
    newest_key_day: int = 0
    lossy: list[int] = []
    retiring: bool = False


class Status(Readiness):
    """What `anontrace-server status` shows: counts since the start, seconds by which the clock is ahead of the others',
    number and digest of the directory, what is known of each mix, lengths of queues, and what each role tells."""

    name: str
    number: int | None
    counters: dict[str, int]
    clock_offset: float
    directory: str | None
    peers: list[PeerStatus]
    queues: dict[str, int]
    roles: dict[str, dict[str, Any]]
