"""The portal's pages out of its templates (`pages.templates`)."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from gettext import NullTranslations
from typing import Any

import jinja2
from fastapi import Request
from fastapi.responses import HTMLResponse
from markupsafe import Markup

from anontrace.backend.staff.rights import Right, Role
from anontrace.pages import catalogue, templates

from .gate import Visitor

LANGUAGE_COOKIE = "language"
_DAY = 86400
_GUARD = Markup('<input type="hidden" name="form" value="{}">')  # what shows that a form is one of a page of ours
# Where each page is, what it needs, and what it is called.
SECTIONS: tuple[tuple[str, Right, str], ...] = (
    ("/tokens", Right.SEE_TOKENS, "Tokens"),
    ("/cases", Right.SEE_CASES, "Cases"),
    ("/numbers", Right.SEE_NUMBERS, "Numbers"),
    ("/accounts", Right.SEE_ACCOUNTS, "Accounts"),
    ("/settings", Right.SEE_SETTINGS, "Settings"),
    ("/audit", Right.SEE_AUDIT, "Audit"),
)


@dataclass(frozen=True, slots=True)
class Link:
    """A place in the portal. `here`: the page that is shown is below it."""

    place: str
    name: str
    here: bool


def _moment(unix: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(unix))


def _day(day: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(day * _DAY))


@cache
def _environment(language: str) -> jinja2.Environment:
    made = templates.environment(__package__, _translations(language))
    made.filters |= {"moment": _moment, "day": _day}
    made.globals |= {"Right": Right, "Role": Role}
    return made


def _translations(language: str) -> NullTranslations:
    return catalogue.translations(__package__, language)


def language_of(request: Request) -> str:
    return catalogue.chosen(request.cookies.get(LANGUAGE_COOKIE, ""), request.headers.get("accept-language", ""))


def gettext_of(request: Request) -> Callable[[str], str]:
    """What translates for who asks."""
    return _translations(language_of(request)).gettext


def page(
    request: Request, template: str, visitor: Visitor | None = None, status: int = 200, **what: Any
) -> HTMLResponse:
    """A page, in the language of who asks."""
    language = language_of(request)
    translate = _translations(language).gettext
    path = request.url.path
    sections = [
        Link(place, translate(called), path.startswith(place))
        for place, right, called in SECTIONS
        if visitor is not None and visitor.person.may(right)
    ]
    guard = "" if visitor is None else _GUARD.format(visitor.session.form)
    text = (
        _environment(language)
        .get_template(f"{template}.html")
        .render(language=language, visitor=visitor, sections=sections, path=path, guard=lambda: guard, **what)
    )
    return HTMLResponse(text, status)
