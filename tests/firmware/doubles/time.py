"""A time module that a test moves by hand. Counts from 2000 and loses the time at power-on, as the ESP32 does."""

ms = 0
rtc = 0  # seconds since 2000

_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def ticks_ms():
    return ms & 0x3FFFFFFF


def ticks_add(ticks, delta):
    return (ticks + delta) & 0x3FFFFFFF


def ticks_diff(end, start):
    return ((end - start + 0x20000000) & 0x3FFFFFFF) - 0x20000000


def time():
    return rtc


def time_ns():
    return rtc * 1000000000


def gmtime(seconds):
    days, rest = divmod(int(seconds), 86400)
    weekday = (days + 5) % 7
    year = 2000
    while days >= 365 + (year % 4 == 0):
        days -= 365 + (year % 4 == 0)
        year += 1
    yearday = days + 1
    month = 0
    while days >= _DAYS[month] + (month == 1 and year % 4 == 0):
        days -= _DAYS[month] + (month == 1 and year % 4 == 0)
        month += 1
    return year, month + 1, days + 1, rest // 3600, rest // 60 % 60, rest % 60, weekday, yearday
