"""People of a recorded contact list, whose recorded days are repeated over weeks.

As studies with such lists do (Stehle et al., BMC Med 9 (2011) 87; Gemmetto et al., BMC Infect Dis 14 (2014) 695): the
recorded days follow each other on workdays, from the first again after the last, and nobody meets at weekends.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from anontrace_shared.figures import THIRDS

from .arrays import Array
from .contacts import lists
from .contacts.lists import THIRD
from .errors import EpidemicError
from .meetings import DAY_THIRDS, Day, Kind, ListedDay, Meetings, lost_at
from .people import WEEK, WORKDAYS

_METRES = 1.25  # whom the sensors of such lists see face to face
_SECONDS = 86_400
MAX_PEOPLE = 100_000


@dataclass(frozen=True)
class ListedPeople:
    """`names`: as in the list. `days`: those recorded."""

    names: tuple[str, ...]
    days: tuple[ListedDay, ...]

    @property
    def size(self) -> int:
        return len(self.names)

    def day(self, number: int) -> Day:
        week, weekday = divmod(number, WEEK)
        if weekday >= WORKDAYS:
            return self.days[0].without(np.ones(len(self.days[0].one), bool))
        return self.days[(week * WORKDAYS + weekday) % len(self.days)]


def read(path: Path) -> ListedPeople:
    """The people of a file in the SocioPatterns format. ContactsError says what is wrong with the file, EpidemicError
    what is with its size."""
    lines = lists.read(path).lines
    step, phase = lists.grid_of(lines)
    names = tuple(sorted({name for line in lines for name in line.pair}))
    if len(names) > MAX_PEOPLE:
        raise EpidemicError(f"{path} has {len(names):,} people, and a simulation takes {MAX_PEOPLE:,} of a list")
    number = {name: place for place, name in enumerate(names)}
    one = np.array([number[line.pair[0]] for line in lines], np.int64)
    other = np.array([number[line.pair[1]] for line in lines], np.int64)
    first = (np.array([line.time for line in lines], np.int64) - phase - step) // THIRD
    width = max(1, step // THIRD)
    one, other = np.repeat(one, width), np.repeat(other, width)
    third = np.repeat(first, width) + np.tile(np.arange(width), len(first))
    # Each pair's thirds of a minute once, and then by the slot: a badge logs one record for each.
    (pair, third), _ = _counted(one * len(names) + other, third)
    (pair, slot), thirds = _counted(pair, third // THIRDS)
    date = slot * THIRDS // DAY_THIRDS
    return ListedPeople(
        names, tuple(_day(pair[date == each], slot[date == each], thirds[date == each], len(names))
                     for each in np.unique(date)),
    )  # fmt: skip


def _counted(pair: Array, at: Array) -> tuple[tuple[Array, Array], Array]:
    """Each pair and time once, in this order, and how often it was there."""
    first, span = int(at.min()), int(np.ptp(at)) + 1
    key, counts = np.unique(pair * span + at - first, return_counts=True)
    return (key // span, key % span + first), counts


def _day(pair: Array, slot: Array, thirds: Array, people: int) -> ListedDay:
    metres = np.full(len(pair), _METRES)
    return ListedDay(
        Meetings(
            (pair // people).astype(np.int32), (pair % people).astype(np.int32),
            np.full(len(pair), Kind.LISTED, np.int8), slot * THIRDS % DAY_THIRDS, thirds,
            metres, lost_at(metres, np.zeros(len(pair))),
        )
    )  # fmt: skip
