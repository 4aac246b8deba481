"""The discovery role put together."""

from typing import Any

from fastapi import APIRouter

from anontrace.backend import keyfiles
from anontrace.backend.roles import Context

from . import routes
from .editions import Editions

_EXPIRY_CHECK_SECONDS = 600


class DiscoveryRole:
    """One discovery server."""

    def __init__(self, context: Context) -> None:
        signing_key = keyfiles.read(context.server.folder, keyfiles.SIGNING)
        pins = context.server.network.pins
        self._peers = context.peers
        self._editions = Editions(context.store, context.counters, pins, signing_key, context.peers)
        self._checked = 0.0
        self.router: APIRouter = routes.router(self._editions)

    async def start(self) -> None:
        await self._editions.drop_expired()

    async def tick(self, now: float) -> None:
        """Look now and then whether a list has expired."""
        if self._peers.clock_is_right and not 0 <= now - self._checked < _EXPIRY_CHECK_SECONDS:
            await self._editions.drop_expired()
            self._checked = now

    def status(self) -> dict[str, Any]:
        return {}
