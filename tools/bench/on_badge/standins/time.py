"""A clock that the benchmark moves by hand, so that the firmware lives through minutes in a moment."""

import utime
from utime import sleep, sleep_ms, ticks_us  # noqa: F401  (part of the module)

ms = 0


def ticks_ms():
    return ms & 0x3FFFFFFF


def ticks_add(end, start):
    return (end + start) & 0x3FFFFFFF


def ticks_diff(end, start):
    return ((end - start + 0x20000000) & 0x3FFFFFFF) - 0x20000000


def time_ns():
    return 0


def gmtime(*seconds):
    return utime.gmtime(seconds[0] + 946684800)[:8]


# asyncio's queue of tasks reads the real ticks, so these stay ahead of them.
ms = utime.ticks_ms() + 1000000 & 0x3FFFFFFF
