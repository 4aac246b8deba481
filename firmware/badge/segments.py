"""What is done with whole segments of the log: read, freed, expired, all of them erased (docs/protocol.md, section 3).

A guest. `logbook` is the badge's Logbook.
"""

from micropython import const

from .logbook import day_of, path_of

_ENOSPC = const(28)


def read(logbook, number, offset, length, chunk):
    """Iterate over `length` bytes of a segment from `offset`, `chunk` at a time; stops at the segment's end."""
    left = min(length, logbook.size(number) - offset)
    with open(path_of(number), "rb") as file:
        file.seek(offset)
        while left > 0:
            data = file.read(min(left, chunk))
            if not data:
                return
            left -= len(data)
            yield data


def free(logbook, below):
    """Remove all segments below this number; the open one stays. The number removed."""
    state = logbook.state
    freed = 0
    for number in logbook.numbers():
        if number < below and number != state.segment:
            logbook.remove(number)
            freed += 1
    if state.log_was_full:
        state.log_was_full = 0
        state.save()
    return freed


def erase(logbook):
    """Remove everything."""
    logbook.abandon()
    logbook.rotate()
    for number in logbook.numbers():
        logbook.remove(number)


def expire(logbook, today, boot_day):
    """Remove the segments of more days ago than are kept: `today` (None: nobody knows), so many after the boot.

    Each by its own day. One without, of another boot or of a day to come (the clock was wrong), is at least as old as
    the next that has one.
    """
    state = logbook.state
    age = None
    for number in reversed(logbook.numbers()):
        day = logbook.day if number == state.segment else day_of(number)
        if day is not None and 0 <= day and today is not None and day <= today:
            age = today - day
        elif day is not None and day < 0 and -1 - day >> 8 == state.boot:
            age = boot_day - (-1 - day & 0xFF)
        if age is not None and age > state.keep_days:
            if number == state.segment:
                logbook.advance()
            logbook.remove(number)


def drop_oldest(logbook):
    """Remove the oldest day; of today only the oldest segment. OSError(ENOSPC) if only the open one is left."""
    state = logbook.state
    numbers = [number for number in logbook.numbers() if number != state.segment]
    if not numbers:
        raise OSError(_ENOSPC)
    day = day_of(numbers[0])
    for number in numbers:
        if number != numbers[0] and (day == logbook.day or day_of(number) != day):
            break
        logbook.remove(number)
    if not state.log_was_full:
        state.log_was_full = 1
        state.save()
