"""Recorded contact lists in the SocioPatterns format: `time id1 id2 [class1 class2]`, one line per 20 seconds in range.

Reads, checks and cuts them; knows nothing of badges. A line at time t says: these two were in range from t to t + 20.
"""

import gzip
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

STEP = 20  # seconds of contact that one line stands for
SLOT = 300  # seconds; a window is widened to whole slots
_ID = re.compile(r"\w[\w.@+-]{0,63}")

Pair = tuple[str, str]


class ContactsError(Exception):
    """The contact list, or what is asked of it, makes no sense; the message names the place and the fault."""


@dataclass(frozen=True, slots=True)
class Line:
    """Two people in range for the 20 seconds from `time`; `classes` is empty in files without classes."""

    time: int
    first: str
    second: str
    classes: tuple[str, ...] = ()

    @property
    def pair(self) -> Pair:
        """Both people, in alphabetical order."""
        return (self.first, self.second) if self.first < self.second else (self.second, self.first)


@dataclass(frozen=True)
class Recording:
    """What is played: who is there, who is in range of whom when, in seconds of the file.

    `meetings[pair]` holds the starts of the pair's 20-second steps, ascending, each counted once.
    """

    people: tuple[str, ...]
    start: int
    end: int
    meetings: dict[Pair, tuple[int, ...]] = field(repr=False)

    def seconds(self, one: str, other: str) -> int:
        """How long these two were in range within the window."""
        pair = (one, other) if one < other else (other, one)
        return STEP * len(self.meetings.get(pair, ()))

    def intervals(self) -> dict[Pair, list[tuple[int, int]]]:
        """The steps of each pair joined to unbroken stretches (from, to)."""
        return {pair: join(steps) for pair, steps in self.meetings.items()}


def join(steps: Iterable[int]) -> list[tuple[int, int]]:
    """Ascending 20-second steps as unbroken stretches (from, to)."""
    stretches: list[tuple[int, int]] = []
    for step in steps:
        if stretches and stretches[-1][1] == step:
            stretches[-1] = (stretches[-1][0], step + STEP)
        else:
            stretches.append((step, step + STEP))
    return stretches


def _fields(text: str) -> list[str]:
    for separator in ("\t", ";", ","):
        if separator in text:
            return [part.strip() for part in text.split(separator)]
    return text.split()


def _parse(text: str) -> Line:
    """One line; ContactsError says what is wrong with it."""
    fields = _fields(text)
    if len(fields) not in (3, 5):
        raise ContactsError(f"{len(fields)} fields instead of 3 (time id1 id2) or 5 (and two classes)")
    time, first, second, *classes = fields
    if not (time.isascii() and time.isdigit()):
        raise ContactsError(f"the time {time[:40]!r} is not a whole number of seconds")
    for person in (first, second):
        if not _ID.fullmatch(person):
            raise ContactsError(f"{person[:40]!r} is no id (1 to 64 letters, digits, and . _ @ + - inside)")
    if first == second:
        raise ContactsError(f"{first[:40]!r} is in contact with itself")
    return Line(int(time), first, second, tuple(classes))


def parse(texts: Iterable[str], name: str) -> Iterator[Line]:
    """The lines of a file called `name`; a header line and blank lines are passed over."""
    for number, text in enumerate(texts, 1):
        text = text.strip("\r\n")
        if not text.strip():
            continue
        if number == 1:
            text = text.removeprefix("\ufeff")
            head = _fields(text)[0]
            if head[:1].isalpha() and len(_fields(text)) in (3, 5):
                continue
        try:
            yield _parse(text)
        except ContactsError as error:
            raise ContactsError(f"{name}, line {number}: {error}") from None


def read(path: Path) -> list[Line]:
    """All lines of a file, plain or gzip; ContactsError names the file, and the line if one is at fault."""
    try:
        with path.open("rb") as raw:
            compressed = raw.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rt", encoding="utf-8") if compressed else path.open(encoding="utf-8") as file:
            lines = list(parse(file, path.name))
    except UnicodeDecodeError:
        raise ContactsError(f"{path}: not a text file") from None
    except (OSError, EOFError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ContactsError(f"{path}: cannot be read: {reason}") from None
    if not lines:
        raise ContactsError(f"{path}: no contacts in it")
    return lines


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
) -> Recording:
    """The part to be played: lines from `start` up to but without `end`, of one class, among the busiest `people`.

    `people` counts the patient, who is always kept. The window of the result is widened to whole slots.
    """
    kept = [
        line
        for line in lines
        if (start is None or line.time >= start)
        and (end is None or line.time < end)
        and (group is None or set(line.classes) == {group})
    ]
    if not kept:
        raise ContactsError(
            "no line of the contact list lies in that window" + (f" and class {group}" if group else "")
        )
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
    phase = kept[0].time % STEP
    steps: dict[Pair, set[int]] = {}
    for line in kept:
        if line.time % STEP != phase:
            raise ContactsError(f"times {kept[0].time} and {line.time} do not lie on one grid of {STEP} seconds")
        steps.setdefault(line.pair, set()).add(line.time - phase)
    first = min(step for starts in steps.values() for step in starts)
    last = max(step for starts in steps.values() for step in starts)
    return Recording(
        people=tuple(sorted(present)),
        start=first // SLOT * SLOT,
        end=-(-(last + STEP) // SLOT) * SLOT,
        meetings={pair: tuple(sorted(starts)) for pair, starts in sorted(steps.items())},
    )
