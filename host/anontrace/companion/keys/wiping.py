"""Overwriting files before they are deleted: as much as a program can do where disks keep copies of their own."""

import os
import stat
from pathlib import Path

_PIECE = 1 << 20


def overwrite(descriptor: int) -> None:
    """Random bytes over the whole content of an open file, written through to the disk."""
    left = os.fstat(descriptor).st_size
    os.lseek(descriptor, 0, os.SEEK_SET)
    while left > 0:
        left -= os.write(descriptor, os.urandom(min(left, _PIECE)))
    os.fsync(descriptor)


def wipe(path: Path) -> None:
    """Overwrite and delete a file; one that is not there is fine. What a link leads to is left alone."""
    flags = os.O_RDWR | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if stat.S_ISREG(found.st_mode):
        descriptor = os.open(path, flags)
        try:
            overwrite(descriptor)
        finally:
            os.close(descriptor)
    path.unlink()
