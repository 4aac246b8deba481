"""Periods as the wearer writes them: a day, or some time of a day, in the local time of this computer.

A wall clock may show a time twice, or never. So a period is everything from the first to the last minute at which the
clock showed a time of the period. If it never showed the time at which the period begins or ends, both readings are
included: by the time before the change, and by the time after it. In doubt a period is too long, never too short.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from anontrace_shared.slots import slot_of

from anontrace.companion.errors import SetupError

_FORM = re.compile(r"(\d{4}-\d\d-\d\d)(?: +(\d{1,2}:\d\d) *[-\u2010-\u2015\u2212] *(\d{1,2}:\d\d))?")
_DAY, _MINUTE = timedelta(days=1), timedelta(minutes=1)
_MINUTE_SECONDS = 60
_MAX_OFFSET = 2 * 86400  # seconds between local time and UTC, over any change of the time zone


@dataclass(frozen=True)
class Period:
    """All slots of which a part lies in it."""

    slots: frozenset[int]

    def touches(self, slot: int) -> bool:
        """Whether any part of the slot lies in the period."""
        return slot in self.slots


def parse(text: str) -> Period:
    """`DATE` or `DATE HH:MM-HH:MM`; an end that is not after the beginning is on the next day. SetupError otherwise."""
    matched = _FORM.fullmatch(text.strip())
    try:
        if matched is None:
            raise ValueError
        day = date.fromisoformat(matched[1])
        if matched[2] is None:
            begin = datetime.combine(day, time())
            end = begin + _DAY
            minutes = _shown(begin, end) or _meant(begin, end)
        else:
            begin, end = _moment(day, matched[2]), _moment(day, matched[3])
            if end <= begin:
                end += _DAY
            minutes = _shown(begin, end)
            if not (_was_shown(begin) and _was_shown(end - _MINUTE)):
                minutes += _meant(begin, end)
        return Period(frozenset(range(slot_of(min(minutes)), slot_of(max(minutes)) + 1)))
    except (ValueError, OverflowError, OSError) as error:
        raise SetupError(
            f"{text.strip()!r} is no period: write 2026-01-31, or 2026-01-31 14:00-15:30 for a part of a day"
        ) from error


def _shown(begin: datetime, end: datetime) -> list[int]:
    """The minutes (unix seconds of their starts) in which the local time was from `begin` to before `end`."""
    first, last = (int(each.replace(tzinfo=UTC).timestamp()) for each in (begin, end))
    return [
        minute
        for minute in range(first - _MAX_OFFSET, last + _MAX_OFFSET, _MINUTE_SECONDS)
        if begin - _MINUTE < datetime.fromtimestamp(minute) < end
    ]


def _meant(begin: datetime, end: datetime) -> list[int]:
    """The first and the last minute that may be meant by a beginning or an end that was not shown."""
    return [min(_readings(begin)), max(_readings(end - _MINUTE))]


def _was_shown(moment: datetime) -> bool:
    by_the_time_before, by_the_time_after = _readings(moment)
    return by_the_time_before <= by_the_time_after


def _readings(moment: datetime) -> tuple[int, int]:
    """What a local time means by the offset before a change of the clocks, and by the one after it, unix seconds."""
    before, after = (int(moment.replace(fold=fold).timestamp()) for fold in (0, 1))
    return before, after


def _moment(day: date, text: str) -> datetime:
    """A time of the day; 24:00 is where it ends."""
    hours, minutes = (int(part) for part in text.split(":"))
    if (hours, minutes) == (24, 0):
        return datetime.combine(day, time()) + _DAY
    return datetime.combine(day, time(hours, minutes))
