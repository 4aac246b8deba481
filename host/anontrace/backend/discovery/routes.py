"""`GET /v1/directory`, `GET /v1/directory/chain/{page}`, `PUT /v1/lists/{number}` (docs/protocol.md section 10)."""

from fastapi import APIRouter, Path, Request, Response

from anontrace.backend.http import JSON
from anontrace.backend.web import json_octets
from anontrace.wire.directory import MOST_SEQUENCE, PAGE

from .editions import Editions


def router(editions: Editions) -> APIRouter:
    """Discovery's endpoints."""
    routes = APIRouter(tags=["discovery"])

    @routes.get("/v1/directory")
    async def directory(request: Request) -> Response:
        """The current signed directory. 304 for who has it."""
        text, tag = await editions.current()
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(text, media_type=JSON, headers=headers)

    @routes.get("/v1/directory/chain/{page}")
    async def chain(page: int = Path(ge=0, le=MOST_SEQUENCE // PAGE)) -> Response:
        """The heads of the 128 directories of a page, those of the last 30 days: how one led to the next."""
        return Response(await editions.page(page), media_type=JSON)

    @routes.put("/v1/lists/{number}", status_code=204)
    async def put_list(request: Request, number: int = Path(ge=1, le=255)) -> Response:
        """Publish a mix's signed key list."""
        await editions.take(number, await json_octets(request))
        return Response(status_code=204)

    return routes
