"""Seconds of a date since 2000-01-01, which the chip's clock and mktime both need. Reads no clock."""


def seconds(year, month, day, hour, minute, second):
    """By the proleptic Gregorian calendar; years are counted from March."""
    if month < 3:
        year -= 1
        month += 12
    days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * month - 457) // 5 + day - 730426
    return ((days * 24 + hour) * 60 + minute) * 60 + second
