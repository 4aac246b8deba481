"""Files that belong to one user alone: made that way, and refused where they are not.

Whatever has a given name may have been put there by somebody else: links are not followed, pipes not waited for, and
files that others own, may read or may replace are not trusted.
"""

import errno
import os
import stat
from pathlib import Path

from anontrace.companion.errors import StateError

MAX_BYTES = 1 << 16  # of a file that is read whole; the largest is the vault key with its protection
_BINARY = getattr(os, "O_BINARY", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)


def is_there(path: Path) -> bool:
    """Whether anything has this name, be it a link that leads nowhere."""
    return os.path.lexists(path)


def make(path: Path) -> int:
    """A new file for its user alone, opened for reading and writing. FileExistsError where anything has the name."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_LINK | _BINARY, 0o600)


def write(path: Path, data: bytes) -> None:
    """A new file with this content, durable when this returns. FileExistsError where anything has the name."""
    with os.fdopen(make(path), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def open_file(path: Path, for_writing: bool = False) -> int:
    """A descriptor of a file that is there. FileNotFoundError; StateError for what is not its user's alone."""
    try:
        descriptor = os.open(path, (os.O_RDWR if for_writing else os.O_RDONLY) | _NO_LINK | _NO_WAIT | _BINARY)
    except FileNotFoundError:
        raise
    except OSError as error:
        if path.is_symlink():
            raise StateError(f"{path} is a link, which is not followed; put the file itself in its place") from error
        if error.errno in (errno.EISDIR, errno.ENXIO):
            raise StateError(f"{path} is no regular file; move it away") from error
        raise StateError(f"{path} cannot be opened: {error.strerror}") from error
    try:
        _check(path, os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read(path: Path) -> bytes:
    """The content of a file, as `open_file` opens it; StateError also where it is too large to be one of ours."""
    with os.fdopen(open_file(path), "rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise StateError(f"{path} is too large for what it has to be")
    return data


def check(path: Path) -> None:
    """StateError for a file that is not its user's alone; one that is not there is fine."""
    try:
        os.close(open_file(path))
    except FileNotFoundError:
        return


def check_folder(folder: Path) -> None:
    """StateError for a folder in which others may put files, or that others may replace."""
    if os.name != "posix":
        return
    real = folder.resolve()
    found = real.stat()
    if found.st_uid != os.geteuid():
        raise StateError(f"{folder} belongs to another user; use a folder of your own (--state)")
    if found.st_mode & 0o022:
        raise StateError(f"others may write into {folder}, and may have; look what is in it, then: chmod 700 {folder}")
    for parent in real.parents:
        mode = parent.stat().st_mode
        if mode & 0o002 and not mode & stat.S_ISVTX:
            raise StateError(f"others may replace {folder}, since everybody may write into {parent}; use another place")


def sync_folder(folder: Path) -> None:
    """Make what was named, renamed or deleted in a folder durable."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _check(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise StateError(f"{path} is no regular file; move it away")
    if os.name != "posix":
        return
    if found.st_uid != os.geteuid():
        raise StateError(f"{path} belongs to another user, and is not believed; move it away")
    if found.st_mode & 0o077:
        raise StateError(f"others may open {path}, and may have changed it; if it is yours: chmod 600 {path}")
