"""Text that others chose (a server, a badge, a file's name), as one line that does nothing to a terminal or a log."""

import json
import unicodedata
from typing import Any

MAX_PLAIN = 120  # characters


def line(text: str) -> str:
    """The text on one line: nothing that moves a cursor, changes a colour or the direction of writing, or is not seen.

    Every blank is a space, and a question mark stands for whatever else does not print.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _shown(each) for each in text)


def _shown(character: str) -> str:
    return " " if character == "\t" or unicodedata.category(character) == "Zs" else "?"


def plain(text: str, most: int = MAX_PLAIN) -> str:
    """The same, and short: for a stranger's words within a sentence of ours."""
    shown = line(text[:most])
    return shown if len(text) <= most else f"{shown} ..."


def json_line(document: Any, only_ascii: bool = True) -> str:
    """A document as JSON on one line, with an escape for every character that `line` would not let through."""
    text = json.dumps(document, ensure_ascii=only_ascii)
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    return json.dumps(character)[1:-1] if ord(character) > 0x7F else f"\\u{ord(character):04x}"
