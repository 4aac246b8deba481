"""`POST /v1/messages` (docs/protocol.md section 8)."""

from fastapi import APIRouter, Request, Response

from anontrace.backend.describing import gives_nothing, takes_octets
from anontrace.backend.web import octets
from anontrace.mixnet.sizes import MESSAGE

from .admission import Admission
from .outbox import MOST_MESSAGES


def router(admission: Admission) -> APIRouter:
    """The mix's endpoint."""
    routes = APIRouter(tags=["mix"])

    @routes.post(
        "/v1/messages",
        status_code=202,
        response_class=Response,
        responses=gives_nothing("Held, or dropped.", 202),
        openapi_extra=takes_octets(f"1 to {MOST_MESSAGES} messages, {MESSAGE} bytes each."),
    )
    async def messages(request: Request) -> Response:
        """Take 1 to 256 messages. 202 whatever becomes of them: who sends learns nothing."""
        body = await octets(request, at_least=MESSAGE, at_most=MOST_MESSAGES * MESSAGE, unit=MESSAGE)
        await admission.accept([body[at : at + MESSAGE] for at in range(0, len(body), MESSAGE)])
        return Response(status_code=202)

    return routes
