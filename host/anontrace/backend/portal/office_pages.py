"""Accounts, settings, the audit."""

import json
from collections.abc import AsyncIterator

from anontrace_shared.errors import FormatError
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import RedirectResponse, Response, StreamingResponse

from anontrace.backend.authority.office import Office
from anontrace.backend.staff.records import Settings
from anontrace.backend.staff.rights import Right, Role

from .gate import Gate, text
from .pages import page

_NAME = Path(pattern="^[a-z][a-z0-9._-]{1,31}$")
_PART = 100  # entries a page
_AT_ONCE = 256


def role_of(value: str) -> Role:
    try:
        return Role(value)
    except ValueError:
        raise FormatError("role: there is no such role") from None


def router(office: Office, gate: Gate) -> APIRouter:
    """These pages."""
    routes = APIRouter()

    @routes.get("/accounts")
    async def accounts(request: Request) -> Response:
        """All accounts, and the form for another one."""
        visitor = await gate.visitor(request)
        visitor.person.need(Right.SEE_ACCOUNTS)
        return page(request, "accounts", visitor, accounts=await office.accounts.all())

    @routes.post("/accounts")
    async def add(request: Request) -> Response:
        """A new one, and the code for its owner."""
        visitor, form = await gate.posted(request, Right.CHANGE_ACCOUNTS)
        name = text(form, "name")
        invited = await office.accounts.add(visitor.person.name, name, role_of(text(form, "role")), text(form, "site"))
        return page(request, "invited", visitor, name=name, invitation=invited)

    @routes.post("/accounts/{name}/invitation")
    async def invite(request: Request, name: str = _NAME) -> Response:
        """After a lost factor."""
        visitor, _ = await gate.posted(request, Right.CHANGE_ACCOUNTS)
        invited = await office.accounts.invite_anew(visitor.person.name, name)
        return page(request, "invited", visitor, name=name, invitation=invited)

    @routes.post("/accounts/{name}/role")
    async def change_role(request: Request, name: str = _NAME) -> Response:
        """Another role."""
        visitor, form = await gate.posted(request, Right.CHANGE_ACCOUNTS)
        await office.accounts.set_role(visitor.person.name, name, role_of(text(form, "role")))
        return RedirectResponse("/accounts", 303)

    @routes.post("/accounts/{name}/withdrawal")
    async def withdraw(request: Request, name: str = _NAME) -> Response:
        """Withdrawn for good."""
        visitor, _ = await gate.posted(request, Right.CHANGE_ACCOUNTS)
        await office.accounts.withdraw(visitor.person.name, name)
        return RedirectResponse("/accounts", 303)

    @routes.get("/settings")
    async def settings(request: Request) -> Response:
        """What holds, and what waits."""
        visitor = await gate.visitor(request)
        visitor.person.need(Right.SEE_SETTINGS)
        return page(request, "settings", visitor, kept=await office.settings.read())

    @routes.post("/settings")
    async def change_settings(request: Request) -> Response:
        """Changed, proposed or confirmed."""
        visitor, form = await gate.posted(request, Right.CHANGE_SETTINGS)
        wanted = Settings(four_eyes=text(form, "four_eyes") == "yes")
        change = office.settings.confirm if text(form, "confirm") else office.settings.propose
        await change(visitor.person.name, wanted)
        return RedirectResponse("/settings", 303)

    @routes.get("/audit")
    async def audit(request: Request, before: int | None = Query(None, ge=0, le=1 << 40)) -> Response:
        """The last entries, or those before one."""
        visitor = await gate.visitor(request)
        visitor.person.need(Right.SEE_AUDIT)
        count = await office.audit.count()
        end = count if before is None else min(before, count)
        start = max(0, end - _PART)
        entries = (await office.audit.read(start, end - start))[::-1] if end else []
        return page(request, "audit", visitor, entries=entries, count=count, earlier=start)

    @routes.get("/audit.jsonl")
    async def export(request: Request) -> Response:
        """All of it."""
        visitor = await gate.visitor(request)
        visitor.person.need(Right.SEE_AUDIT)

        async def lines() -> AsyncIterator[str]:
            start = 0
            while part := await office.audit.read(start, _AT_ONCE):
                yield "".join(json.dumps(each) + "\n" for each in part)
                start += len(part)

        kept = {"Content-Disposition": 'attachment; filename="audit.jsonl"'}
        return StreamingResponse(lines(), media_type="application/jsonl", headers=kept)

    return routes
