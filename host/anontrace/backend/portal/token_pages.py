"""Tokens: issued one by one or for a laboratory's file, completed with results, looked up, withdrawn. A token is shown
once, in the answer to the form that asked for it, and in no address and no list."""

import datetime

from anontrace_shared.errors import FormatError
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import FormData, UploadFile

from anontrace import clock
from anontrace.backend.authority.office import Office
from anontrace.backend.authority.register import State
from anontrace.backend.authority.samples import Sample, read_result
from anontrace.backend.errors import Refused
from anontrace.backend.staff.rights import Right
from anontrace.mixnet import keydays
from anontrace.pages.qr import qr

from . import laboratory
from .gate import Gate, text
from .pages import page

_TOKEN = Path(pattern="^[0-9a-f]{32}$")
_EPOCH = datetime.date(1970, 1, 1)
_DISEASE = "U07.1"


def day_of(value: str) -> int | None:
    """The number since 1970 of a day as a form names it; None for nothing. Refused (422) if it is none."""
    if not value:
        return None
    try:
        day = (datetime.date.fromisoformat(value) - _EPOCH).days
    except ValueError:
        raise Refused(422, "this is no day, such as 2026-11-30") from None
    if not 0 <= day < 1 << 16:
        raise Refused(422, "this is no day, such as 2026-11-30")
    return day


async def _file(form: FormData) -> bytes:
    """The file that was handed in with a form. FormatError if none was."""
    given = form.get("file")
    if not isinstance(given, UploadFile):
        raise FormatError("no file was chosen")
    return await given.read()


def router(office: Office, gate: Gate) -> APIRouter:
    """These pages."""
    routes = APIRouter()
    desk = office.desk

    @routes.get("/tokens")
    async def tokens(
        request: Request, day: str = Query("", max_length=10), reference: str = Query("", max_length=200)
    ) -> Response:
        """Those of a day, or with a reference, and the form for another one."""
        visitor = await gate.visitor(request)
        visitor.person.need(Right.SEE_TOKENS)
        wanted = day_of(day)
        shown = keydays.day_at(clock.now()) if wanted is None else wanted
        if reference:
            found = await desk.tokens_called(visitor.person, reference)
        else:
            found = await desk.tokens_of(visitor.person, shown)
        counts = {state: sum(each.state is state for each in found) for state in State}
        return page(
            request, "tokens", visitor, tokens=found, shown_day=shown, reference=reference, counts=counts,
            disease=_DISEASE, most=laboratory.MAX_LINES,
        )  # fmt: skip

    @routes.post("/tokens")
    async def issue(request: Request) -> Response:
        """One token, in large type, with a slip to be printed."""
        visitor, form = await gate.posted(request, Right.ISSUE)
        disease = text(form, "disease").upper()
        sample = Sample.typed(text(form, "reference"), text(form, "commitment"), text(form, "result"))
        issued = await desk.issue(visitor.person, disease, sample)
        pictures = [(issued, qr(issued.token, "QR"))]
        return page(request, "slips", visitor, slips=pictures, disease=disease, site=visitor.person.site)

    @routes.post("/tokens/file")
    async def issue_many(request: Request) -> Response:
        """Tokens for a laboratory's file: as a file, or as slips to be printed."""
        visitor, form = await gate.posted(request, Right.ISSUE)
        disease = text(form, "disease").upper()
        issued = await desk.issue_many(visitor.person, disease, laboratory.read(await _file(form)))
        if text(form, "as") != "slips":
            kept = {"Content-Disposition": 'attachment; filename="tokens.csv"'}
            return Response(laboratory.write(issued), media_type="text/csv; charset=utf-8", headers=kept)
        pictures = [(each, qr(each.token, "QR")) for each in issued]
        return page(request, "slips", visitor, slips=pictures, disease=disease, site=visitor.person.site)

    @routes.post("/tokens/results")
    async def complete_many(request: Request) -> Response:
        """The results of a laboratory's file."""
        visitor, form = await gate.posted(request, Right.ISSUE)
        results = laboratory.read_results(await _file(form))
        changed = await desk.complete_many(visitor.person, results)
        return page(request, "results", visitor, changed=changed, known=len(results) - changed)

    @routes.get("/tokens/{token}")
    async def token(request: Request, token: str = _TOKEN) -> Response:
        """What became of one."""
        visitor = await gate.visitor(request)
        return page(request, "token", visitor, token=await desk.token(visitor.person, token))

    @routes.post("/tokens/{token}/result")
    async def complete(request: Request, token: str = _TOKEN) -> Response:
        """Its result, which its owner is told when they ask next."""
        visitor, form = await gate.posted(request)
        await desk.complete(visitor.person, token, read_result(text(form, "result")))
        return RedirectResponse(f"/tokens/{token}", 303)

    @routes.post("/tokens/{token}/withdrawal")
    async def withdraw(request: Request, token: str = _TOKEN) -> Response:
        """It cannot be redeemed any more."""
        visitor, _ = await gate.posted(request)
        await desk.withdraw_token(visitor.person, token)
        return RedirectResponse(f"/tokens/{token}", 303)

    return routes
