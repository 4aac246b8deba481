"""Numbers by day, as plots and as CSV: nothing below ten is shown."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from anontrace import clock
from anontrace.backend.authority import numbers
from anontrace.backend.authority.numbers import Row
from anontrace.backend.authority.office import Office
from anontrace.mixnet import keydays
from anontrace.pages import drawing

from .gate import Gate
from .pages import gettext_of, page

_DAYS = 28


def router(office: Office, gate: Gate) -> APIRouter:
    """These pages."""
    routes = APIRouter()

    @routes.get("/numbers")
    async def shown(request: Request) -> Response:
        """Of the last four weeks."""
        visitor = await gate.visitor(request)
        last = keydays.day_at(clock.now())
        found = await office.desk.numbers(visitor.person, last - _DAYS + 1, last)
        say = gettext_of(request)
        first = last - _DAYS + 1
        plots = [
            (say("Tokens issued"), say("days ago"), found.tokens, last),
            (say("Reports received"), say("days ago"), found.reports, last),
            (say("Notifications"), say("days ago"), found.notifications, last),
            (say("Reports by generation"), say("generation"), found.generations, None),
            (say("Cases, by days from the test to the decision"), say("days"), found.delays, None),
        ]
        shown = [(name, axis, _plot(name, axis, rows, end), rows, end) for name, axis, rows, end in plots]
        return page(request, "numbers", visitor, plots=shown, first=first, last=last)

    @routes.get("/numbers.csv")
    async def as_csv(request: Request) -> Response:
        """The same as a file."""
        visitor = await gate.visitor(request)
        last = keydays.day_at(clock.now())
        found = await office.desk.numbers(visitor.person, last - _DAYS + 1, last)
        kept = {"Content-Disposition": 'attachment; filename="numbers.csv"'}
        return Response(numbers.as_csv(found), media_type="text/csv; charset=utf-8", headers=kept)

    return routes


def _plot(name: str, axis: str, rows: list[Row], end: int | None) -> str:
    return drawing.bars(
        name, axis, [(str(row.name if end is None else end - row.name), float(row.number or 0)) for row in rows]
    )
