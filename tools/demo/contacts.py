"""Recorded contact lists, as the SocioPatterns format has them: `time id1 id2 [class1 class2]`, a line for each step.

Reads, checks and cuts them; knows nothing of badges. A line at time t says, as the format's publishers do: these two
were in range from t - step to t. The step is the grid on which the list's times lie.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tools.demo import contact_files
from tools.demo.contact_columns import Table
from tools.demo.contact_files import ContactsError

SLOT = 300  # seconds; a window is widened to whole slots
THIRD = 20  # seconds: a badge counts thirds of a minute
MIN_STEP, MAX_STEP = 10, 3600  # seconds; what is shorter than half a third, a badge may miss
MIN_TIMES = 3  # different ones, to tell from them what a line stands for
MAX_LINES = 4_000_000  # contacts kept of a list, some 100 bytes each
_ID = re.compile(r"\w[\w.@+-]{0,63}")
# How lists, and the programs that write them, say that nobody, or nobody known, was there.
_NOBODY = re.compile(r"-[1-9]|NA|N/A|<NA>|NaN|nan|NULL|null|None")

_MIDNIGHT = 1_767_571_200  # 2026-01-05 00:00 UTC, a Monday: the day on which every play begins
_DAY = 86_400

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


@dataclass(frozen=True)
class Recording:
    """What is played: who is there, who is in range of whom when, in seconds of the file.

    `meetings[pair]` holds the pair's unbroken stretches (from, to), ascending; `step` is what one line stood for.
    """

    people: tuple[str, ...]
    start: int
    end: int
    meetings: dict[Pair, tuple[tuple[int, int], ...]] = field(repr=False)
    step: int = THIRD

    @property
    def origin(self) -> int:
        """Simulated unix time of second 0 of the list; the time of day is the list's."""
        return _MIDNIGHT - self.start // _DAY * _DAY

    def seconds(self, one: str, other: str) -> int:
        """How long these two were in range within the window, as badges count: in whole thirds of a minute."""
        pair = (one, other) if one < other else (other, one)
        thirds = {
            third for start, end in self.meetings.get(pair, ()) for third in range(start // THIRD, -(-end // THIRD))
        }
        return THIRD * len(thirds)


def join(stretches: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Stretches (from, to) as unbroken ones, ascending."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(stretches):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return tuple(joined)


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
    table, passed_over = Table(contact_files.texts(path), path.name), Counter[str]()
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


def is_within(line: Line, start: int | None, end: int | None) -> bool:
    """Whether a line is in the window from `start` up to but without `end`."""
    return (start is None or line.time >= start) and (end is None or line.time < end)


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


def _busiest(lines: Iterable[Line]) -> list[str]:
    """Everybody, those with the most lines first."""
    counts = Counter(person for line in lines for person in (line.first, line.second))
    return sorted(counts, key=lambda person: (-counts[person], person))


def cut(
    lines: Iterable[Line],
    patient: str | None,
    start: int | None = None,
    end: int | None = None,
    people: int | None = None,
    group: str | None = None,
    step: int | None = None,
) -> Recording:
    """The part to be played: lines from `start` up to but without `end`, of one class, among the busiest `people`.

    `people` counts the patient, who is always kept. The window of the result is widened to whole slots. Times are moved
    by less than a third of a minute, so that steps begin as the badges' thirds do. `step`: see grid_of.
    """
    lines = list(lines)
    if not lines:
        raise ContactsError("no contacts in it")
    step, phase = grid_of(lines, step)
    kept = [line for line in lines if is_within(line, start, end)]
    if not kept:
        times = [line.time for line in lines]
        raise ContactsError(
            f"no line of the contact list lies in that window; its times go from {min(times)} to {max(times)}"
        )
    if group is not None:
        classes = sorted({each for line in kept for each in line.classes})
        if group not in classes:
            known = ", ".join(classes[:20]) + (", ..." if len(classes) > 20 else "")
            raise ContactsError(
                f"no class is called {group!r}; " + (f"there are {known}" if known else "the list has no classes")
            )
        kept = [line for line in kept if set(line.classes) == {group}]
        if not kept:
            raise ContactsError(f"nobody of class {group} met anybody else of it in that window")
    busiest = _busiest(kept)
    if patient not in busiest:
        asked = "no patient given" if patient is None else f"{patient!r} is on no line of that window"
        raise ContactsError(f"{asked}; those with the most lines: {', '.join(busiest[:5])}")
    if people is not None:
        if people < 2:
            raise ContactsError(f"{people} is too few people: the patient and one more at least")
        busiest = [patient, *(person for person in busiest if person != patient)][:people]
    present = set(busiest)
    kept = [line for line in kept if line.first in present and line.second in present]
    if not kept:
        raise ContactsError(f"{patient} and the busiest {people - 1 if people else 0} others never met in that window")
    stretches: dict[Pair, set[tuple[int, int]]] = {}
    for line in kept:
        stretches.setdefault(line.pair, set()).add((line.time - phase - step, line.time - phase))
    first = min(start for each in stretches.values() for start, _ in each)
    last = max(end for each in stretches.values() for _, end in each)
    return Recording(
        people=tuple(sorted(present)),
        start=first // SLOT * SLOT,
        end=-(-last // SLOT) * SLOT,
        meetings={pair: join(each) for pair, each in sorted(stretches.items())},
        step=step,
    )
