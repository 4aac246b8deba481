"""Reading the small files that operators write: what lies under their name may be anything, and is not waited for."""

import os
import stat
from pathlib import Path

from .errors import ConfigError

_MOST = 1 << 20  # bytes; the largest is a network file of 255 mixes


def read(path: Path) -> tuple[bytes, int]:
    """The bytes of a file, and its mode. FileNotFoundError; ConfigError if it cannot be read or is none of ours."""
    try:
        # Without O_NONBLOCK a pipe that nobody writes to would be waited for.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise ConfigError(f"{path}: is no regular file")
            if found.st_size > _MOST:
                raise ConfigError(f"{path}: is too large for what it has to be")
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                return file.read(_MOST), found.st_mode
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None


def read_text(path: Path) -> tuple[str, int]:
    """As `read`; ConfigError also if it is no text in UTF-8."""
    data, mode = read(path)
    try:
        return data.decode("utf-8"), mode
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is no text in UTF-8") from None
