"""What keeps others out of pages: the name by which they are asked for, what a browser has to know of them, and from
which site a form comes.

Two guards against forms of other sites, each enough by itself: a form brings what only a page of ours knows, and the
browser says from which origin it comes.
"""

import hmac
from collections.abc import Container, Sequence
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FORM_FIELD = "form"
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)


class Sheltered:
    """ASGI middleware: only for those who name the pages by one of their own names, and with what a browser has to know
    to keep others out of them."""

    def __init__(self, app: ASGIApp, origins: Sequence[str], elsewhere: str, policy: str = POLICY) -> None:
        """`elsewhere`: what is said to who names them otherwise."""
        self._app = app
        self._hosts = {urlsplit(each).netloc.lower() for each in origins}
        self._elsewhere = elsewhere
        strict = [(b"strict-transport-security", b"max-age=31536000")] if origins[0].startswith("https:") else []
        self._headers = [
            (b"content-security-policy", policy.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"same-origin"),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"cross-origin-resource-policy", b"same-origin"),
            (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
            (b"cache-control", b"no-store"),
            *strict,
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1").lower()
        if host not in self._hosts:
            await JSONResponse({"error": self._elsewhere}, 421)(scope, receive, send)
            return

        async def sheltered(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._headers]
            await send(message)

        await self._app(scope, receive, sheltered)


def comes_from(request: Request, origins: Container[str]) -> bool:
    """Whether a form comes from one of these origins. Browsers name it, or at least say whether it is the same."""
    origin = request.headers.get("origin")
    if origin is None:
        return request.headers.get("sec-fetch-site", "same-origin") == "same-origin"
    return origin in origins


def is_same(shown: object, known: str) -> bool:
    """Whether a form has brought what only a page of ours knows."""
    return isinstance(shown, str) and hmac.compare_digest(shown.encode(errors="replace"), known.encode())
