"""Reading the small files that a wearer names.

A pipe is accepted, such as `--passphrase-file <(pass show badge)` makes; something that never ends is not.
"""

import sys
from pathlib import Path

from anontrace.companion.errors import SetupError
from anontrace.foreign import files
from anontrace.foreign.files import MAX_BYTES as MAX_BYTES

MAX_LINE = 1 << 10  # bytes of a line on standard input


def read(path: Path, what: str) -> str:
    """The text of a file in UTF-8. SetupError, which calls it `what`, if it is too large, no text, or not readable."""
    try:
        return text(files.read(path, pipes=True)[0], f"{what} {path}")
    except files.TooLarge as error:
        raise SetupError(f"{what} {path} is too large to be one") from error
    except files.UnusableFile as error:
        raise SetupError(f"{what} {path} {error}") from error
    except OSError as error:
        raise SetupError(f"{what} {path} cannot be read: {error.strerror}") from error


def text(data: bytes, what: str) -> str:
    """The text in these bytes. SetupError, which calls them `what`, if they are none."""
    try:
        return files.text(data)
    except files.NoText as error:
        raise SetupError(f"{what} is not a text file that can be used: it {error}") from error


def read_line(what: str) -> str:
    """The first line of standard input. SetupError, which calls it `what`, if it is none of text, or too long."""
    data = sys.stdin.buffer.readline(MAX_LINE + 1)
    if len(data) > MAX_LINE:
        raise SetupError(f"{what} on standard input is too long to be one")
    return text(data, f"{what} on standard input")
