"""The mailbox role put together."""

from typing import Any

from fastapi import APIRouter

from anontrace.backend.roles import Context
from anontrace.backend.web.moments import Moments

from . import routes
from .boxes import Mailboxes


class MailboxRole:
    """One mailbox server. Its mix delivers to `mailboxes`."""

    def __init__(self, context: Context) -> None:
        settings = context.server.config.mailbox
        self.mailboxes = Mailboxes(context.store, context.counters, settings.quota, settings.group_quota)
        self.router: APIRouter = routes.router(self.mailboxes, Moments(context.server.config.mix.delay))

    async def start(self) -> None:
        pass

    async def tick(self, held: float) -> None:
        pass

    def status(self) -> dict[str, Any]:
        return {}
