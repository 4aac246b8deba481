"""One process at a time may change a state folder, and one `anontrace run` may keep it going.

The lock is an exclusive transaction on an empty SQLite file: the same on every system, and gone with its process. It
writes nothing, so that a full disk does not look like another process.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from anontrace.companion.errors import BusyError, StateError
from anontrace.companion.keys import private
from anontrace.companion.store.database import explain, sqlite_name

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
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOFOLLOW
    try:
        _make(path)
        connection = apsw.Connection(sqlite_name(path), flags=flags)
    except apsw.Error as error:
        raise explain(error, path) from error
    except OSError as error:
        raise StateError(f"{path} cannot be written: {error.strerror}; is {folder} yours, and writable?") from error
    end = time.monotonic() + wait
    try:
        while True:
            try:
                connection.pragma("journal_mode", "off")
                connection.execute("BEGIN EXCLUSIVE")
                break
            except apsw.NotADBError as error:
                raise StateError(f"{path} is no lock of anontrace: that has nothing in it; delete it") from error
            except apsw.Error as error:
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


def _make(path: Path) -> None:
    """The empty file, if it is not there; StateError for one that is not its user's alone."""
    try:
        os.close(private.make(path))
    except FileExistsError:
        private.check(path)
