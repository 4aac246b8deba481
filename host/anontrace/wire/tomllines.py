"""TOML texts, and where in one a value is: tomllib does not tell, and an error without a line is half an error.

Reads tables and keys line by line, as people write configuration files. A value inside an inline table or an array is
reported at the line of its key, a missing one at the line of its table.
"""

import re
import tomllib
from collections.abc import Iterator
from typing import Any

from anontrace_shared.errors import FormatError
from pydantic import ValidationError

from anontrace.foreign.lines import plain

Location = tuple[int | str, ...]

MAX_CHARACTERS = 1 << 18  # of a text; a network file of 255 mixes has some 100,000, with certificates
MAX_DOTS = 16  # in a line, outside of strings: of a key with more parts tomllib makes gigabytes
MAX_DIGITS = 128  # of a number
_MAX_KEY = 256  # characters at the beginning of a line in which its key or table is looked for
_KEY_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.\"' -")
_SKIPPED = re.compile(  # strings and comments; each alternative takes what it begins, so that this is linear
    r"""
      \"{3} (?: [^"\\]++ | \\. | \"(?!\"\") )*+ (?: \"{3,5} | \Z )
    | '{3} (?: [^']++ | '(?!'') )*+ (?: '{3,5} | \Z )
    | \" (?: [^"\\\n]++ | \\[^\n] )*+ (?: \" | \\?$ )
    | ' [^'\n]*+ (?: ' | $ )
    | \# [^\n]*+
    """,
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)
_NUMBER = re.compile(rf"(?<![0-9A-Fa-f_])[0-9A-Fa-f_]{{{MAX_DIGITS + 1}}}")


def read_toml(text: str) -> dict[str, Any]:
    """The values of a TOML text. FormatError says why it is none, or none that anybody would write."""
    text = text.removeprefix("\ufeff")
    _check_bounds(text)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FormatError(f"not TOML: {plain(str(error))}") from None
    except RecursionError:
        raise FormatError("not TOML that anybody would write: nested too deeply") from None
    except ValueError:  # of a number that Python does not take
        raise FormatError("not TOML that anybody would write: a number is too long") from None


def _check_bounds(text: str) -> None:
    """FormatError for what would keep tomllib busy: it takes the square of the length of a dotted key, or of digits."""
    if len(text) > MAX_CHARACTERS:
        raise FormatError("not TOML that anybody would write: too long")
    bare = _SKIPPED.sub(lambda skipped: "\n" * skipped[0].count("\n"), text)
    for number, line in enumerate(bare.split("\n"), 1):
        if line.count(".") > MAX_DOTS:
            raise FormatError(f"not TOML that anybody would write: too many dots (at line {number})")
        if _NUMBER.search(line):
            raise FormatError(f"not TOML that anybody would write: a number is too long (at line {number})")


def line_of(text: str, location: Location) -> int | None:
    """The line (from 1) of the value at a location such as ("mix", 2, "key"), else of what it is in; else None."""
    best: tuple[int, int | None] = (0, None)
    for number, path in _paths(text):
        if len(path) > best[0] and location[: len(path)] == path:
            best = (len(path), number)
    return best[1]


def line_of_first(text: str, error: ValidationError) -> int | None:
    """The line of the first thing that pydantic found wrong in the values of a TOML text.

    A validator of a whole document may give the location in its error's context, under "at".
    """
    first = error.errors(include_url=False, include_input=False)[0]
    at: Location = first.get("ctx", {}).get("at", ())
    return line_of(text, (*first["loc"], *at))


def _paths(text: str) -> Iterator[tuple[int, Location]]:
    """Each line that opens a table or sets a key, with the location of what it opens or sets."""
    table: Location = ()
    counts: dict[Location, int] = {}
    for number, whole in enumerate(text.split("\n"), 1):
        line = whole[:_MAX_KEY].strip()
        if line.startswith("["):
            name, closed, _ = line.lstrip("[").partition("]")
            if not closed or not _KEY_CHARACTERS.issuperset(name):
                continue
            parts = _parts(name)
            table = ()
            for depth, part in enumerate(parts, 1):
                table = (*table, part)
                if line.startswith("[[") and depth == len(parts):
                    counts[table] = counts.get(table, -1) + 1
                if table in counts:
                    table = (*table, counts[table])
            yield number, table
        else:
            key, sets, _ = line.partition("=")
            if sets and key and _KEY_CHARACTERS.issuperset(key):
                yield number, (*table, *_parts(key))


def _parts(dotted: str) -> list[str]:
    return [part.strip().strip("\"'") for part in dotted.split(".")]
