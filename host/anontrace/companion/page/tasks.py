"""What takes a while, one after the other: the commands' own code in a thread, which says how far it is.

A task is not broken off when the page is closed: the server stays until it is done.
"""

import contextvars
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import click

from anontrace.companion.context import Context
from anontrace.companion.errors import BusyError, CompanionError
from anontrace.companion.output import Output, Report
from anontrace.companion.words import spoken
from anontrace.lazygroup import SETTINGS

Work = Callable[[Context], None]


@dataclass(frozen=True)
class Standing:
    """How far a task is. Without a total there is nothing to count."""

    number: int
    name: str
    doing: str = ""
    done: int = 0
    total: int = 0
    ended: bool = False
    lines: tuple[str, ...] = ()
    error: str | None = field(default=None)

    @property
    def document(self) -> dict[str, Any]:
        """What the page's script is told."""
        shown = ("number", "doing", "done", "total", "ended")
        return {name: getattr(self, name) for name in shown}


class Tasks:
    """One at a time; the last one stays, to be read."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._last: Standing | None = None

    @property
    def last(self) -> Standing | None:
        """The task that is going on, or else the one that was the last."""
        return self._last

    @property
    def is_busy(self) -> bool:
        return self._last is not None and not self._last.ended

    def start(self, name: str, work: Work) -> Standing:
        """Begin; BusyError while another one goes on."""
        with self._lock:
            if self.is_busy:
                raise BusyError(spoken("something else is going on; wait until it has finished, then try again"))
            number = 1 if self._last is None else self._last.number + 1
            self._last = Standing(number, name)
        context = contextvars.copy_context()  # with the wearer's language
        threading.Thread(target=context.run, args=(self._do, work), daemon=True).start()
        return self._last

    def _do(self, work: Work) -> None:
        output = _PageOutput(self._tell)
        error: str | None = None
        try:
            work(self._context.speaking(output))
        except CompanionError as failure:
            error = str(failure)
        except click.ClickException as failure:
            error = failure.format_message()
        except Exception as failure:
            error = f"a fault of the program ({type(failure).__name__}); see: anontrace doctor"
        self._tell(ended=True, error=error, lines=tuple(output.lines))

    def _tell(self, **what: Any) -> None:
        assert self._last is not None  # it was begun
        self._last = replace(self._last, **what)


class _PageOutput(Output):
    """Keeps what a command says, for the page."""

    def __init__(self, tell: Callable[..., None]) -> None:
        super().__init__(as_json=False)
        self.lines: list[str] = []
        self._tell_of = tell

    def show(self, document: dict[str, Any], lines: Callable[[], list[str]]) -> None:
        self.lines += lines()

    @contextmanager
    def progress(self, doing: str, before: str | None = None) -> Iterator[Report]:
        first, then = (spoken(each) if each else "" for each in (before or doing, doing))  # "" has a meaning there
        self._tell_of(doing=first, done=0, total=0)
        yield lambda done, total: self._tell_of(doing=then, done=done, total=total)


def command(group: click.Command, *arguments: str) -> Work:
    """A command of the command line, as it stands there."""

    def work(context: Context) -> None:
        name = f"anontrace {group.name}"
        group.main([*arguments], prog_name=name, standalone_mode=False, obj=context, **SETTINGS)

    return work
