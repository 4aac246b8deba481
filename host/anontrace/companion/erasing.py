"""Erasing a state folder: every file of the companion overwritten and deleted, the vault key first.

With the key gone nothing in the database opens any more, whatever copies of it a disk may keep.
"""

from pathlib import Path

from anontrace.companion import database, keyfile
from anontrace.companion.errors import StateError
from anontrace.companion.lock import LOCK_FILE, RUN_FILE, exclusive
from anontrace.companion.wiping import wipe

_DATABASE = [database.FILE + suffix for suffix in ("-wal", "-shm", "-journal", ".new", "")]
_LOCK = [file + suffix for file in (LOCK_FILE, RUN_FILE) for suffix in ("-journal", "")]


def erase(folder: Path) -> None:
    """Overwrite and delete what the companion wrote into this folder, and the folder itself if it is empty then."""
    try:
        with exclusive(folder):
            keyfile.forget(folder)
            for name in (keyfile.FILE, f"{Path(keyfile.FILE).stem}.new", *_DATABASE):
                wipe(folder / name)
        for name in _LOCK:
            (folder / name).unlink(missing_ok=True)
        if not any(folder.iterdir()):
            folder.rmdir()
    except OSError as error:
        raise StateError(f"not everything in {folder} could be erased: {error.strerror}; run it again") from error
