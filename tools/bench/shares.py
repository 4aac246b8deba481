"""What a server's processor time goes into, room by room: an `anontrace-server` that samples itself.

    python -m tools.bench.shares OUTPUT run FOLDER

SIGUSR1 begins the count anew; what was counted is written to OUTPUT (JSON: shares of 1 by name) when the server ends.
After each millisecond or so of processor time the main thread looks where all threads are, and puts down what each has
used since then to the room it is found in. What extension modules and the kernel do counts for whoever called them.
"""

import json
import signal
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from types import FrameType

from anontrace.backend import cli

_SECONDS = 0.001
_ROOMS = (  # the first that is part of a file's path, from the innermost frame outwards
    ("unwrap", ("/anontrace_primitives/", "/anontrace/mixnet/")),
    ("store", ("/backend/store/", "/rocksdict/", "/redis/")),
    ("HTTP in", ("/backend/web/", "/uvicorn/", "/starlette/", "/fastapi/")),
    ("HTTP out", ("/httpx/", "/httpcore/", "/h11/", "/anyio/", "/backend/peers")),
    ("mix", ("/backend/mix/", "/backend/background")),
    ("event loop, sockets", ("/asyncio/", "/uvloop/")),
)
_REST = "threads of RocksDB, all else"
NAMES = (*(name for name, _ in _ROOMS), _REST)


class Samples:
    """Seconds of processor time by room."""

    def __init__(self) -> None:
        self._spent: defaultdict[str, float] = defaultdict(float)
        self._before: dict[int, float] = {}
        self._all = time.process_time()

    def take(self, _: int, frame: FrameType | None) -> None:
        """Called by the signal of the timer."""
        frames = sys._current_frames()
        used = 0.0
        for thread in threading.enumerate():
            if thread.ident is None:
                continue
            now = _thread_seconds(thread.native_id)
            spent = now - self._before.get(thread.ident, now)
            self._before[thread.ident] = now
            where = frame if thread is threading.main_thread() else frames.get(thread.ident)
            self._spent[_room(where)] += spent
            used += spent
        everything = time.process_time()
        self._spent[_REST] += max(0.0, everything - self._all - used)
        self._all = everything

    def begin(self, *_: object) -> None:
        """Forget what was counted."""
        self._spent.clear()

    def shares(self) -> dict[str, float]:
        """Parts of 1 by room."""
        whole = sum(self._spent.values()) or 1.0
        return {name: self._spent[name] / whole for name in NAMES}


def _thread_seconds(native: int | None) -> float:
    """Processor time of a thread of this process (Linux: see `clock_gettime`, clocks by number)."""
    try:
        return time.clock_gettime((~(native or 0) << 3) | 6)
    except OSError:
        return 0.0  # it has just ended


def _room(frame: FrameType | None) -> str:
    while frame is not None:
        for name, parts in _ROOMS:
            if any(part in frame.f_code.co_filename for part in parts):
                return name
        frame = frame.f_back
    return _REST


def main() -> None:
    """The command."""
    output = Path(sys.argv.pop(1))
    samples = Samples()
    signal.signal(signal.SIGPROF, samples.take)
    signal.signal(signal.SIGUSR1, samples.begin)
    signal.setitimer(signal.ITIMER_PROF, _SECONDS, _SECONDS)
    try:
        cli.main()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        output.write_text(json.dumps(samples.shares()))


if __name__ == "__main__":
    main()
