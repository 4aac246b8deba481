"""What the commands of the health authority's staff have in common: options, questions, how things are shown."""

import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from anontrace.foreign.lines import line

_F = TypeVar("_F", bound=Callable[..., Any])


def text(context: click.Context, parameter: click.Parameter, typed: str) -> str:
    """What was typed, as UTF-8 whatever the locale."""
    try:
        return os.fsencode(typed).decode()
    except UnicodeError:
        raise click.BadParameter("this is no text in UTF-8") from None


def _report(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    report = value.strip().lower()
    if not re.fullmatch("[0-9a-f]{16}", report, re.ASCII):
        raise click.BadParameter("a report is named by 16 hex digits, as `authority reports` lists them")
    return report


REPORT = click.argument("report", callback=_report)


def options(command: _F) -> _F:
    """--config and --json."""
    as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
    folder = click.option(
        "--config",
        "folder",
        default="authority",
        show_default=True,
        type=click.Path(file_okay=False, path_type=Path),
        help="Folder of the authority's server.",
    )
    return as_json(folder(command))


yes = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")


def confirm(question: Callable[[], str], settled: bool) -> None:
    """Ask before what cannot be undone, if somebody sits at a terminal. click.Abort unless it is confirmed."""
    if not settled and sys.stdin.isatty():
        click.confirm(line(question()), abort=True, err=True)


def example(*lines: str) -> str:
    """The last lines of a command's help."""
    return "\n".join(("\b", "Example:" if len(lines) == 1 else "Examples:", *(f"  {line}" for line in lines)))


def secret(question: str, twice: bool = False) -> str:
    """What is typed without being shown; where nobody sits at a terminal, the next line of standard input."""
    if sys.stdin.isatty():
        return str(click.prompt(question, hide_input=True, confirmation_prompt=twice, err=True))
    typed = sys.stdin.readline()
    if not typed.endswith("\n"):
        raise click.UsageError(f"standard input ended before: {question.lower()}")
    return typed.rstrip("\r\n")


def when(unix: int) -> str:
    """A moment, in UTC."""
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(unix))


def shown(text: str) -> str:
    """What the server says, for rich: as it stands, on one line."""
    from rich.markup import escape

    return escape(line(text))
