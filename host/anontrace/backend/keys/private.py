"""Reading and making files that hold a secret: no link is followed, and what others could have put there is refused.

Others are all users but the server's own, root, and, where a command is given by root, the owner of the folder.
"""

import os
import stat
from pathlib import Path

from anontrace.backend.errors import ConfigError
from anontrace.foreign import files


def read(path: Path) -> bytes:
    """The bytes of a secret's file. FileNotFoundError; ConfigError if it is a link or no regular file, another user's,
    open to others, or in a folder that others may write into."""
    try:
        data, found = files.read(path, links=False)
        if os.name == "posix":
            folder = _checked_folder(path)
            if found.st_uid not in (os.geteuid(), 0, folder.st_uid):
                raise ConfigError(
                    f"{path}: belongs to another user, who may have put it there; chown it if it is yours"
                )
            if found.st_mode & 0o077:
                raise ConfigError(f"{path}: others may read this secret; chmod 600 it")
    except files.UnusableFile as error:
        raise ConfigError(f"{path}: {error}") from None
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    return data


def text(path: Path) -> str:
    """As `read`; ConfigError also if it is no text in UTF-8."""
    try:
        return files.text(read(path))
    except files.NoText as error:
        raise ConfigError(f"{path}: {error}") from None


def write_new(path: Path, content: str) -> None:
    """A new file for its user alone, durable when this returns. FileExistsError where anything has the name."""
    if os.name == "posix":
        _checked_folder(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    with os.fdopen(os.open(path, flags, 0o600), "w", encoding="ascii") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _checked_folder(path: Path) -> os.stat_result:
    """ConfigError for a folder in which others may replace a file; in one like /tmp they may not."""
    folder = path.parent
    found = folder.stat()
    if found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX:
        raise ConfigError(f"{path}: others may write into {folder}; see whether they have, then chmod go-w it")
    if os.geteuid() != 0 and found.st_uid not in (os.geteuid(), 0):
        raise ConfigError(f"{path}: its folder {folder} belongs to another user")
    return found
