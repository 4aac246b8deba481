"""What all HTTP endpoints share: bounded bodies, time limits, JSON errors. docs/protocol.md section 8, first paragraph.

Never logs a request: neither its body, nor its path, nor who sent it.
"""

import asyncio
import logging
from collections.abc import Sequence
from email.utils import formatdate
from typing import TypeVar

from anontrace_shared.errors import FormatError
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from anontrace import clock
from anontrace.backend import senders
from anontrace.backend.config import HttpSettings
from anontrace.backend.errors import BackendError, Overloaded, Refused, StoreError
from anontrace.backend.senders import Senders
from anontrace.foreign.lines import plain

from .describing import ERRORS
from .http import JSON, OCTETS

_log = logging.getLogger("anontrace.backend")
_STORE_RETRY_SECONDS = 10
_MAX_BODY = 128 << 10  # the longest body that any endpoint takes is 256 messages
_FORWARDED_FOR = b"x-forwarded-for"
_MAX_PROBLEMS = 5  # of a request that are told

_Model = TypeVar("_Model", bound=BaseModel)


def application(
    title: str, settings: HttpSettings, proxies: Sequence[str], most: int = _MAX_BODY, is_described: bool = True
) -> FastAPI:
    """An application without endpoints, with what those of all servers have in common. `proxies`: addresses or
    networks of those whose X-Forwarded-For is believed. `most`: bytes of the longest body that is taken."""
    app = FastAPI(
        title=title, docs_url=None, redoc_url=None, redirect_slashes=False, responses=ERRORS,
        openapi_url="/openapi.json" if is_described else None,
    )  # fmt: skip
    app.add_middleware(BodyLimit, most=most, seconds=settings.body_seconds)
    app.add_middleware(Dated)
    app.add_middleware(HeadAsGet)
    app.add_middleware(Sender, proxies=proxies)
    install_error_handlers(app)
    return app


class Sender:
    """ASGI middleware: a request's `client` is who sent it, by the peer's address or, if that is a proxy's, by what the
    proxy says; None if it says nothing that is an address."""

    def __init__(self, app: ASGIApp, proxies: Sequence[str]) -> None:
        self._app = app
        self._proxies = Senders(proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope.get("client") is not None:
            peer, port = scope["client"]
            forwarded = [value.decode("latin-1") for name, value in scope["headers"] if name == _FORWARDED_FOR]
            found = self._proxies.before(senders.address(peer), forwarded)
            scope["client"] = None if found is None else (str(found), port)
        await self._app(scope, receive, send)


class HeadAsGet:
    """ASGI middleware: HEAD is asked as GET; the connection, which knows what was asked, leaves the body out."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, send)


class BodyLimit:
    """ASGI middleware: a body longer than `most` bytes, or slower than `seconds`, is refused before it is read."""

    def __init__(self, app: ASGIApp, most: int, seconds: float) -> None:
        self._app = app
        self._most = most
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self._most:
            await error_response(413, f"a body here has at most {self._most} bytes")(scope, receive, send)
            return
        received = 0
        deadline = asyncio.get_running_loop().time() + self._seconds
        complete = False

        async def bounded() -> Message:
            nonlocal received, complete
            if complete:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise Refused(408, "the body took too long") from None
            received += len(message.get("body", b""))
            if received > self._most:
                raise Refused(413, f"a body here has at most {self._most} bytes")
            complete = not message.get("more_body", False)
            return message

        await self._app(scope, bounded, send)


class Dated:
    """ASGI middleware: answers carry the Date of anontrace.clock, by which other servers check theirs."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"date", formatdate(clock.now(), usegmt=True).encode())]
            await send(message)

        await self._app(scope, receive, dated)


async def octets(request: Request, *, at_least: int, at_most: int, unit: int) -> bytes:
    """The binary body, of `at_least` to `at_most` bytes in steps of `unit`."""
    _require_type(request, OCTETS)
    body = await request.body()
    if not at_least <= len(body) <= at_most or (len(body) - at_least) % unit:
        wanted = f"{at_least} bytes" if at_least == at_most else f"{at_least} to {at_most} bytes in steps of {unit}"
        raise Refused(413 if len(body) > at_most else 400, f"the body has {len(body)} bytes; it has to be {wanted}")
    return body


async def json_octets(request: Request) -> bytes:
    """The body of a request that has to be JSON, unparsed."""
    _require_type(request, JSON)
    return await request.body()


async def json_body(request: Request, model: type[_Model]) -> _Model:
    """The JSON body as a model. The answer to a bad one names the fields, never the values."""
    try:
        return model.model_validate_json(await json_octets(request))
    except ValidationError as error:
        raise Refused(422, "; ".join(_problems(error))) from None


def _problems(error: ValidationError) -> list[str]:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [f"{plain('.'.join(map(str, each['loc']))) or 'body'}: {each['msg']}" for each in found[:_MAX_PROBLEMS]]


def _require_type(request: Request, wanted: str) -> None:
    given = request.headers.get("content-type", wanted).partition(";")[0].strip().lower()
    if given != wanted:
        raise Refused(415, f"the body has to be {wanted}")


def error_response(status: int, reason: str, retry_after: int | None = None) -> JSONResponse:
    """`{"error": reason}`."""
    headers = None if retry_after is None else {"Retry-After": str(retry_after)}
    return JSONResponse({"error": reason}, status, headers)


def install_error_handlers(app: FastAPI) -> None:
    """Every error leaves as JSON with one short reason."""

    async def refused(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Refused)
        return error_response(error.status, error.reason, error.retry_after)

    async def overloaded(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Overloaded)
        return error_response(503, str(error), error.retry_after)

    async def malformed(_: Request, error: Exception) -> JSONResponse:
        return error_response(422, str(error))

    async def unavailable(_: Request, error: Exception) -> JSONResponse:
        _log.error("%s: %s", type(error).__name__, error)
        reason = "the store does not take data now" if isinstance(error, StoreError) else "not available now"
        return error_response(503, reason, _STORE_RETRY_SECONDS)

    async def http(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        answer = error_response(error.status_code, str(error.detail).lower())
        answer.headers.update(error.headers or {})  # 405 says what is allowed
        return answer

    async def invalid(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        found = [f"{each['loc'][-1]}: {each['msg'].lower()}" for each in error.errors()[:_MAX_PROBLEMS]]
        return error_response(422, "; ".join(found))

    async def gone(_: Request, error: Exception) -> JSONResponse:
        return error_response(400, "the body ended too soon")  # for nobody: it hung up

    async def unexpected(_: Request, error: Exception) -> JSONResponse:
        # Only the kind: the text may quote the request.
        _log.error("internal error: %s", type(error).__name__, exc_info=_log.isEnabledFor(logging.DEBUG))
        return error_response(500, "internal error")

    app.add_exception_handler(Refused, refused)
    app.add_exception_handler(Overloaded, overloaded)
    app.add_exception_handler(FormatError, malformed)
    app.add_exception_handler(BackendError, unavailable)
    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(Exception, unexpected)
