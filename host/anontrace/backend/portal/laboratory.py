"""A laboratory's files: one with a line for each sample, which comes back with its token in each line; and one with the
results."""

import csv
import io
from collections.abc import Sequence

from anontrace_shared.errors import FormatError

from anontrace.backend.authority.samples import Entered, Sample, read_code, read_result
from anontrace.backend.authority.tokens import MAX_REFERENCE, Issued, Result

MAX_LINES = 5000
MAX_BYTES = 1 << 20
REFERENCE, COMMITMENT, RESULT, TOKEN, ID = "reference", "commitment", "result", "token", "id"


def read(data: bytes) -> list[Sample]:
    """The samples in a CSV file with a column `reference` and, if wanted, `commitment` and `result`, separated by comma
    or semicolon. FormatError names the line that is wrong; it never repeats what stands there."""
    samples, seen = [], dict[str, int]()
    for number, row in _rows(data, (REFERENCE,), (COMMITMENT, RESULT)):
        reference = row[REFERENCE]
        if not reference:
            raise FormatError(f"line {number}: it has no reference")
        if len(reference) > MAX_REFERENCE or not reference.isprintable():
            raise FormatError(f"line {number}: a reference has to be printable, and {MAX_REFERENCE} characters at most")
        if reference.casefold() in seen:
            raise FormatError(f"line {number}: the same reference as in line {seen[reference.casefold()]}")
        seen[reference.casefold()] = number
        result = row.get(RESULT, "")
        try:
            known = read_result(result) if result else Result.PENDING
            samples.append(Sample(reference, read_code(row.get(COMMITMENT, "")), known))
        except FormatError as error:
            raise FormatError(f"line {number}: {error}") from None
    return samples


def read_results(data: bytes) -> list[Entered]:
    """The results in a CSV file with a column `result` and one of `reference` and `id`, which a file of tokens has; its
    column `token` is not looked at. FormatError as of `read`."""
    entered, seen = [], dict[str, int]()
    for number, row in _rows(data, (RESULT,), (REFERENCE, ID, TOKEN)):
        token_id, reference = row.get(ID, "").lower(), row.get(REFERENCE, "")
        if not token_id and not reference:
            raise FormatError(f"line {number}: it has neither a reference nor an id")
        name = token_id or reference.casefold()
        if name in seen:
            raise FormatError(f"line {number}: the same token as in line {seen[name]}")
        seen[name] = number
        try:
            entered.append(Entered(read_result(row[RESULT]), token_id, reference, number))
        except FormatError as error:
            raise FormatError(f"line {number}: {error}") from None
    return entered


def _rows(data: bytes, needed: Sequence[str], allowed: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """The lines below the first one, by their numbers, each by the columns that the first one names."""
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
    names = [cell.lower() for cell in rows[0]] if rows else []
    if len(set(names)) != len(names) or not set(needed) <= set(names) <= {*needed, *allowed}:
        wanted = f"{', '.join(needed)}, and if wanted {', '.join(allowed)}"
        raise FormatError(f"the first line has to name the columns: {wanted}")
    if not rows[1:]:
        raise FormatError("the file has no line below its first one")
    if len(rows) - 1 > MAX_LINES:
        raise FormatError(f"the file has {len(rows) - 1} lines, and {MAX_LINES} are taken at most: split it")
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(names):
            raise FormatError(f"line {number}: it has {len(row)} columns instead of {len(names)}")
    return [(number, dict(zip(names, row, strict=True))) for number, row in enumerate(rows[1:], 2)]


def write(issued: Sequence[Issued]) -> str:
    """The file that goes back."""
    made = io.StringIO(newline="")
    rows = csv.writer(made)
    rows.writerow([REFERENCE, TOKEN, ID])
    rows.writerows([_plain(each.reference), each.token, each.id] for each in issued)
    return made.getvalue()


def _plain(cell: str) -> str:
    """Without what a spreadsheet would take for a formula."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@") else cell
