"""How the companion speaks: one JSON document, or lines and tables for a person; progress on the terminal meanwhile.

rich is loaded only where something is drawn with it.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import click

from anontrace import streams
from anontrace.companion.errors import CompanionError, DeclinedError
from anontrace.foreign.lines import json_line, line

Report = Callable[[int, int], None]  # done so far, in all
BEFORE_DRAWING = 0.7  # seconds: what is quicker needs no bar


def json_text(document: dict[str, Any]) -> str:
    """A document on one line; in escapes where standard output cannot show every character."""
    return json_line(document, only_ascii=not streams.is_unicode())


class AsIs(str):
    """Text of ours, with colours or of several lines, and nothing raw in it that somebody else chose."""


def say(text: str, err: bool = False) -> None:
    """A line for a person, whatever names, messages and reasons of others stand in it."""
    click.echo(text if isinstance(text, AsIs) else line(text), err=err)


class Output:
    """Where a command's result goes."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json

    def show(self, document: dict[str, Any], lines: Callable[[], list[str]]) -> None:
        """The result of a command: the document with --json, else the lines."""
        if self.as_json:
            click.echo(json_text(document))
        else:
            for each in lines():
                say(each)

    def show_part(self, document: dict[str, Any], lines: Callable[[], list[str]], error: CompanionError) -> NoReturn:
        """The result as far as it goes, and then the error; with --json both in the one document."""
        error.details = document
        if not self.as_json:
            self.show(document, lines)
        raise error

    def table(self, title: str, columns: list[str], rows: list[list[str]]) -> list[str]:
        """A table as lines, for `show`."""
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(title=Text(line(title)), title_justify="left", box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(Text(line(column)))
        for row in rows:
            table.add_row(*(Text(line(cell)) for cell in row))
        console = Console()
        with console.capture() as captured:
            console.print(table)
        return [AsIs(each) for each in captured.get().splitlines()]

    @contextmanager
    def progress(self, doing: str, before: str | None = None) -> Iterator[Report]:
        """A bar on the terminal, drawn once it has taken a moment; nothing where there is no terminal.

        `before`: what is going on until there is something to count, for as long as that takes.
        """
        if self.as_json or not sys.stderr.isatty():
            yield lambda done, total: None
            return
        with _Bar(doing, before) as bar:
            yield bar.report


class _Bar:
    """A rich progress bar that comes into being after `BEFORE_DRAWING`: with the next report, or by itself where there
    is something to be said before the first one."""

    def __init__(self, doing: str, before: str | None) -> None:
        self._doing = doing
        self._before = before
        self._started = time.monotonic()
        self._progress: Any = None
        self._task: Any = None
        self._ended = False
        self._drawing = threading.Lock()
        self._timer = threading.Timer(BEFORE_DRAWING, self._wait)
        self._timer.daemon = True

    def __enter__(self) -> "_Bar":
        if self._before is not None:
            self._timer.start()
        return self

    def report(self, done: int, total: int) -> None:
        with self._drawing:
            if self._progress is None:
                if time.monotonic() - self._started < BEFORE_DRAWING:
                    return
                self._draw(self._doing)
            count = f"{done}/{total}"
            self._progress.update(self._task, description=self._doing, completed=done, total=total, count=count)

    def _wait(self) -> None:
        with self._drawing:
            if self._progress is None and not self._ended:
                self._draw(self._before or "")

    def _draw(self, text: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

        self._progress = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[count]}"),
            console=Console(stderr=True), transient=True,
        )  # fmt: skip
        self._task = self._progress.add_task(text, total=None, count="")
        self._progress.start()

    def __exit__(self, *failure: object) -> None:
        self._timer.cancel()
        with self._drawing:
            self._ended = True
            if self._progress is not None:
                self._progress.stop()


def confirm(question: str, if_not: str) -> None:
    """Ask for a yes; DeclinedError with this sentence at a no."""
    if not click.confirm(line(question)):
        raise DeclinedError(if_not)


def warn(sentence: str) -> None:
    """What the wearer ought to know, although the command goes on: on stderr."""
    say(f"anontrace: {sentence}", err=True)


def show_error(error: CompanionError, as_json: bool) -> None:
    """The sentence on stderr; with --json also the one document on stdout."""
    show_failure(str(error), error.kind, error.exit_code, as_json, error.details)


def show_failure(message: str, kind: str, exit_code: int, as_json: bool, details: dict[str, Any] | None = None) -> None:
    if as_json:
        document = {"error": {"kind": kind, "message": message, "exit": exit_code}, **(details or {})}
        click.echo(json_text(document))
    say(f"anontrace: {message}", err=True)
