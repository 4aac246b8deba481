"""`POST /v1/poll` (docs/protocol.md section 8)."""

from fastapi import APIRouter, Request, Response

from anontrace.backend.http import OCTETS
from anontrace.backend.web import octets
from anontrace.mixnet.sizes import MAILBOX
from anontrace.wire import poll

from .boxes import Mailboxes

_QUESTION = MAILBOX + 1


def router(mailboxes: Mailboxes) -> APIRouter:
    """The mailbox server's endpoint."""
    routes = APIRouter(tags=["mailbox server"])

    @routes.post("/v1/poll")
    async def fetch(request: Request) -> Response:
        """What arrived in up to 1000 mailboxes. A long answer is cut: poll again, skipping what came."""
        most = poll.MOST_MAILBOXES * _QUESTION
        body = await octets(request, at_least=_QUESTION, at_most=most, unit=_QUESTION)
        found = await mailboxes.fetch(poll.parse_request(body))
        return Response(poll.encode_reply(found), media_type=OCTETS)

    return routes
