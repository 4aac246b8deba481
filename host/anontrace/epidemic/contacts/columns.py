"""The columns of a contact list: what separates them, which one is the time and which are the people, and the times.

Goes by the names in the header; without one, by the order of the SocioPatterns format, and refuses what does not look
like it. Knows nothing of files, and nothing of what a line means.
"""

import csv
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from itertools import pairwise
from typing import NamedTuple

from .files import ContactsError

COMMENT = ("#", "%")
MAX_FIELDS = 32
_LOOK = 1000  # rows by which a list without a header is judged
_SECONDS = re.compile(r"[0-9]{1,15}(?:[.,][0-9]{0,20})?(?:[eE][+]?[0-9]{1,2})?")
_ISO_AND_SPACE = re.compile(r"(\d{4}-\d\d-\d\d) +(?=\d\d:)")
_ISO = re.compile(r"[0-9]{4}-[0-9W-]{4,6}|.*[0-9]:[0-9].*")
_MAX_SECONDS = 10**11  # the year 5138; beyond it are milliseconds
_MAX_ROUNDING = 0.1  # seconds by which a time may miss a whole second
# Columns by their names in small letters and digits alone.
_TIMES = {
    *("t", "time", "times", "timestamp", "timestamps", "ts", "tstamp", "date", "datetime", "datetimeutc", "moment"),
    *("sec", "secs", "second", "seconds", "epoch", "unixtime", "timeofday"),
}
_WHO = (
    *("id", "p", "pid", "person", "personid", "user", "userid", "node", "nodeid", "tag", "tagid", "badge", "badgeid"),
    *("name", "participant", "participantid", "subject", "subjectid", "student", "studentid", "member", "individual"),
)
_FIRST = {"i", "a", "u", "source", "src", "from", "ego"} | {who + mark for who in _WHO for mark in "1ai"}
_SECOND = {"j", "b", "v", "target", "dst", "to", "alter"} | {who + mark for who in _WHO for mark in "2bj"}
_GROUP = ("c", "class", "s", "status", "group", "role", "dept", "department")
_FIRST_GROUP = {group + mark for group in _GROUP for mark in "1ai"}
_SECOND_GROUP = {group + mark for group in _GROUP for mark in "2bj"}
# Names of columns that say how long a line lasts: what a line stands for would not be what it says.
_LASTING = {
    *("duration", "durations", "dur", "length", "end", "ends", "endtime", "timeend", "tend", "stop", "stoptime"),
    *("until", "finish", "finished", "last", "lastseen", "t2", "time2"),
}
# Names of columns that are a part of the time beside another column: without them days would be played as one.
_PARTS = {"day", "days", "dayno", "daynumber", "weekday", "hour", "hours", "minute", "minutes", "month", "week", "year"}
_UNITS = re.compile(r"(ms|msec|milli|us|\u00b5s|\u03bcs|micro|ns|nano|min|m$|h$|hr|hour|d$|day)", re.IGNORECASE)
_IN_BRACKETS = re.compile(r"[(\[] *(?:in +)?([^)\]]*)")


class Row(NamedTuple):
    """One line's fields by what they are: time in whole seconds, two people, their classes if there are any."""

    number: int
    time: int
    first: str
    second: str
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Columns:
    """Where in a row everything stands, of how many fields; `unused` names the columns that nobody looks at."""

    count: int
    time: int
    first: int
    second: int
    classes: tuple[int, ...] = ()
    unused: tuple[str, ...] = ()

    def fitted(self, count: int) -> "Columns":
        """The same for rows of `count` fields: with a number before each row, or without the last columns."""
        if count == self.count + 1:
            classes = tuple(index + 1 for index in self.classes)
            return Columns(count, self.time + 1, self.first + 1, self.second + 1, classes, self.unused)
        if max(self.time, self.first, self.second) < count < self.count:
            classes = self.classes if max(self.classes, default=0) < count else ()
            return replace(self, count=count, classes=classes, unused=())
        return self


def _number(text: str) -> float:
    return float(text.replace(",", "."))


