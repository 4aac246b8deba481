"""`POST /v1/poll` (docs/protocol.md section 8)."""

from fastapi import APIRouter, Request, Response

from anontrace.backend.describing import gives_octets, takes_octets
from anontrace.backend.http import OCTETS
from anontrace.backend.web import octets
from anontrace.mixnet.sizes import MAILBOX
from anontrace.wire import poll

from .boxes import Mailboxes

_QUESTION = MAILBOX + 1


def router(mailboxes: Mailboxes) -> APIRouter:
    """The mailbox server's endpoint."""
    routes = APIRouter(tags=["mailbox server"])

    @routes.post(
        "/v1/poll",
        response_class=Response,
        responses=gives_octets("For each mailbox with more: its index (2), how many (1), and these, 239 bytes each."),
        openapi_extra=takes_octets(f"1 to {poll.MOST_MAILBOXES} questions: mailbox (32), messages known (1)."),
    )
    async def fetch(request: Request) -> Response:
        """What arrived in up to 1000 mailboxes. A long answer is cut: poll again, skipping what came."""
        most = poll.MOST_MAILBOXES * _QUESTION
        body = await octets(request, at_least=_QUESTION, at_most=most, unit=_QUESTION)
        found = await mailboxes.fetch(poll.parse_request(body))
        return Response(poll.encode_reply(found), media_type=OCTETS)

    return routes
