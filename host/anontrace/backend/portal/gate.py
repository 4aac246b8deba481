"""Who stands at the portal's door: the session in a cookie, and whether a form comes from a page of the portal
(`pages.shelter`)."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import Request
from fastapi.responses import Response
from starlette.datastructures import FormData, UploadFile

from anontrace.backend.authority.office import Office
from anontrace.backend.errors import Refused
from anontrace.backend.staff.records import Account, Session, Stage
from anontrace.backend.staff.rights import Person, Right
from anontrace.pages import shelter

_MAX_FIELDS = 400
_MAX_PART = 8 << 20


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
        if not shelter.comes_from(request, self._origins):
            raise Refused(403, "this form is of another site")
        form = await request.form(max_files=1, max_fields=_MAX_FIELDS, max_part_size=_MAX_PART)
        if visitor is not None and not shelter.is_same(form.get(shelter.FORM_FIELD), visitor.session.form):
            raise Refused(403, "this form is of another session: load the page anew")
        return form

    async def posted(self, request: Request, right: Right | None = None) -> tuple[Visitor, FormData]:
        """Who sent a form, and what it brings. Refused (401, 403) as `visitor` and `form` do, or without this right."""
        visitor = await self.visitor(request)
        if right is not None:
            visitor.person.need(right)
        return visitor, await self.form(request, visitor)

    def let_in(self, answer: Response, token: str) -> None:
        """Have the browser keep a session."""
        answer.set_cookie(self._cookie, token, path="/", secure=self._is_secure, httponly=True, samesite="strict")

    def let_out(self, answer: Response) -> None:
        """Have the browser forget it."""
        answer.delete_cookie(self._cookie, path="/", secure=self._is_secure, httponly=True, samesite="strict")


def text(form: FormData, name: str, most: int = 500) -> str:
    """A field of a form, without spaces around; "" if it is missing. Refused (422) if it is longer or is a file."""
    value = form.get(name, "")
    if isinstance(value, UploadFile) or len(value) > most:
        raise Refused(422, f"{name}: too long")
    return value.strip()
