"""The mailbox role put together."""

from typing import Any

from fastapi import APIRouter

from anontrace.backend.roles import Context

from . import routes
from .boxes import Mailboxes


class MailboxRole:
    """One mailbox server. Its mix delivers to `mailboxes`."""

    def __init__(self, context: Context) -> None:
        self.mailboxes = Mailboxes(context.store, context.counters, context.server.config.mailbox.quota)
        self.router: APIRouter = routes.router(self.mailboxes)

    async def start(self) -> None:
        pass

    async def tick(self, now: float) -> None:
        pass

    def status(self) -> dict[str, Any]:
        return {}