def moment(text: str) -> int:
    """A time in whole seconds: a number, or ISO 8601 (without a zone it is UTC, without a date from midnight)."""
    if len(text) <= 10 and text.isascii() and text.isdigit():
        return int(text)
    shown = text[:40]
    if _SECONDS.fullmatch(text):
        seconds = _number(text)
        if seconds >= _MAX_SECONDS:
            raise ContactsError(f"the time {shown!r} is too large for seconds (milliseconds?)")
    elif len(text) <= 40 and _ISO.fullmatch(text):
        try:
            if "-" in text[1:8]:
                date = datetime.fromisoformat(text)
                seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
            else:
                day = time.fromisoformat(text)
                seconds = day.hour * 3600 + day.minute * 60 + day.second + day.microsecond / 1e6
        except (ValueError, OverflowError):
            raise ContactsError(f"the time {shown!r} is neither seconds nor ISO 8601") from None
    else:
        raise ContactsError(f"the time {shown!r} is neither seconds nor ISO 8601")
    if not math.isclose(seconds, round(seconds), rel_tol=0, abs_tol=_MAX_ROUNDING):
        raise ContactsError(f"the time {shown!r} is not a whole number of seconds")
    return round(seconds)


def _is_time(text: str) -> bool:
    try:
        moment(text)
    except ContactsError:
        return False
    return True


def fields_of(text: str) -> list[str]:
    """A line taken apart by tabs, semicolons, commas or bars, whichever it has, else by blanks; quotes are resolved."""
    separator = next((mark for mark in "\t;,|" if mark in text), " ")
    if separator == " " and "-" in text:
        text = _ISO_AND_SPACE.sub(r"\1T", text)
    if '"' not in text:
        return text.split() if separator == " " else [field.strip() for field in text.split(separator)]
    try:
        fields = next(csv.reader([text.strip()], delimiter=separator, skipinitialspace=True, strict=True), [])
    except csv.Error as error:
        raise ContactsError(f"its quotes do not match ({error})") from None
    return [field.strip() for field in fields]


def _name(field: str) -> str:
    """A column's name without what people write it with: units in brackets, capitals, blanks, underscores."""
    return re.sub(r"[^a-z0-9]", "", re.sub(r"[(\[].*", "", field).lower())


def by_header(fields: list[str]) -> Columns | None:
    """Where the columns of that header stand; None when it does not name the time and both people, each once.

    ContactsError when it does, but its lines are not moments in seconds.
    """
    names = [_name(field) for field in fields]

    def find(known: set[str]) -> int | None:
        found = [index for index, name in enumerate(names) if name in known]
        return found[0] if len(found) == 1 else None

    when, first, second = find(_TIMES), find(_FIRST), find(_SECOND)
    if when is None or first is None or second is None:
        return None
    lasting = next((field for field, name in zip(fields, names, strict=True) if name in _LASTING), None)
    if lasting is not None:
        raise ContactsError(
            f"its lines last as long as the column {lasting[:40]!r} says: write a line for each step instead"
        )
    part = next((field for field, name in zip(fields, names, strict=True) if name in _PARTS), None)
    if part is not None:
        raise ContactsError(f"a part of the time is in the column {part[:40]!r}: make one column of seconds of both")
    unit = _IN_BRACKETS.search(fields[when])
    if unit is not None and _UNITS.match(unit[1]):
        raise ContactsError(f"the times are in {unit[1][:40]!r}: give them in seconds")
    groups = [index for index in (find(_FIRST_GROUP), find(_SECOND_GROUP)) if index is not None]
    classes = tuple(groups) if len(groups) == 2 else ()
    used = {when, first, second, *classes}
    unused = tuple(field[:40] or "(no name)" for index, field in enumerate(fields) if index not in used)
    return Columns(len(fields), when, first, second, classes, unused)


def _rise(texts: list[str]) -> bool:
    """Whether these are times that never go back."""
    try:
        times = [moment(text) for text in texts]
    except ContactsError:
        return False
    return all(earlier <= later for earlier, later in pairwise(times))


def _look_like_times(texts: list[str]) -> bool:
    """Whether these never go back and lie on a grid of ten seconds or a multiple, as the times of a recording do."""
    return _rise(texts) and math.gcd(*(moment(text) - moment(texts[0]) for text in texts)) >= 10


def by_order(rows: list[list[str]]) -> Columns:
    """Where the columns of a list without a header stand, by its first rows; ContactsError when that cannot be told."""
    count = len(rows[0])
    rows = [row for row in rows if len(row) == count]
    shift = 0
    if count in (4, 6) and len(rows) > 1:  # a column that counts the rows, as data frames are saved
        counted = [row[0] for row in rows]
        shift = int(any(counted == [str(number + first) for number in range(len(rows))] for first in (0, 1)))
    if not 3 <= count - shift <= 6:
        raise ContactsError(f"{count} fields instead of 3 (time id1 id2) or 5 (and two classes)")
    classes = (shift + 3, shift + 4) if count - shift >= 5 else ()
    column = [row[shift] for row in rows]
    for other in range(shift + 1, count):
        texts = [row[other] for row in rows]
        if _look_like_times(texts) and (not _rise(column) or len(set(texts)) > len(set(column))):
            raise ContactsError(
                f"without a header column {shift + 1} is the time, but column {other + 1} looks like it: "
                "put a header over the list, such as i,j,t"
            )
    used = {shift, shift + 1, shift + 2, *classes}
    unused = tuple(f"column {index + 1}" for index in range(count) if index not in used)
    return Columns(count, shift, shift + 1, shift + 2, classes, unused)


