"""One request of the wearer's: what it brings, and the page that answers it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jinja2
from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from anontrace.companion import words
from anontrace.companion.context import Context
from anontrace.companion.days import moment_text, slot_text
from anontrace.companion.errors import CompanionError, SetupError
from anontrace.companion.store import making
from anontrace.foreign.lines import line
from anontrace.pages import catalogue, shelter, templates

from .door import Door, closed
from .tasks import Tasks, Work

LANGUAGE_COOKIE = "language"
FIRST = "/first"
_MAX_FIELDS = 600
_MAX_FIELD = 4096  # characters
_MAX_DRAFTS = 8
_GUARD = Markup('<input type="hidden" name="form" value="{}">')  # what shows that a form is one of a page of ours
SECTIONS = (
    ("/", words.later("Overview")),
    ("/badges", words.later("Badge")),
    ("/days", words.later("Days")),
    ("/exposures", words.later("Exposures")),
    ("/report", words.later("Report")),
    ("/settings", words.later("Settings")),
)


@dataclass(frozen=True)
class Shared:
    """What all requests share."""

    context: Context
    door: Door
    tasks: Tasks
    drafts: dict[str, Any] = field(default_factory=dict, repr=False)  # what was shown to be sent, until it is


@dataclass(frozen=True)
class Visit:
    """One request, and the form that it brings."""

    site: Shared
    request: Request
    form: FormData

    @property
    def context(self) -> Context:
        return self.site.context

    def text(self, name: str) -> str:
        """A field, without spaces around; "" if it is missing. SetupError if it is longer than any has to be."""
        return self.verbatim(name).strip()

    def verbatim(self, name: str) -> str:
        """A field as it was typed, such as a passphrase."""
        value = self.form.get(name, "")
        if isinstance(value, UploadFile) or len(value) > _MAX_FIELD:
            raise SetupError(words.spoken("what was typed is too long"))
        return value

    def texts(self, name: str) -> list[str]:
        """All fields of this name."""
        return [each for each in self.form.getlist(name) if isinstance(each, str)]

    def page(self, template: str, status: int = 200, **what: Any) -> Response:
        """A page in the language of who asks."""
        path = self.request.url.path
        has_state = bool(making.traces(self.context.folder))
        sections = (
            [(place, words.spoken(name), _is_below(path, place)) for place, name in SECTIONS] if has_state else []
        )
        text = (
            _environment(words.language())
            .get_template(f"{template}.html")
            .render(
                language=words.language(), sections=sections, path=path, task=self.site.tasks.last,
                guard=lambda: _GUARD.format(self.site.door.form), **what,
            )
        )  # fmt: skip
        return HTMLResponse(text, status)

    def begin(self, name: str, work: Work) -> Response:
        """Start a task, and show how far it is."""
        self.site.tasks.start(name, work)
        return to("/working")


View = Callable[[Visit], Response]


def keep(drafts: dict[str, Any], name: str, draft: Any) -> None:
    """Keep what was shown until it is sent, in the place of what was shown longest ago."""
    while len(drafts) >= _MAX_DRAFTS:
        del drafts[next(iter(drafts))]
    drafts[name] = draft


def to(place: str) -> Response:
    """Have the browser ask for another page."""
    return RedirectResponse(place, 303)


def _is_below(path: str, place: str) -> bool:
    return path == place or (place != "/" and path.startswith(f"{place}/"))


def _plain(value: Any) -> Any:
    """Whatever somebody else chose is one line, without what a screen would obey."""
    return line(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def _environment(language: str) -> jinja2.Environment:
    made = templates.environment(__package__, words.translations(language), _plain)
    made.filters |= {"moment": moment_text, "slot": slot_text}
    return made


def endpoint(site: Shared, view: View) -> Callable[[Request], Awaitable[Response]]:
    """A view as what answers a request: in a thread of its own, in the wearer's language, errors as pages."""

    async def answer(request: Request) -> Response:
        form = FormData()
        if request.method == "POST":
            form = await request.form(max_files=1, max_fields=_MAX_FIELDS)
            if not shelter.is_same(form.get(shelter.FORM_FIELD), site.door.form):
                return closed()
        visit = Visit(site, request, form)
        language = catalogue.chosen(
            request.cookies.get(LANGUAGE_COOKIE, ""), request.headers.get("accept-language", "")
        )  # fmt: skip
        with words.spoken_in(language):
            uploaded = form.get("file")
            if isinstance(uploaded, UploadFile):
                request.state.file = await uploaded.read()
            return await run_in_threadpool(_answered, visit, view)

    return answer


def _answered(visit: Visit, view: View) -> Response:
    try:
        return view(visit)
    except CompanionError as error:
        is_new = isinstance(error, SetupError) and not making.traces(visit.context.folder)
        if is_new and visit.request.method == "GET" and visit.request.url.path != FIRST:
            return to(FIRST)
        return visit.page("error", 409, reason=words.spoken(str(error)))
    except Exception as error:
        said = words.spoken("a fault of the program (%(kind)s); please report it", kind=type(error).__name__)
        return visit.page("error", 500, reason=said)
