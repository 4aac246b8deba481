"""Who stands at the portal's door: the session in a cookie, and whether a form comes from a page of the portal.

Two guards against forms of other sites, each enough by itself: a form brings what only the portal's page knows, and the
browser says from which origin it comes.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import Response
from starlette.datastructures import FormData, UploadFile
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from anontrace.backend.authority.office import Office
from anontrace.backend.errors import Refused
from anontrace.backend.staff.records import Account, Session, Stage
from anontrace.backend.staff.rights import Person, Right
from anontrace.backend.web.app import error_response

FORM_FIELD = "form"
_MAX_FIELDS = 400
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who is signed in, or on the way there."""

    token: str
    session: Session
    account: Account

    @property
    def person(self) -> Person:
        return self.account.person

    def may(self, right: Right) -> bool:
        return self.person.may(right)


class Gate:
    """The door of one portal. `origins`: how browsers may name it, the first one as it names itself."""

    def __init__(self, office: Office, origins: Sequence[str]) -> None:
        self._office = office
        self._origins = origins
        self._is_secure = origins[0].startswith("https:")
        self._cookie = "__Host-staff" if self._is_secure else "staff"

    async def visitor(self, request: Request, stage: Stage = Stage.IN) -> Visitor:
        """Who asks. Refused (401) without a session that has come so far."""
        token = request.cookies.get(self._cookie, "")
        session, account = await self._office.sessions.find(token, stage)
        return Visitor(token, session, account)

    async def whoever(self, request: Request) -> Visitor | None:
        """Who asks, if somebody who is signed in."""
        try:
            return await self.visitor(request)
        except Refused:
            return None

    async def form(self, request: Request, visitor: Visitor | None) -> FormData:
        """What a form brings. Refused (403) unless it comes from a page of the portal that this visitor was shown."""
        self._check_origin(request)
        form = await request.form(max_files=1, max_fields=_MAX_FIELDS, max_part_size=_MAX_PART)
        if visitor is not None:
            shown = form.get(FORM_FIELD)
            if not isinstance(shown, str) or not hmac.compare_digest(
                shown.encode(errors="replace"), visitor.session.form.encode()
            ):
                raise Refused(403, "this form is of another session: load the page anew")
        return form

    async def posted(self, request: Request, right: Right | None = None) -> tuple[Visitor, FormData]:
        """Who sent a form, and what it brings. Refused (401, 403) as `visitor` and `form` do, or without this right."""
        visitor = await self.visitor(request)
        if right is not None:
            visitor.person.need(right)
        return visitor, await self.form(request, visitor)

    def _check_origin(self, request: Request) -> None:
        """Browsers name the origin of a form, or at least say whether it is the same."""
        origin = request.headers.get("origin")
        if origin is None:
            came = request.headers.get("sec-fetch-site", "same-origin")
            if came != "same-origin":
                raise Refused(403, "this form is of another site")
        elif origin not in self._origins:
            raise Refused(403, "this form is of another site")

    def let_in(self, answer: Response, token: str) -> None:
        """Have the browser keep a session."""
        answer.set_cookie(self._cookie, token, path="/", secure=self._is_secure, httponly=True, samesite="strict")

    def let_out(self, answer: Response) -> None:
        """Have the browser forget it."""
        answer.delete_cookie(self._cookie, path="/", secure=self._is_secure, httponly=True, samesite="strict")


_MAX_PART = 8 << 20


def text(form: FormData, name: str, most: int = 500) -> str:
    """A field of a form, without spaces around; "" if it is missing. Refused (422) if it is longer or is a file."""
    value = form.get(name, "")
    if isinstance(value, UploadFile) or len(value) > most:
        raise Refused(422, f"{name}: too long")
    return value.strip()


class Sheltered:
    """ASGI middleware: only for those who name the portal by one of its own names, and with what a browser has to know
    to keep others out of its pages."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._hosts = {urlsplit(each).netloc.lower() for each in origins}
        strict = [(b"strict-transport-security", b"max-age=31536000")] if origins[0].startswith("https:") else []
        self._headers = [
            (b"content-security-policy", _POLICY.encode()),
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
            await error_response(421, "the portal has another name: see `portal_url`")(scope, receive, send)
            return

        async def sheltered(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._headers]
            await send(message)

        await self._app(scope, receive, sheltered)
