"""One process at a time may change a state folder, and one `anontrace run` may keep it going.

The lock is an exclusive transaction on an empty SQLite file: the same on every system, and gone with its process. It
writes nothing, so that a full disk does not look like another process.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anontrace.companion.database import explain
from anontrace.companion.errors import BusyError

LOCK_FILE = "lock.db"
RUN_FILE = "run.db"  # held by `anontrace run` for as long as it goes: two would send twice as much
WAIT_SECONDS = 15.0
_AGAIN_SECONDS = 0.05


def is_held(folder: Path, file: str) -> bool:
    """Whether another process holds it at the moment; makes no file."""
    if not (folder / file).exists():
        return False
    try:
        with exclusive(folder, 0.0, file):
            return False
    except BusyError:
        return True


@contextmanager
def exclusive(folder: Path, wait: float = WAIT_SECONDS, file: str = LOCK_FILE) -> Iterator[None]:
    """Hold the folder; raises BusyError when another process still holds it after `wait` seconds, StateError when it
    cannot be held at all."""
    path = folder / file
    try:
        connection = sqlite3.connect(path, timeout=0, isolation_level=None)
    except sqlite3.OperationalError as error:
        raise explain(error, path) from error
    end = time.monotonic() + wait
    try:
        while True:
            try:
                connection.execute("PRAGMA journal_mode = OFF")
                connection.execute("BEGIN EXCLUSIVE")
                break
            except sqlite3.DatabaseError as error:
                if not isinstance(explained := explain(error, path), BusyError):
                    raise explained from error
                if time.monotonic() >= end:
                    raise BusyError(
                        f"another anontrace process works on {folder}; wait until it has finished, then try again"
                    ) from error
            time.sleep(_AGAIN_SECONDS)  # here and not in SQLite, which would let no signal through
        yield
    finally:
        connection.close()
