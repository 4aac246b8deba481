"""How long tests wait: for as long as what they wait for lives.

A busy machine is slow and not broken, so no test measures time. What has ended is noticed at once; what neither ends
nor does what is expected of it is given up after HANG_SECONDS, which only a real fault ever takes.
"""

import time
from collections.abc import Callable
from typing import Any, Protocol

HANG_SECONDS = 600.0
_LOOK_SECONDS, _MAX_LOOK_SECONDS = 0.02, 0.2  # between two looks, at first and at most
_LOOK_PART = 0.05  # of the time that has passed: looking costs those their time who are waited for


class Process(Protocol):
    """What may end: a Popen, say."""

    def poll(self) -> int | None: ...


def eventually(what: str, check: Callable[[], Any], process: Process | None = None) -> Any:
    """The first true result of a check that is made again and again, as long as the process lives that is to do it."""
    began = time.monotonic()
    deadline = began + HANG_SECONDS
    while True:
        ended = None if process is None else process.poll()
        if result := check():
            return result
        assert ended is None, f"the process ended with {ended} before this was so: {what}"
        assert time.monotonic() < deadline, f"still not so after {HANG_SECONDS:.0f} s: {what}"
        time.sleep(min(max(_LOOK_SECONDS, _LOOK_PART * (time.monotonic() - began)), _MAX_LOOK_SECONDS))
