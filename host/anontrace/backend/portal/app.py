"""The portal put together: its pages behind one door, its errors as pages."""

from collections.abc import Callable
from importlib import resources
from typing import Any

from anontrace_shared.errors import FormatError
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from anontrace.backend.authority.office import Office
from anontrace.backend.config import ServerConfig
from anontrace.backend.errors import BackendError, Refused, StoreError
from anontrace.backend.web.app import application
from anontrace.pages.shelter import Sheltered

from . import answer_pages, case_pages, entry_pages, number_pages, office_pages, token_pages
from .gate import Gate
from .pages import gettext_of, page

_MAX_BODY = 2 << 20  # a laboratory's file, with what a form adds
_STATIC = (
    ("anontrace.pages", "icon.svg", "image/svg+xml"),
    ("anontrace.pages", "pages.css", "text/css; charset=utf-8"),
    (__package__, "portal.css", "text/css; charset=utf-8"),
    (__package__, "passkey.js", "text/javascript; charset=utf-8"),
)


def portal(config: ServerConfig, office: Office, network: str, right_clock: Any) -> FastAPI:
    """What is answered at `portal_listen`. `right_clock`: what pages depend on that a wrong clock must not answer."""
    scheme = "http" if config.tls is None else "https"
    origins = [config.portal_origin, f"{scheme}://{config.portal_listen}"]
    gate = Gate(office, origins)
    app = application(f"Anontrace {network}, portal", config.http, config.http.forwarded_from, _MAX_BODY, False)
    app.add_middleware(Sheltered, origins=origins, elsewhere="the portal has another name: see `portal_url`")
    for routes in (
        entry_pages.router(office, gate),
        token_pages.router(office, gate),
        case_pages.router(office, gate),
        answer_pages.router(office, gate),
        number_pages.router(office, gate),
        office_pages.router(office, gate),
    ):
        app.include_router(routes, dependencies=[right_clock])
    for package, name, kind in _STATIC:
        app.get(f"/static/{name}", include_in_schema=False)(_file(package, name, kind))
    _install_errors(app, gate)
    return app


def _file(package: str, name: str, kind: str) -> Callable[[], Any]:
    data = resources.files(package).joinpath("static", name).read_bytes()

    async def file() -> Response:
        return Response(data, media_type=kind)

    return file


def _install_errors(app: FastAPI, gate: Gate) -> None:
    """Every error leaves as a page that says what to do; who is not signed in is led to where that is done."""

    async def shown(request: Request, status: int, reason: str, retry_after: int | None = None) -> Response:
        visitor = await _visitor(gate, request)
        said = gettext_of(request)(reason)
        answer = page(request, "error", visitor, status, reason=said[:1].upper() + said[1:], number=status)
        if retry_after is not None:
            answer.headers["Retry-After"] = str(retry_after)
        return answer

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        if error.status == 401 and request.method == "GET":
            return RedirectResponse("/login", 303)
        return await shown(request, error.status, error.reason, error.retry_after)

    async def malformed(request: Request, error: Exception) -> Response:
        return await shown(request, 422, str(error))

    async def unavailable(request: Request, error: Exception) -> Response:
        reason = "the store does not take data now" if isinstance(error, StoreError) else "not available now"
        return await shown(request, 503, f"{reason}; nothing is lost: try again", 10)

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        reason = "there is no such page" if error.status_code == 404 else str(error.detail).lower()
        return await shown(request, error.status_code, reason)

    async def invalid(request: Request, error: Exception) -> Response:
        return await shown(request, 422, "a part of the address or of the form is not what it has to be")

    app.add_exception_handler(Refused, refused)
    app.add_exception_handler(FormatError, malformed)
    app.add_exception_handler(BackendError, unavailable)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)


async def _visitor(gate: Gate, request: Request) -> Any:
    try:
        return await gate.whoever(request)
    except BackendError:  # the store does not answer: the page shows without who asks
        return None
