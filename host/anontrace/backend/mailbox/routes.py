"""`POST /v2/look` (docs/protocol.md section 8)."""

from fastapi import APIRouter, Request, Response

from anontrace.backend.web import gone
from anontrace.backend.web.app import octets
from anontrace.backend.web.describing import gives_octets, takes_octets
from anontrace.backend.web.http import OCTETS
from anontrace.backend.web.moments import Moments
from anontrace.mixnet.sizes import GROUP
from anontrace.wire import look
from anontrace.wire.look import Look

from .boxes import Mailboxes


def router(mailboxes: Mailboxes, moments: Moments) -> APIRouter:
    """The mailbox server's endpoints."""
    routes = APIRouter(tags=["mailbox server"])

    @routes.post(
        "/v2/look",
        response_class=Response,
        responses=gives_octets(
            f"What ties it to the request ({look.BOUND}), how many digests there are of each group (2 each), digests "
            f"({look.DIGEST} each), sums ({look.ROW} each), messages in plain ({look.PLAIN} each): all filled up to "
            "the room asked for."
        ),
        openapi_extra=takes_octets(
            f"Room for digests (2), sums (1), messages in plain (1), seed ({look.SEED}), number of groups (1), groups: "
            f"address ({GROUP}), where to begin (2), known (2); then mailboxes of their own: address (32), "
            "messages fetched (1)."
        ),
    )
    async def look_into(request: Request) -> Response:
        """What arrived in the mailboxes of up to 64 groups, told so that the server does not see what was wanted."""
        asked = Look.parse(await octets(request, at_least=look.HEAD, at_most=look.MAX_BODY, unit=1))
        return Response(await moments.answer(_encoded(mailboxes, asked)), media_type=OCTETS)

    gone.add(routes, ("/v1/poll",))
    return routes


async def _encoded(mailboxes: Mailboxes, asked: Look) -> bytes:
    return (await mailboxes.answer(asked)).encode(asked)
