"""Answering the health authority: what is to be said is chosen, shown, and exactly that is sent."""

import secrets
from dataclasses import dataclass, field

from starlette.responses import Response

from anontrace.companion.commands import answering
from anontrace.companion.commands.answering import SEALED, Shown
from anontrace.companion.context import Context
from anontrace.companion.exposures import answers, cases
from anontrace.companion.exposures.answers import Wish
from anontrace.companion.words import spoken

from .overview import exposure_view
from .visit import Visit, keep, to


@dataclass(frozen=True)
class Draft:
    """What was shown: it is given as it is, or not at all."""

    shown: Shown = field(repr=False)
    hidden: bool


def form(visit: Visit) -> Response:
    """What may be said about a case."""
    case: str = visit.request.path_params["case"]
    with visit.context.reading() as state:
        told = exposure_view(cases.find(state, case))
    return visit.page("answer", case=told)


def show(visit: Visit) -> Response:
    """What the answer would say."""
    case: str = visit.request.path_params["case"]
    result = visit.text("result")
    wish = Wish(
        test=visit.text("test") == "yes", number=visit.text("call"), positive=result == "positive",
        negative=result == "negative", note=visit.text("note"), nearness=visit.text("nearness") == "yes",
    )  # fmt: skip
    shown = answering.look(visit.context, case, wish, visit.text("reachable") == "yes")
    draft = secrets.token_urlsafe(16)
    hidden = visit.text("way") == "hidden"
    keep(visit.site.drafts, draft, Draft(shown, hidden))
    return visit.page(
        "answer_shown", draft=draft, lines=answers.lines(shown.said), sealed=spoken(SEALED), hidden=hidden
    )


def send(visit: Visit) -> Response:
    """What was shown is sent."""
    draft = visit.site.drafts.pop(visit.text("draft"), None)
    if not isinstance(draft, Draft):
        return to("/exposures")  # it was sent already, or is too old: it is to be looked at again

    def work(context: Context) -> None:
        answering.hand_over(context, draft.shown, draft.hidden)

    return visit.begin(spoken("Answer the health authority"), work)
