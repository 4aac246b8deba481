"""What time it is, for the companion and the servers; and how to say a length of time.

Normally the system's clock. A simulator that runs faster than real time names a file in ANONTRACE_CLOCK: eight bytes,
the simulated unix time in seconds as a little-endian double, kept up to date by it and mapped into memory here.
"""

import mmap
import os
import struct
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

ENVIRONMENT = "ANONTRACE_CLOCK"


def _open(path: str) -> Callable[[], float]:
    with Path(path).open("rb") as file:
        view = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
    layout = struct.Struct("<d")
    return lambda: float(layout.unpack_from(view)[0])


@cache
def _source() -> Callable[[], float]:
    return _open(os.environ[ENVIRONMENT]) if ENVIRONMENT in os.environ else time.time


def now() -> float:
    """Unix time in seconds, simulated where a simulator runs this process."""
    return _source()()


def duration_text(seconds: float) -> str:
    """A length of time in the unit that fits it, rounded up."""
    for unit, size in (("day", 86400), ("hour", 3600)):
        if seconds >= 2 * size:
            return f"{-(-seconds // size):.0f} {unit}s"
    minutes = max(-(-seconds // 60), 1)
    return f"{minutes:.0f} minute{'' if minutes == 1 else 's'}"
