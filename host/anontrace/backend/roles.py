"""What the parts of a server have in common: the context they are built in, and the interface of a role."""

from dataclasses import dataclass
from typing import Any, Protocol

from fastapi import APIRouter

from anontrace.backend.observing.counters import Counters

from .background import Background
from .config import Server
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

    async def tick(self, held: float) -> None:
        """Called about every second, while there is a time (unix seconds) that holds by the other servers' clocks too:
        what is dropped or published goes by that."""

    def status(self) -> dict[str, Any]:
        """Numbers for /v1/status; nothing that identifies anybody."""
