"""The wearer's page put together: its places behind one door, and the connection by which a page shows that it is
open."""

import asyncio
import json
from collections.abc import AsyncIterator
from importlib import resources
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from anontrace.companion.context import Context
from anontrace.companion.words import spoken
from anontrace.pages.shelter import Sheltered

from . import answering, committing, doing, handing_in, overview, settings
from .door import POLICY, Door, Guarded
from .life import Life
from .tasks import Tasks
from .visit import Shared, View, Visit, endpoint

_STATIC = (
    ("anontrace.pages", "icon.svg", "image/svg+xml"),
    ("anontrace.pages", "pages.css", "text/css; charset=utf-8"),
    (__package__, "page.css", "text/css; charset=utf-8"),
    (__package__, "page.js", "text/javascript; charset=utf-8"),
)
PAGES: dict[str, View] = {
    "/": overview.overview,
    "/badges": overview.badges,
    "/days": overview.days,
    "/exposures": overview.exposures,
    "/report": handing_in.report_form,
    "/pass-on/{case}": handing_in.pass_on_form,
    "/answer/{case}": answering.form,
    "/settings": settings.settings,
    "/first": doing.first,
    "/working": doing.working,
}
FORMS: dict[str, View] = {
    "/first": doing.take_network,
    "/register": doing.registering,
    "/poll": doing.polling,
    "/badges/sync": doing.syncing,
    "/badges/provision": doing.provisioning,
    "/badges/set": doing.setting_badge,
    "/commit": committing.commit,
    "/report": handing_in.show_report,
    "/pass-on/{case}": handing_in.show_pass_on,
    "/send": handing_in.send,
    "/answer/{case}": answering.show,
    "/answers/send": answering.send,
    "/settings/around": settings.look_around,
    "/settings/level": settings.set_level,
    "/settings/service": settings.by_itself,
    "/settings/lock": settings.lock_secrets,
    "/settings/backup": settings.back_up,
    "/settings/erase": settings.erase,
    "/language": settings.language,
}
_LOOK_SECONDS = 0.2  # real time, between two looks at a task
_BEAT_SECONDS = 10.0  # after which a page that is gone is noticed


class Site:
    """The page of one companion, at one origin."""

    def __init__(self, context: Context, origin: str) -> None:
        self.life = Life()
        self.door = Door()
        self.tasks = Tasks(context)
        self._origin = origin
        self.shared = shared = Shared(context, self.door, self.tasks)
        routes = [Route(place, endpoint(shared, view), methods=["GET"]) for place, view in PAGES.items()]
        routes += [Route(place, endpoint(shared, view), methods=["POST"]) for place, view in FORMS.items()]
        routes += [Route(f"/static/{name}", _file(package, name, kind)) for package, name, kind in _STATIC]
        routes.append(Route("/events", self._events))
        elsewhere = "this page has another name; for it: anontrace open"
        missing = endpoint(shared, _missing)
        self.app: ASGIApp = Starlette(
            routes=routes,
            exception_handlers={404: _as_handler(missing), 405: _as_handler(missing)},
            middleware=[
                Middleware(Sheltered, origins=[origin], elsewhere=elsewhere, policy=POLICY),
                Middleware(Guarded, door=self.door, origin=origin, seen=self.life.seen),
            ],
        )

    @property
    def address(self) -> str:
        """Where a browser is let in, once."""
        return f"{self._origin}/open/{self.door.secret}"

    @property
    def is_over(self) -> bool:
        """Whether the last page is closed, and what went on is done."""
        if self.tasks.is_busy:
            self.life.seen()
        return self.life.is_over

    async def _events(self, request: Request) -> Response:
        """How the task stands, for as long as the page is open."""

        async def told() -> AsyncIterator[str]:
            with self.life.held():
                last: Any = None
                beat = 0.0
                while True:
                    task = self.tasks.last
                    if task is not None and task != last:
                        last = task
                        yield f"event: task\ndata: {json.dumps(task.document)}\n\n"
                    elif beat >= _BEAT_SECONDS:
                        beat = 0.0
                        yield ": here\n\n"
                    await asyncio.sleep(_LOOK_SECONDS)
                    beat += _LOOK_SECONDS

        return StreamingResponse(told(), media_type="text/event-stream")


def _file(package: str, name: str, kind: str) -> Any:
    data = resources.files(package).joinpath("static", name).read_bytes()

    async def file(request: Request) -> Response:
        return Response(data, media_type=kind)

    return file


def _missing(visit: Visit) -> Response:
    return visit.page("error", 404, reason=spoken("there is no such page"))


def _as_handler(answer: Any) -> Any:
    async def handler(request: Request, error: Exception) -> Response:
        found: Response = await answer(request)
        return found

    return handler
