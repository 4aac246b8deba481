"""`GET /v1/directory`, `GET /v1/directory/chain/{page}`, `PUT /v1/lists/{number}` (docs/protocol.md section 10)."""

from fastapi import APIRouter, Path, Request, Response

from anontrace.backend.describing import gives, gives_nothing, takes
from anontrace.backend.http import JSON
from anontrace.backend.web import json_octets
from anontrace.wire.directory import MOST_SEQUENCE, PAGE, Edition, Page
from anontrace.wire.signed import Signed

from .editions import Editions


def router(editions: Editions) -> APIRouter:
    """Discovery's endpoints."""
    routes = APIRouter(tags=["discovery"])

    @routes.get(
        "/v1/directory",
        response_class=Response,
        responses=gives(Edition, "The directory.") | gives_nothing("You have it.", 304),
    )
    async def directory(request: Request) -> Response:
        """The current signed directory. 304 for who has it."""
        text, tag = await editions.current()
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(text, media_type=JSON, headers=headers)

    @routes.get(
        "/v1/directory/chain/{page}", response_class=Response, responses=gives(Page, "The heads that are kept.")
    )
    async def chain(page: int = Path(ge=0, le=MOST_SEQUENCE // PAGE)) -> Response:
        """The heads of the 128 directories of a page, those of the last 30 days: how one led to the next."""
        return Response(await editions.page(page), media_type=JSON)

    @routes.put(
        "/v1/lists/{number}",
        status_code=204,
        response_class=Response,
        responses=gives_nothing("Published.", 204),
        openapi_extra=takes(Signed, {"document": '{"version":1,"number":7,"name":"mix-7"}', "signature": "5a" * 64}),
    )
    async def put_list(request: Request, number: int = Path(ge=1, le=255)) -> Response:
        """Publish a mix's signed key list."""
        await editions.take(number, await json_octets(request))
        return Response(status_code=204)

    return routes
