"""Letting the wearer leave periods out of a log before it is handed over: the option, and the question."""

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from anontrace.companion.context import Context
from anontrace.companion.output import say

if TYPE_CHECKING:
    from anontrace.companion.reports.periods import Period
    from anontrace.companion.reports.preparing import Intent

WITHOUT = click.option(
    "--without", multiple=True, metavar="'DATE [HH:MM-HH:MM]'",
    help="Leave out what was recorded on this day, or at this time of it. Can be given several times.",
)  # fmt: skip

Intend = Callable[[Sequence["Period"]], "Intent"]


def settle(context: Context, without: Sequence[str], yes: bool, intend: Intend) -> "Intent":
    """What is to be sent once the wearer has left out what they want; asks if there is somebody to ask."""
    from anontrace.companion.errors import SetupError
    from anontrace.companion.reports.periods import parse

    periods = [parse(text) for text in without]
    intent = intend(periods)
    if intent.stored is not None:
        if periods and not intent.is_done:
            raise SetupError("this upload has begun, and its log is fixed; repeat the command without --without")
        return intent
    if yes or periods or context.output.as_json or not sys.stdin.isatty():
        return intent
    while intent.log:
        say(f"Your log: {intent.summary.records} sealed records of {', '.join(intent.summary.days)}.")
        typed = click.prompt(
            "Leave out a day (2026-01-31) or a part of it (2026-01-31 14:00-15:30); empty: nothing more",
            default="", show_default=False,
        )  # fmt: skip
        if not typed.strip():
            break
        try:
            periods.append(parse(typed))
        except SetupError as error:
            say(str(error))
        intent = intend(periods)
    return intent
