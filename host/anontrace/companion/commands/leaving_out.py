"""Letting the wearer leave periods out of a log before it is handed over: the option, and the question."""

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from anontrace.companion.context import Context
from anontrace.companion.output import say

if TYPE_CHECKING:
    from anontrace.companion.reports.periods import Period
    from anontrace.companion.reports.preparing import Intent
    from anontrace.wire.places import Places

WITHOUT = click.option(
    "--without", multiple=True, metavar="'DATE [HH:MM-HH:MM]'|places",
    help="Leave out what was recorded on this day, or at this time of it; or all that is said of places. Can be given "
    "several times.",
)  # fmt: skip

PLACES = "places"
Intend = Callable[[Sequence["Period"], bool], "Intent"]


def settle(context: Context, without: Sequence[str], yes: bool, intend: Intend) -> "Intent":
    """What is to be sent once the wearer has left out what they want; asks if there is somebody to ask."""
    from anontrace.companion.errors import SetupError
    from anontrace.companion.reports.periods import parse

    periods = [parse(text) for text in without if not _is_places(text)]
    without_places = any(map(_is_places, without))
    intent = intend(periods, without_places)
    if intent.stored is not None:
        if without and not intent.is_done:
            raise SetupError("this upload has begun, and its log is fixed; repeat the command without --without")
        return intent
    if yes or without or context.output.as_json or not sys.stdin.isatty():
        return intent
    while intent.log:
        say(f"Your log: {intent.summary.records} sealed records of {', '.join(intent.summary.days)}.")
        for each in place_lines(intent.places):
            say(each)
        also = ", or all of the places (places)" if intent.places else ""
        typed = click.prompt(
            f"Leave out a day (2026-01-31) or a part of it (2026-01-31 14:00-15:30){also}; empty: nothing more",
            default="", show_default=False,
        )  # fmt: skip
        if not typed.strip():
            break
        try:
            if _is_places(typed):
                without_places = True
            else:
                periods.append(parse(typed))
        except SetupError as error:
            say(str(error))
        intent = intend(periods, without_places)
    return intent


def _is_places(text: str) -> bool:
    return text.strip().casefold() == PLACES


def place_lines(said: "Places") -> list[str]:
    """All that a log says of places, as the wearer reads it."""
    from anontrace.companion.days import slot_text

    lines = [f"It says that it is the log of a place: {said.name} ({said.kind})."] if said.name else []
    return lines + [
        f"It says where you were: {slot_text(each.first)} to {slot_text(each.first + each.slots)}, {each.label}"
        for each in said.notes
    ]


def place_document(said: "Places") -> dict[str, Any]:
    """The same for --json."""
    notes = [{"slot": each.first, "slots": each.slots, "label": each.label} for each in said.notes]
    return {"place": {"name": said.name, "kind": said.kind} if said.name else None, "notes": notes}
