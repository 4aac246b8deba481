"""Reading the small files that operators write: anything may have such a file's name, and is not waited for."""

from pathlib import Path

from anontrace.foreign import files

from .errors import ConfigError


def read(path: Path) -> tuple[bytes, int]:
    """The bytes of a file, and its mode. FileNotFoundError; ConfigError if it cannot be read or is none of ours."""
    try:
        data, found = files.read(path)
    except files.UnusableFile as error:
        raise ConfigError(f"{path}: {error}") from None
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    return data, found.st_mode


def read_text(path: Path) -> tuple[str, int]:
    """As `read`, its lines ended by line feeds alone; ConfigError also if it is no text in UTF-8."""
    data, mode = read(path)
    try:
        return files.text(data), mode
    except files.NoText as error:
        raise ConfigError(f"{path}: {error}") from None
