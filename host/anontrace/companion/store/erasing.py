"""Erasing a state folder: every file of the companion overwritten and deleted, the keys first.

With either key gone nothing in the database opens any more, whatever copies of it a disk may keep.
"""

from pathlib import Path

from anontrace.companion.errors import StateError
from anontrace.companion.keys import epoch, keyfile
from anontrace.companion.keys.wiping import wipe
from anontrace.companion.store import database, making
from anontrace.companion.store.lock import LOCK_FILE, RUN_FILE, exclusive

_KEYS = (epoch.FILE, keyfile.FILE, f"{Path(keyfile.FILE).stem}.new")
_DATABASE = (*making.DATABASE, f"{database.FILE}.new")  # the last one a companion up to 0.1 may have left
_LOCK = [file + suffix for file in (LOCK_FILE, RUN_FILE) for suffix in ("-journal", "")]


def erase(folder: Path) -> None:
    """Overwrite and delete what the companion wrote into this folder, and the folder itself if it is empty then."""
    try:
        with exclusive(folder):
            keyfile.forget(folder)
            for name in (*_KEYS, *_DATABASE):
                wipe(folder / name)
            making.discard(folder / making.UNFINISHED)
            making.discard(folder / making.READY)
        for name in _LOCK:
            (folder / name).unlink(missing_ok=True)
        if not any(folder.iterdir()):
            folder.rmdir()
    except OSError as error:
        raise StateError(f"not everything in {folder} could be erased: {error.strerror}; run it again") from error
