"""The discovery role put together."""

from typing import Any

from fastapi import APIRouter

from anontrace.backend.background import Background
from anontrace.backend.keys import keyfiles
from anontrace.backend.roles import Context

from . import routes
from .editions import Editions

_CHECK_SECONDS = 600


class DiscoveryRole:
    """One discovery server."""

    def __init__(self, context: Context) -> None:
        signing_key = keyfiles.read(context.server.folder, keyfiles.SIGNING)
        pins = context.server.network.pins
        self._editions = Editions(context.store, context.counters, pins, signing_key, context.peers)
        self._background: Background = context.background
        self._checked = 0.0
        self.router: APIRouter = routes.router(self._editions)

    async def start(self) -> None:
        await self._editions.start()
        self._background.start("editions", self._editions.keep_gathering)

    async def tick(self, held: float) -> None:
        """Look now and then whether a mix is gone."""
        if not 0 <= held - self._checked < _CHECK_SECONDS:
            await self._editions.drop_dead()
            self._checked = held

    def status(self) -> dict[str, Any]:
        return {}
