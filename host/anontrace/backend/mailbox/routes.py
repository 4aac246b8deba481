"""`POST /v1/poll` (docs/protocol.md section 8)."""

from fastapi import APIRouter, Request, Response

from anontrace.backend.describing import gives_octets, takes_octets
from anontrace.backend.http import OCTETS
from anontrace.backend.web import octets
from anontrace.wire import poll

from .boxes import Mailboxes


def router(mailboxes: Mailboxes) -> APIRouter:
    """The mailbox server's endpoint."""
    routes = APIRouter(tags=["mailbox server"])

    @routes.post(
        "/v1/poll",
        response_class=Response,
        responses=gives_octets(
            "Each message: index of its mailbox (2), payload (239); filled up to the room asked for."
        ),
        openapi_extra=takes_octets(
            f"Room of the answer in messages (2; 0: open), and 1 to {poll.MOST_MAILBOXES} questions: mailbox (32), "
            "messages known (1)."
        ),
    )
    async def fetch(request: Request) -> Response:
        """What arrived in up to 1000 mailboxes. If an answer is full, there may be more: poll again, skipping that."""
        least = poll.ROOM + poll.QUESTION
        most = poll.ROOM + poll.MOST_MAILBOXES * poll.QUESTION
        body = await octets(request, at_least=least, at_most=most, unit=poll.QUESTION)
        asked, room = poll.parse_request(body)
        return Response(poll.encode_reply(await mailboxes.fetch(asked, room), room), media_type=OCTETS)

    return routes
