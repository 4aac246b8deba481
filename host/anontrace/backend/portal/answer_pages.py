"""Answers: what contacts who were told say, and the letters that staff write back."""

from fastapi import APIRouter, Path, Request
from fastapi.responses import RedirectResponse, Response

from anontrace.backend.authority.office import Office
from anontrace.backend.staff.rights import Right

from .gate import Gate, text
from .pages import page

_REPORT = Path(pattern="^[0-9a-f]{16}$")
_ANSWER = Path(pattern="^[0-9a-f]{32}$")


def router(office: Office, gate: Gate) -> APIRouter:
    """These pages."""
    routes = APIRouter()

    @routes.get("/cases/{report}/answers")
    async def answers(request: Request, report: str = _REPORT) -> Response:
        """The answers to a report, the last one first."""
        visitor = await gate.visitor(request)
        found = await office.desk.answers(visitor.person, report)
        return page(request, "answers", visitor, report=report, found=found, answers=found.answers[::-1])

    @routes.post("/cases/{report}/answers/{answer}/letter")
    async def write_back(request: Request, report: str = _REPORT, answer: str = _ANSWER) -> Response:
        """Write to who gave an answer."""
        visitor, form = await gate.posted(request, Right.WRITE_BACK)
        await office.desk.write_back(visitor.person, report, answer, text(form, "message"))
        return RedirectResponse(f"/cases/{report}/answers", 303)

    return routes
