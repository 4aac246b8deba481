"""One process at a time may change a state folder.

The lock is an exclusive transaction on a small SQLite file: the same on every system, and gone with its process.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anontrace.companion.errors import BusyError

LOCK_FILE = "lock.db"
WAIT_SECONDS = 15.0


@contextmanager
def exclusive(folder: Path, wait: float = WAIT_SECONDS) -> Iterator[None]:
    """Hold the folder; raises BusyError when another process still holds it after `wait` seconds."""
    connection = sqlite3.connect(folder / LOCK_FILE, timeout=wait, isolation_level=None)
    try:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            raise BusyError(
                f"another anontrace process works on {folder}; wait until it has finished, then try again"
            ) from error
        yield
    finally:
        connection.close()
