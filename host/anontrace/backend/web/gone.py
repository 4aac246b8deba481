"""Endpoints of protocol 1 that are gone: an old companion or server is told so, instead of being misread."""

from collections.abc import Sequence

from fastapi import APIRouter

from anontrace.backend.errors import Refused

_SAID = "this network speaks protocol 2; a companion from 0.3 on is needed"


def add(routes: APIRouter, paths: Sequence[str]) -> None:
    """Answer 410 at these paths, whatever is asked."""

    async def gone() -> None:
        raise Refused(410, _SAID)

    for path in paths:
        routes.add_api_route(path, gone, methods=["GET", "POST", "PUT"], include_in_schema=False)
