"""Handing in the log, for a positive test or for a case that is passed on: what is left out is chosen on a line of
hours, what is to be sent is shown, and exactly that is sent."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from starlette.responses import Response

from anontrace.clock import duration_text
from anontrace.companion.commands import report
from anontrace.companion.commands.leaving_out import PLACES, place_lines
from anontrace.companion.context import Context
from anontrace.companion.errors import SetupError
from anontrace.companion.exposures import cases
from anontrace.companion.reports import periods, preparing, presenting, results
from anontrace.companion.reports.contact_log import by_hour, summarise
from anontrace.companion.reports.periods import Period
from anontrace.companion.reports.preparing import Intent
from anontrace.companion.schedule import waiting_uploads
from anontrace.companion.store.state import State
from anontrace.companion.store.tests import POSITIVE
from anontrace.companion.store.uploads import REPORT
from anontrace.companion.words import spoken

from . import figures
from .overview import exposure_view
from .visit import Visit, keep, to

WAYS = (report.AT_ONCE, report.HIDDEN, report.DIRECTLY)
MAX_PERIODS = 400


class Asked(NamedTuple):
    """How a log is to go, and what is left out of it."""

    way: str
    periods: list[Period]
    without_places: bool


@dataclass(frozen=True)
class Draft:
    """What was shown: it is sent as it is, or not at all."""

    intent: Intent = field(repr=False)
    way: str
    subject: str = field(repr=False)  # the case that is passed on; of a report nothing


def report_form(visit: Visit) -> Response:
    """A positive test."""
    return _form(visit, None)


def pass_on_form(visit: Visit) -> Response:
    """A case that the wearer was told of."""
    return _form(visit, visit.request.path_params["case"])


def _form(visit: Visit, case: str | None) -> Response:
    with visit.context.reading() as state:
        log, said = preparing.gathered(state)
        told = None if case is None else exposure_view(cases.find(state, case))
        is_known = bool(results.open_tests(state))
    recorded = by_hour(log)
    lines = [
        {
            "day": day, "plot": figures.hours(hours, hours), "records": sum(hours.values()),
            "hours": [{"value": f"{day} {hour:02}:00-{hour + 1:02}:00", "hour": hour, "records": count}
                      for hour, count in hours.items()],
        }
        for day, hours in recorded.items()
    ]  # fmt: skip
    return visit.page(
        "hand_in", case=told, lines=lines, places=place_lines(said), ways=WAYS, undated=summarise(log).undated,
        is_empty=not log, is_known=is_known,
    )  # fmt: skip


def show_report(visit: Visit) -> Response:
    """What a report would send, or why there is none: the result of the test is asked for first."""
    token, asked = visit.text("token").strip(), _asked(visit)
    test = report.standing(visit.context, lambda: token, bool(token))
    if test.state != POSITIVE:
        return visit.page("result", lines=presenting.lines(test))

    def intend(state: State, *out: object) -> Intent:
        return preparing.intend_report(state, test.token_hash, test.code, *out)  # type: ignore[arg-type]

    return _show(visit, "", None, intend, asked)


def show_pass_on(visit: Visit) -> Response:
    """What passing on would send."""
    case: str = visit.request.path_params["case"]

    def intend(state: State, *out: object) -> Intent:
        return preparing.intend_pass_on(state, cases.find(state, case), *out)  # type: ignore[arg-type]

    return _show(visit, case, case, intend, _asked(visit))


def _asked(visit: Visit) -> Asked:
    """What the form says. SetupError if it makes no sense."""
    way = visit.text("way")
    if way not in WAYS:
        raise SetupError(spoken("choose how it is to go"))
    return Asked(way, *_left_out(visit))


def _show(visit: Visit, subject: str, case: str | None, intend: Callable[..., Intent], asked: Asked) -> Response:
    way, chosen, without_places = asked
    with visit.context.reading() as state:
        intent = intend(state, chosen, without_places)
        if intent.is_done:
            return visit.page("handed_in")
        if not intent.log:
            raise SetupError(spoken("there is nothing to send: your log is empty, or all of it is left out"))
        recorded = by_hour(preparing.gathered(state)[0])
        takes = waiting_uploads.hidden_seconds(state, intent)
        level = waiting_uploads.run_level(state).name
    sent = by_hour(intent.log)
    draft = secrets.token_urlsafe(16)
    keep(visit.site.drafts, draft, Draft(intent, way, subject))
    lines = [
        {
            "day": day, "records": sum(recorded[day].values()), "sent": sum(sent.get(day, {}).values()),
            "plot": figures.hours(recorded[day], sent.get(day, {})),
            "hours": [(hour, sent.get(day, {}).get(hour, 0), count) for hour, count in recorded[day].items()],
        }
        for day in recorded
    ]  # fmt: skip
    return visit.page(
        "send", draft=draft, case=case, summary=intent.summary, size=intent.size, way=way, lines=lines,
        places=place_lines(intent.places), is_fixed=intent.stored is not None, takes=duration_text(takes), level=level,
    )  # fmt: skip


def _left_out(visit: Visit) -> tuple[list[Period], bool]:
    """The periods that the wearer leaves out, and whether what is said of places is left out."""
    texts = [*visit.texts("out"), *(each for each in visit.text("more").splitlines() if each.strip())]
    if len(texts) > MAX_PERIODS:
        raise SetupError(spoken("these are too many periods"))
    return [periods.parse(each) for each in texts if each != PLACES], PLACES in texts


def send(visit: Visit) -> Response:
    """What was shown is sent."""
    draft = visit.site.drafts.pop(visit.text("draft"), None)
    if not isinstance(draft, Draft):
        return to("/report")  # it was sent already, or is too old: it is to be looked at again

    def work(context: Context) -> None:
        if draft.intent.kind == REPORT:
            report.hand_in(context, draft.intent, draft.way)
        else:
            report.hand_on(context, draft.intent, draft.subject, draft.way)

    return visit.begin(spoken("Hand in the log"), work)
