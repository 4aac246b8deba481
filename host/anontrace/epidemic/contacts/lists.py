"""Recorded contact lists, as the SocioPatterns format has them: `time id1 id2 [class1 class2]`, a line for each step.

Reads and checks them; knows nothing of badges, nor of what is done with a list. A line at time t says, as the format's
publishers do: these two were in range from t - step to t. The step is the grid on which the list's times lie.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from . import files
from .columns import Table
from .files import ContactsError

THIRD = 20  # seconds: a badge counts thirds of a minute
MIN_STEP, MAX_STEP = 10, 3600  # seconds; what is shorter than half a third, a badge may miss
MIN_TIMES = 3  # different ones, to tell from them what a line stands for
MAX_LINES = 4_000_000  # contacts kept of a list, some 100 bytes each
_ID = re.compile(r"\w[\w.@+-]{0,63}")
# How lists, and the programs that write them, say that nobody, or nobody known, was there.
_NOBODY = re.compile(r"-[1-9]|NA|N/A|<NA>|NaN|nan|NULL|null|None")

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Line:
    """Two people in range for the step that ends at `time`; `classes` is empty in files without classes."""

    time: int
    first: str
    second: str
    classes: tuple[str, ...] = ()

    @property
    def pair(self) -> Pair:
        """Both people, in alphabetical order."""
        return (self.first, self.second) if self.first < self.second else (self.second, self.first)


@dataclass(frozen=True)
class ContactList:
    """A whole list: its contacts, and what was passed over in reading it, a phrase each."""

    lines: list[Line]
    passed_over: tuple[str, ...] = ()


def _lines(table: Table, name: str, passed_over: Counter[str]) -> Iterator[Line]:
    """The contacts of a table, each text kept once; counts the rows that are none."""
    known: dict[str, str] = {}

    def once(text: str) -> str:
        return known.setdefault(text, text)

    for row in table:
        if _NOBODY.fullmatch(row.first) or _NOBODY.fullmatch(row.second):
            passed_over["with nobody known"] += 1
            continue
        for person in (row.first, row.second):
            if not _ID.fullmatch(person):
                raise ContactsError(
                    f"{name}, line {row.number}: {person[:40]!r} is no id (1 to 64 letters, digits, and . _ @ + -"
                    " inside)"
                )
        if row.first == row.second:
            passed_over["of somebody with themselves"] += 1
            continue
        yield Line(row.time, once(row.first), once(row.second), tuple(map(once, row.classes)))


def parse(texts: Iterable[str], name: str) -> Iterator[Line]:
    """The contacts of a file called `name`, without header, comments, blank lines, and people with themselves."""
    return _lines(Table(texts, name), name, Counter())


def read(path: Path) -> ContactList:
    """All contacts of a file, however it is packed; ContactsError names the file, and the line if one is at fault."""
    table, passed_over = Table(files.texts(path), path.name), Counter[str]()
    lines: list[Line] = []
    for line in _lines(table, path.name, passed_over):
        if len(lines) == MAX_LINES:
            raise ContactsError(f"{path} has more than {MAX_LINES:,} contacts: cut it first")
        lines.append(line)
    phrases = [f"{count} line{'s' if count > 1 else ''} {what}" for what, count in sorted(passed_over.items())]
    if table.columns is not None and table.columns.unused:
        phrases.append(f"what is in {', '.join(table.columns.unused)}")
    if not lines:
        raise ContactsError(f"{path}: no contacts in it" + (f", only {', '.join(phrases)}" if passed_over else ""))
    return ContactList(lines, tuple(phrases))


def grid_of(lines: Iterable[Line], given: int | None = None) -> tuple[int, int]:
    """What a line stands for in seconds, and where the grid of the times begins, in seconds after a badge's third.

    The step is `given`, or else what the times are apart; the format's 20 s where they are too few to tell.
    ContactsError when badges could not play it.
    """
    times = sorted({line.time for line in lines})
    apart = math.gcd(*(time - times[0] for time in times))  # 0 if there is only one
    if apart % MIN_STEP:
        off = next(time for time in times if (time - times[0]) % MIN_STEP)
        raise ContactsError(
            f"times {times[0]} and {off} do not lie on one grid of {MIN_STEP} seconds or a multiple of it: is that "
            "column the time, in seconds? A header such as t,i,j says which one is"
        )
    step = given or (apart if len(times) >= MIN_TIMES or apart % THIRD else THIRD)
    if step > MAX_STEP:
        raise ContactsError(f"its times lie {apart} s apart: say STEP= for how many seconds before it a line stands")
    return step, times[0] % math.gcd(THIRD, apart)
