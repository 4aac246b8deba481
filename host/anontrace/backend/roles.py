"""What the parts of a server have in common: the context they are built in, and the interface of a role."""

from dataclasses import dataclass
from typing import Any, Protocol

from fastapi import APIRouter

from .background import Background
from .config import Server
from .counters import Counters
from .peers import Peers
from .store import Store


@dataclass(frozen=True, slots=True)
class Context:
    """What every role of one server shares."""

    server: Server
    store: Store
    counters: Counters
    background: Background
    peers: Peers


class Role(Protocol):
    """A part of a server: endpoints, and work by itself."""

    @property
    def router(self) -> APIRouter:
        """Its endpoints."""

    async def start(self) -> None:
        """Make ready to serve; start background work."""

    async def tick(self, now: float) -> None:
        """Called about every second with the time of anontrace.clock."""

    def status(self) -> dict[str, Any]:
        """Numbers for /v1/status; nothing that identifies anybody."""
