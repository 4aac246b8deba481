"""The health authority's role put together."""

from typing import Any

from fastapi import APIRouter

from anontrace.backend import keyfiles
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
        self.router: APIRouter = routes.router(
            Tokens(context.store, context.counters, signing_key, settings.token_hours, settings.permit_hours),
            Nymserver(context.peers, signing_key),
            RetractionKeys(context.store),
            Throttle(settings.bad_tries),
            keyfiles.read(folder, keyfiles.STAFF),
        )

    async def start(self) -> None:
        pass

    async def tick(self, now: float) -> None:
        pass

    def status(self) -> dict[str, Any]:
        return {}