def _data(texts: Iterable[str]) -> Iterator[tuple[int, str]]:
    """The lines that hold something, with their numbers."""
    for number, text in enumerate(texts, 1):
        text = text.strip("\r\n").removeprefix("\ufeff")
        if text.strip():
            yield number, text


def _placed(name: str, number: int, error: ContactsError) -> ContactsError:
    return ContactsError(f"{name}, line {number}: {error}")


class Table:
    """The rows of a list called `name`, one after the other; `columns` is known once the first has been taken."""

    def __init__(self, texts: Iterable[str], name: str) -> None:
        self.columns: Columns | None = None
        self._name = name
        self._lines = _data(texts)
        self._clock = 0  # the last time of day, in a list whose times have no date
        self._last = (0, "0")  # the last time that was a number: seconds, and as it stands there

    def __iter__(self) -> Iterator[Row]:
        header: Columns | None = None
        started = False
        waiting: list[tuple[int, list[str]]] = []  # rows of a list without a header, until its columns are known
        for number, text in self._lines:
            try:
                if text.lstrip().startswith(COMMENT):
                    header = header if started else self._commented(text) or header
                    continue
                fields = fields_of(text)
                if not started:
                    started = True
                    if not any(map(_is_time, fields)):
                        header = self._named(fields)
                        continue
            except ContactsError as error:
                raise _placed(self._name, number, error) from None
            if header is not None and self.columns is None:
                self.columns = header.fitted(len(fields))
            if self.columns is not None:
                yield self._row(self.columns, number, fields)
                continue
            waiting.append((number, fields))
            if len(waiting) == _LOOK:
                yield from self._judged(waiting)
        if self.columns is None and waiting:
            yield from self._judged(waiting)

    def _commented(self, text: str) -> Columns | None:
        """The columns if a comment is a header, which some lists have."""
        try:
            fields = fields_of(text.strip().lstrip("".join(COMMENT)).strip())
        except ContactsError:
            return None  # quotes do not have to match in a comment
        return by_header(fields)

    def _named(self, fields: list[str]) -> Columns:
        columns = by_header(fields)
        if columns is None:
            shown = ", ".join(field[:20] for field in fields[:8])
            raise ContactsError(
                f"{shown}: this names no time and two people: call these columns t, i, j (and the classes c1, c2)"
            )
        return columns

    def _judged(self, waiting: list[tuple[int, list[str]]]) -> Iterator[Row]:
        """The first rows of a list without a header, whose columns are known by them."""
        try:
            columns = self.columns = by_order([fields for _, fields in waiting])
        except ContactsError as error:
            raise _placed(self._name, waiting[0][0], error) from None
        for number, fields in waiting:
            yield self._row(columns, number, fields)

    def _row(self, columns: Columns, number: int, fields: list[str]) -> Row:
        try:
            if len(fields) != columns.count:
                raise ContactsError(f"{len(fields)} fields instead of {columns.count}")
            return Row(
                number,
                self._moment(fields[columns.time]),
                fields[columns.first],
                fields[columns.second],
                tuple(fields[index] for index in columns.classes),
            )
        except ContactsError as error:
            raise _placed(self._name, number, error) from None

    def _moment(self, text: str) -> int:
        """The time; without a date it must not go back, as it does at midnight, or the days would be played as one.
        Nor do two numbers stand for one second, as those of a spreadsheet do, which counts days."""
        seconds = moment(text)
        if ":" in text and "-" not in text[1:8]:
            if seconds < self._clock:
                raise ContactsError(f"the time {text[:40]!r} has no date, and is before the line above: give dates")
            self._clock = seconds
        elif not text.isdigit() and _SECONDS.fullmatch(text):
            if seconds == self._last[0] and _number(text) != _number(self._last[1]):
                both = f"{self._last[1][:40]!r} and {text[:40]!r}"
                raise ContactsError(f"the times {both} lie in one second: are they days?")
            self._last = seconds, text
        return seconds
