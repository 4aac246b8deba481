"""Where in a TOML text a value stands: tomllib does not tell, and an error without a line is half an error.

Finds keys as people write configuration files: tables by [name] and [[name]], one key to a line. What is written in
another way is reported at its table, or without a line.
"""

import re

_TABLE = re.compile(r"^\s*(\[\[?)\s*([A-Za-z0-9_.\"'-]+)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"^\s*([A-Za-z0-9_\"'-]+)\s*=")


def line_of(text: str, location: tuple[int | str, ...]) -> int | None:
    """The line (from 1) of the value at a location such as ("mix", 2, "key"): of its key, else of its table."""
    if not location:
        return None
    table, key = str(location[0]), None
    index = location[1] if len(location) > 1 and isinstance(location[1], int) else None
    rest = location[2:] if index is not None else location[1:]
    if rest:
        key = str(rest[0])
    found, current, seen = None, None, -1
    for number, line in enumerate(text.splitlines(), 1):
        header = _TABLE.match(line)
        if header:
            name = header[2].strip("\"'")
            if name == table and header[1] == "[[":
                seen += 1
            current = name if index is None or seen == index else None
            if current == table and found is None:
                found = number
            continue
        match = _KEY.match(line)
        if match is None:
            continue
        name = match[1].strip("\"'")
        if (current == table and name == key) or (current is None and seen < 0 and name == table):
            return number
    return found
