"""The part of a recorded contact list that is played: cut out of it, and laid on the badges' thirds of a minute.

Knows nothing of files (anontrace.epidemic.contacts reads them), and nothing of badges.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from anontrace.epidemic.contacts.files import ContactsError
from anontrace.epidemic.contacts.lists import THIRD, Line, Pair, grid_of

SLOT = 300  # seconds; a window is widened to whole slots

_MIDNIGHT = 1_767_571_200  # 2026-01-05 00:00 UTC, a Monday: the day on which every play begins
_DAY = 86_400


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


def is_within(line: Line, start: int | None, end: int | None) -> bool:
    """Whether a line is in the window from `start` up to but without `end`."""
    return (start is None or line.time >= start) and (end is None or line.time < end)


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
