"""Signing in, setting an account up, the own account, the language."""

from anontrace_shared.errors import FormatError
from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from anontrace.backend.authority.office import Office
from anontrace.backend.errors import Refused
from anontrace.backend.staff.records import Stage
from anontrace.pages import catalogue
from anontrace.pages.qr import qr

from .gate import Gate, Visitor, text
from .pages import LANGUAGE_COOKIE, SECTIONS, page

_YEAR = 365 * 86400
_MAX_PASSWORD, _MAX_ANSWER = 4096, 32_768  # characters


def _sender(request: Request) -> str:
    return request.client.host if request.client else ""


def router(office: Office, gate: Gate) -> APIRouter:
    """These pages."""
    routes = APIRouter()
    entry = office.entry

    @routes.get("/")
    async def home(request: Request) -> Response:
        """The first page that the account may see."""
        visitor = await gate.visitor(request)
        return RedirectResponse(next(place for place, right, _ in SECTIONS if visitor.may(right)), 303)

    @routes.get("/login")
    async def login(request: Request) -> Response:
        """Name and password."""
        return page(request, "login", wrong="")

    @routes.post("/login")
    async def try_password(request: Request) -> Response:
        """The first step in."""
        form = await gate.form(request, None)
        try:
            with office.throttle.trying(_sender(request)):
                token = await entry.password(text(form, "name"), text(form, "password", _MAX_PASSWORD))
        except Refused as refused:
            if refused.status != 401:
                raise
            return page(request, "login", status=401, wrong=refused.reason)
        answer = RedirectResponse("/second", 303)
        gate.let_in(answer, token)
        return answer

    async def second_page(request: Request, wrong: str = "") -> Response:
        visitor = await gate.visitor(request, Stage.SECOND)
        options = await entry.challenge(visitor.token)
        return page(
            request, "second", status=401 if wrong else 200, form=visitor.session.form, options=options, wrong=wrong
        )

    @routes.get("/second")
    async def second(request: Request) -> Response:
        """The second factor."""
        return await second_page(request)

    @routes.post("/second")
    async def try_second(request: Request) -> Response:
        """A code, or what a passkey signed."""
        visitor = await gate.visitor(request, Stage.SECOND)
        form = await gate.form(request, visitor)
        try:
            with office.throttle.trying(_sender(request)):
                if passkey := text(form, "passkey", _MAX_ANSWER):
                    token, _ = await entry.passkey(visitor.token, passkey)
                else:
                    token, _ = await entry.code(visitor.token, text(form, "code"))
        except Refused as refused:
            if refused.status != 401:
                raise
            return await second_page(request, refused.reason)
        answer = RedirectResponse("/", 303)
        gate.let_in(answer, token)
        return answer

    @routes.get("/invitation")
    async def invitation(request: Request) -> Response:
        """Name and invitation."""
        return page(request, "invitation", wrong="")

    @routes.post("/invitation")
    async def try_invitation(request: Request) -> Response:
        """The way in for who has no password yet."""
        form = await gate.form(request, None)
        try:
            with office.throttle.trying(_sender(request)):
                token = await entry.invitation(text(form, "name"), text(form, "invitation"))
        except Refused as refused:
            if refused.status != 401:
                raise
            return page(request, "invitation", status=401, wrong=refused.reason)
        answer = RedirectResponse("/set-up", 303)
        gate.let_in(answer, token)
        return answer

    async def set_up_page(request: Request, wrong: str = "") -> Response:
        visitor = await gate.visitor(request, Stage.SET_UP)
        secret, address = await entry.to_set_up(visitor.token)
        return page(
            request, "set_up", status=422 if wrong else 200, form=visitor.session.form, name=visitor.account.name,
            secret=secret, picture=qr(address, "QR"), wrong=wrong,
        )  # fmt: skip

    @routes.get("/set-up")
    async def set_up(request: Request) -> Response:
        """A password and an authenticator are chosen."""
        return await set_up_page(request)

    @routes.post("/set-up")
    async def choose(request: Request) -> Response:
        """They are; the recovery codes are shown."""
        visitor = await gate.visitor(request, Stage.SET_UP)
        form = await gate.form(request, visitor)
        password = text(form, "password", _MAX_PASSWORD)
        if password != text(form, "again", _MAX_PASSWORD):
            return await set_up_page(request, "the two passwords are not the same")
        try:
            token, _, codes = await entry.set_up(visitor.token, password, text(form, "code"))
        except (Refused, FormatError) as error:
            if isinstance(error, Refused) and error.status != 422:
                raise
            return await set_up_page(request, str(error))
        session, account = await office.sessions.find(token)
        answer = page(request, "recovery", Visitor(token, session, account), codes=codes)
        gate.let_in(answer, token)
        return answer

    @routes.get("/me")
    async def me(request: Request) -> Response:
        """The own account."""
        return page(request, "me", await gate.visitor(request))

    @routes.post("/me/recovery")
    async def recovery(request: Request) -> Response:
        """Other recovery codes."""
        visitor, _ = await gate.posted(request)
        return page(request, "recovery", visitor, codes=await entry.new_recovery_codes(visitor.person.name))

    @routes.post("/me/password")
    async def password(request: Request) -> Response:
        """Another password."""
        visitor, form = await gate.posted(request)
        new = text(form, "password", _MAX_PASSWORD)
        if new != text(form, "again", _MAX_PASSWORD):
            raise Refused(422, "the two passwords are not the same")
        try:
            with office.throttle.trying(_sender(request)):
                await entry.change_password(visitor.token, text(form, "old", _MAX_PASSWORD), new)
        except Refused as refused:
            if refused.status != 401:
                raise
            raise Refused(403, "the old password is not right") from None
        return RedirectResponse("/me", 303)

    @routes.post("/me/passkey/removal")
    async def remove_passkey(request: Request) -> Response:
        """A passkey does not count any more."""
        visitor, form = await gate.posted(request)
        await entry.remove_passkey(visitor.person.name, text(form, "id", _MAX_ANSWER))
        return RedirectResponse("/me", 303)

    @routes.get("/me/passkey")
    async def passkey(request: Request) -> Response:
        """A passkey is made."""
        visitor = await gate.visitor(request)
        options = await entry.begin_passkey(visitor.token)
        return page(request, "passkey", visitor, options=options)

    @routes.post("/me/passkey")
    async def add_passkey(request: Request) -> Response:
        """It was."""
        visitor, form = await gate.posted(request)
        await entry.add_passkey(visitor.token, text(form, "passkey", _MAX_ANSWER), text(form, "name", 40))
        return RedirectResponse("/me", 303)

    @routes.post("/logout")
    async def logout(request: Request) -> Response:
        """The session is over."""
        visitor, _ = await gate.posted(request)
        await office.sessions.end(visitor.token)
        answer = RedirectResponse("/login", 303)
        gate.let_out(answer)
        return answer

    @routes.post("/language")
    async def language(request: Request) -> Response:
        """Another language, for this browser."""
        form = await gate.form(request, None)
        wanted = text(form, "language")
        back = text(form, "back")
        is_here = back.isascii() and back.isprintable() and back.startswith("/") and back[1:2] not in ("/", "\\")
        answer = RedirectResponse(back if is_here else "/", 303)
        if wanted in catalogue.NAMES:
            answer.set_cookie(LANGUAGE_COOKIE, wanted, max_age=_YEAR, httponly=True, samesite="strict")
        return answer

    return routes
