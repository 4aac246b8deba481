"""Who may see and change something on the wearer's page: the browser that was given its one-time address, and nobody
else on this computer or on the web.

The address has a secret, which is exchanged once for a cookie. Without the cookie every request is answered in the
same way, whatever it asks for.
"""

import hmac
import secrets
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from anontrace.pages import shelter
from anontrace.pages.shelter import POLICY as PORTAL_POLICY

MAX_BODY = 1 << 20  # bytes of a form, a network file among them
COOKIE = "anontrace"
POLICY = f"{PORTAL_POLICY}; connect-src 'self'"  # the page hears how far a task is
_OPEN = "/open/"

_CLOSED = "This page is for somebody else, or its address was used already. For a new one: anontrace open"
# Not a redirect: a browser that came from elsewhere would not bring the cookie to where it is led.
_OPENED = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0; url=/"><title>Anontrace</title>
<link rel="icon" href="/static/icon.svg">
<p><a href="/">Anontrace</a></p></html>
"""


class Door:
    """The keys of one server: the secret of its address, what the cookie holds, and what each form brings."""

    def __init__(self) -> None:
        self.secret = secrets.token_urlsafe(32)
        self.form = secrets.token_urlsafe(32)
        self._cookie = secrets.token_urlsafe(32)
        self._is_used = False

    def exchange(self, shown: str) -> Response:
        """The cookie for the secret, once; and the same answer as to everybody for anything else."""
        is_right = hmac.compare_digest(shown.encode(errors="replace"), self.secret.encode())
        if not is_right or self._is_used:
            return closed()
        self._is_used = True
        answer = HTMLResponse(_OPENED)
        answer.set_cookie(COOKIE, self._cookie, path="/", httponly=True, samesite="strict")
        return answer

    def knows(self, scope: Scope) -> bool:
        """Whether a request brings the cookie."""
        header = b"; ".join(value for name, value in scope["headers"] if name == b"cookie").decode("latin-1")
        try:
            found = SimpleCookie(header).get(COOKIE)
        except CookieError:
            return False
        return found is not None and hmac.compare_digest(found.value.encode(errors="replace"), self._cookie.encode())

    @property
    def is_used(self) -> bool:
        """Whether the address was opened."""
        return self._is_used


def closed() -> Response:
    """For who has no business here."""
    return PlainTextResponse(_CLOSED, 403)


class Guarded:
    """ASGI middleware: what is behind it is asked only by who brings the cookie, and by forms of our own origin."""

    def __init__(self, app: ASGIApp, door: Door, origin: str, seen: Callable[[], None]) -> None:
        """`seen`: called for each request of the wearer's."""
        self._app = app
        self._door = door
        self._origin = origin
        self._seen = seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        await self._answer(scope)(scope, receive, send)

    def _answer(self, scope: Scope) -> ASGIApp:
        request = Request(scope)
        path: str = scope["path"]
        if path.startswith(_OPEN) and scope["method"] == "GET" and not self._door.knows(scope):
            answer = self._door.exchange(path[len(_OPEN) :])
            if answer.status_code == 200:
                self._seen()
            return answer
        if not self._door.knows(scope):
            return closed()
        if path.startswith(_OPEN):  # loaded again, by the browser that it has let in
            return RedirectResponse("/", 303)
        if scope["method"] not in ("GET", "HEAD"):
            if not shelter.comes_from(request, (self._origin,)):
                return closed()
            length = request.headers.get("content-length", "")
            if not length.isascii() or not length.isdecimal() or int(length) > MAX_BODY:
                return PlainTextResponse(f"a form here has at most {MAX_BODY} bytes", 413)
        self._seen()
        return self._app
