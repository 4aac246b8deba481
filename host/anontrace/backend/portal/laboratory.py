"""Tokens for a laboratory: a file with a line for each test in, a file with its token in each line out."""

import csv
import io
from collections.abc import Sequence

from anontrace_shared.errors import FormatError

from anontrace.backend.authority.tokens import MAX_REFERENCE, Issued

MAX_LINES = 5000
MAX_BYTES = 1 << 20
COLUMN = "reference"


def read(data: bytes) -> list[str]:
    """The references in a CSV file with one column, `reference`, separated by comma or semicolon. FormatError names the
    line that is wrong; it never repeats what stands there."""
    if len(data) > MAX_BYTES:
        raise FormatError(f"the file has more than {MAX_BYTES} bytes: hand it in in parts")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FormatError("the file is no text in UTF-8: save it as CSV UTF-8") from None
    delimiter = ";" if ";" in text.partition("\n")[0] else ","
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error:
        raise FormatError("the file is no CSV: a quotation mark is not closed, or a line is broken") from None
    rows = [[cell.strip() for cell in row] for row in rows if any(cell.strip() for cell in row)]
    if not rows or [cell.lower() for cell in rows[0]] != [COLUMN]:
        raise FormatError(f"the first line has to be the name of the only column, {COLUMN}")
    references = [row[0] if len(row) == 1 else "" for row in rows[1:]]
    if not references:
        raise FormatError("the file has no line below its first one")
    if len(references) > MAX_LINES:
        raise FormatError(f"the file has {len(references)} lines, and {MAX_LINES} are taken at most: split it")
    seen: dict[str, int] = {}
    for number, reference in enumerate(references, 2):
        if not reference:
            raise FormatError(f"line {number}: it has not exactly one column")
        if len(reference) > MAX_REFERENCE or not reference.isprintable():
            raise FormatError(f"line {number}: a reference has to be printable, and {MAX_REFERENCE} characters at most")
        if reference.casefold() in seen:
            raise FormatError(f"line {number}: the same reference as in line {seen[reference.casefold()]}")
        seen[reference.casefold()] = number
    return references


def write(issued: Sequence[Issued]) -> str:
    """The file that goes back."""
    made = io.StringIO(newline="")
    rows = csv.writer(made)
    rows.writerow([COLUMN, "token", "id"])
    rows.writerows([_plain(each.reference), each.token, each.id] for each in issued)
    return made.getvalue()


def _plain(cell: str) -> str:
    """Without what a spreadsheet would take for a formula."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@") else cell
