"""Making the files of a state folder: all of them or none, wherever it is interrupted.

They are written into the subfolder `unfinished`, which is renamed to `ready` once they are complete, and then moved
into their places; whoever comes next finishes that. Nothing is made where there are traces of a state.
"""

import os
from collections.abc import Callable
from pathlib import Path

from anontrace.companion.errors import StateError
from anontrace.companion.keys import epoch, keyfile, private
from anontrace.companion.keys.wiping import wipe
from anontrace.companion.store import database

UNFINISHED = "unfinished"
READY = "ready"
DATABASE = tuple(database.FILE + beside for beside in (*database.BESIDE, ""))
FILES = (keyfile.FILE, epoch.FILE, *DATABASE)


def traces(folder: Path) -> list[str]:
    """What there is of a state; nothing new is made beside it."""
    return [name for name in (READY, *FILES) if private.is_there(folder / name)]


def prepare(folder: Path) -> None:
    """Make a folder for its user only, or close the one that is there to others."""
    database.sqlite_name(folder / database.FILE)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.name == "posix" and folder.stat().st_uid == os.geteuid():
            folder.chmod(0o700)
        private.check_folder(folder)
    except OSError as error:
        raise StateError(f"the state folder {folder} cannot be made: {error.strerror}") from error


def make(folder: Path, fill: Callable[[Path], None]) -> None:
    """Put the files that `fill` writes into an empty folder into this one, in place of those of the same names.

    The caller holds the lock. StateError when it cannot be done; then nothing has changed.
    """
    unfinished = folder / UNFINISHED
    try:
        discard(unfinished)
        unfinished.mkdir(mode=0o700)
        try:
            fill(unfinished)
            private.sync_folder(unfinished)
            unfinished.rename(folder / READY)
        except BaseException:
            discard(unfinished)
            raise
        private.sync_folder(folder)
        finish(folder)
    except OSError as error:
        raise StateError(f"the state folder {folder} cannot be made: {error.strerror}") from error


def finish(folder: Path) -> None:
    """Move what is ready into its place, if anything is; what lay there is overwritten. The caller holds the lock."""
    ready = folder / READY
    if not private.is_there(ready):
        return
    try:
        private.check_folder(ready)
        for path in sorted(ready.iterdir()):
            for name in DATABASE if path.name == database.FILE else (path.name,):
                wipe(folder / name)
            path.rename(folder / path.name)
        private.sync_folder(folder)
        ready.rmdir()
    except OSError as error:
        raise StateError(f"the state folder {folder} cannot be made: {error.strerror}") from error


def discard(unfinished: Path) -> None:
    """Overwrite and delete what an attempt left that broke off."""
    if unfinished.is_symlink():
        unfinished.unlink()
    elif unfinished.is_dir():
        for path in unfinished.iterdir():
            wipe(path)
        unfinished.rmdir()
