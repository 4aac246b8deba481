"""TOML texts, and where in one a value stands: tomllib does not tell, and an error without a line is half an error.

Reads tables and keys line by line, as people write configuration files. What stands inside an inline table or an array
is reported at the line of its key, what is missing at the line of its table.
"""

import re
import tomllib
from typing import Any

from anontrace_shared.errors import FormatError
from pydantic import ValidationError

Location = tuple[int | str, ...]

_TABLE = re.compile(r"^\s*(\[\[?)\s*([A-Za-z0-9_.\"' -]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"^\s*([A-Za-z0-9_.\"' -]+?)\s*=")


def read_toml(text: str) -> dict[str, Any]:
    """The values of a TOML text. FormatError says why it is none."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FormatError(f"not TOML: {error}") from None
    except RecursionError:
        raise FormatError("not TOML that anybody would write: nested too deeply") from None


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


def _paths(text: str) -> list[tuple[int, Location]]:
    """Each line that opens a table or sets a key, with the location of what it opens or sets."""
    found: list[tuple[int, Location]] = []
    table: Location = ()
    counts: dict[Location, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if header := _TABLE.match(line):
            parts = _parts(header[2])
            table = ()
            for depth, part in enumerate(parts, 1):
                table = (*table, part)
                if header[1] == "[[" and depth == len(parts):
                    counts[table] = counts.get(table, -1) + 1
                if table in counts:
                    table = (*table, counts[table])
            found.append((number, table))
        elif key := _KEY.match(line):
            found.append((number, (*table, *_parts(key[1]))))
    return found


def _parts(dotted: str) -> list[str]:
    return [part.strip().strip("\"'") for part in dotted.split(".")]
