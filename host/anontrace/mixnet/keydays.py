"""Which of a mix's daily keys are alive (docs/protocol.md section 6). Takes the time, never reads a clock."""

LIFE_DAYS = 30
TELLABLE_DAYS = 14  # after its slot a contact can be told for so long: its reply block's keys live until then
DECIDING_DAYS = 3  # of these, for an upload on its way and for staff to decide: what is older is not handed in
_DAY_SECONDS = 86400


def day_at(unix_seconds: float) -> int:
    """The day (UTC, counted from 1970) of a moment."""
    return int(unix_seconds // _DAY_SECONDS)


def begins(day: int) -> float:
    """The first moment of a day, unix seconds."""
    return float(day * _DAY_SECONDS)


def live_days(unix_seconds: float) -> range:
    """The days whose keys are in their 30 days now, oldest first."""
    today = day_at(unix_seconds)
    return range(today - LIFE_DAYS + 1, today + 1)


def accepted_days(unix_seconds: float) -> range:
    """The days whose keys a mix accepts: the live ones and the next, made ahead."""
    today = day_at(unix_seconds)
    return range(today - LIFE_DAYS + 1, today + 2)


def key_select(day: int) -> int:
    """The byte by which a message names the key of a day."""
    return day % 256


def selected_day(select: int, unix_seconds: float) -> int | None:
    """The accepted day that a key select byte means now, or None."""
    days = accepted_days(unix_seconds)
    back = (days[-1] - select) % 256
    return days[-1] - back if back < len(days) else None


def days_left(day: int, unix_seconds: float) -> int:
    """For how many whole days after today the key of that day will still be alive; below 0 if it is dead."""
    return day + LIFE_DAYS - 1 - day_at(unix_seconds)
