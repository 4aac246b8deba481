"""The health authority's role put together."""

from typing import Any

from fastapi import APIRouter

from anontrace.backend.keys import keyfiles
from anontrace.backend.roles import Context

from . import routes
from .nymserver import Nymserver
from .retractions import RetractionKeys
from .throttle import Throttle
from .tokens import Tokens


class AuthorityRole:
    """One health authority."""

    def __init__(self, context: Context) -> None:
        settings, folder = context.server.config.authority, context.server.folder
        signing_key = keyfiles.read(folder, keyfiles.SIGNING)
        tokens = Tokens(context.store, context.counters, signing_key, settings.token_hours, settings.permit_hours)
        self.router: APIRouter = routes.router(tokens, Throttle(settings.bad_tries))
        self.staff_router: APIRouter = routes.staff_router(
            tokens,
            Nymserver(context.peers, signing_key),
            RetractionKeys(context.store),
            keyfiles.read(folder, keyfiles.STAFF),
        )

    async def start(self) -> None:
        pass

    async def tick(self, held: float) -> None:
        pass

    def status(self) -> dict[str, Any]:
        return {}
