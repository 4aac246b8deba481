"""Reading the small files that a wearer names. A pipe will do, as `--passphrase-file <(pass show badge)` makes one;
whatever does not end will not.
"""

from pathlib import Path

from anontrace.companion.errors import SetupError

MOST = 1 << 20  # bytes; the largest is a network file of 255 mixes


def read(path: Path, what: str) -> str:
    """The text of a file in UTF-8. SetupError, which calls it `what`, if it is too large, no text, or not readable."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST + 1)
    except OSError as error:
        raise SetupError(f"{what} {path} cannot be read: {error.strerror}") from error
    if len(data) > MOST:
        raise SetupError(f"{what} {path} is too large to be one")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise SetupError(f"{what} {path} is not a text file") from error
