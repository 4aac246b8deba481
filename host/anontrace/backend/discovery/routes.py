"""`GET /v2/directory`, `GET /v2/directory/{day}`, `PUT /v2/announcements/{number}` (docs/protocol.md section 10)."""

from fastapi import APIRouter, Path, Request, Response

from anontrace.backend.web import gone
from anontrace.backend.web.app import octets
from anontrace.backend.web.describing import gives_nothing, gives_octets, takes_octets
from anontrace.backend.web.http import OCTETS
from anontrace.wire.announcement import SIZE
from anontrace.wire.description import MAX_DESCRIPTION

from .editions import Answer, Editions

_MAX_BODY = 1 + 2 + MAX_DESCRIPTION + 2 + 2 * (4 + 1 + SIZE)
_GONE = ("/v1/directory", "/v1/directory/chain/{page}", "/v1/lists/{number}")


def router(editions: Editions) -> APIRouter:
    """Discovery's endpoints."""
    routes = APIRouter(tags=["discovery"])

    @routes.get(
        "/v2/directory",
        response_class=Response,
        responses=gives_octets("The directory.") | gives_nothing("You have it.", 304),
    )
    async def directory(request: Request) -> Response:
        """The whole signed directory. 304 for who has it."""
        return _tagged(request, await editions.whole())

    @routes.get(
        "/v2/directory/{day}",
        response_class=Response,
        responses=gives_octets("What is new.") | gives_nothing("You have it.", 304),
    )
    async def since(request: Request, day: int = Path(ge=0, lt=1 << 16)) -> Response:
        """What is new in the directory for whoever knows most keys of a day. 304 for who has it."""
        return _tagged(request, await editions.since(day))

    @routes.put(
        "/v2/announcements/{number}",
        status_code=204,
        response_class=Response,
        responses=gives_nothing("Published.", 204),
        openapi_extra=takes_octets("The mix's description, and its announcements of one or two days."),
    )
    async def announce(request: Request, number: int = Path(ge=1, le=255)) -> Response:
        """Publish a mix's description and keys."""
        await editions.take(number, await octets(request, at_least=1, at_most=_MAX_BODY, unit=1))
        return Response(status_code=204)

    gone.add(routes, _GONE)
    return routes


def _tagged(request: Request, answer: Answer) -> Response:
    body, tag = answer
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=OCTETS, headers=headers)
