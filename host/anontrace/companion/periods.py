"""Periods as the wearer writes them: a day, or some time of a day, in the local time of this computer."""

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from anontrace_shared.slots import SLOT_SECONDS, slot_start

from anontrace.companion.errors import SetupError

_FORM = re.compile(r"(\d{4}-\d\d-\d\d)(?: +(\d{1,2}:\d\d) *- *(\d{1,2}:\d\d))?")


@dataclass(frozen=True)
class Period:
    """From `begin` to before `end`, unix seconds."""

    begin: float
    end: float

    def touches(self, slot: int) -> bool:
        """Whether any part of the slot lies in the period."""
        return slot_start(slot) < self.end and self.begin < slot_start(slot) + SLOT_SECONDS


def parse(text: str) -> Period:
    """`DATE` or `DATE HH:MM-HH:MM`; an end that is not after the beginning is on the next day. SetupError otherwise."""
    matched = _FORM.fullmatch(text.strip())
    try:
        if matched is None:
            raise ValueError
        day = date.fromisoformat(matched[1])
        if matched[2] is None:
            begin, end = datetime.combine(day, time()), datetime.combine(day + timedelta(days=1), time())
        else:
            begin, end = (datetime.combine(day, _time(part)) for part in (matched[2], matched[3]))
            if end <= begin:
                end += timedelta(days=1)
        return Period(begin.astimezone().timestamp(), end.astimezone().timestamp())
    except (ValueError, OverflowError, OSError) as error:
        raise SetupError(
            f"{text.strip()!r} is no period: write 2026-01-31, or 2026-01-31 14:00-15:30 for a part of a day"
        ) from error


def _time(text: str) -> time:
    hours, minutes = text.split(":")
    return time(int(hours), int(minutes))
