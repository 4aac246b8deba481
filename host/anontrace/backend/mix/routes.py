"""`POST /v1/messages` (docs/protocol.md section 8)."""

from fastapi import APIRouter, Request, Response

from anontrace.backend.web.app import octets
from anontrace.backend.web.describing import gives_nothing, takes_octets
from anontrace.mixnet.sizes import MESSAGE

from .admission import Admission
from .outbox import MAX_MESSAGES


def router(admission: Admission) -> APIRouter:
    """The mix's endpoint."""
    routes = APIRouter(tags=["mix"])

    @routes.post(
        "/v1/messages",
        status_code=202,
        response_class=Response,
        responses=gives_nothing("Held, or dropped.", 202),
        openapi_extra=takes_octets(f"1 to {MAX_MESSAGES} messages, {MESSAGE} bytes each."),
    )
    async def messages(request: Request) -> Response:
        """Take 1 to 256 messages. 202 whatever becomes of them: the sender learns nothing."""
        body = await octets(request, at_least=MESSAGE, at_most=MAX_MESSAGES * MESSAGE, unit=MESSAGE)
        await admission.accept([body[at : at + MESSAGE] for at in range(0, len(body), MESSAGE)])
        return Response(status_code=202)

    return routes
