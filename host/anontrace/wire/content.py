"""What a directory holds, or what is new in it: descriptions and announcements, as bytes (docs/protocol.md section 10).

Only takes apart and puts together: what stands in a description or announcement is not looked at here, and nothing is
believed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Self

from anontrace_shared.errors import FormatError

from . import announcement
from .description import MAX_DESCRIPTION

NEWEST = 2  # announcements of a mix that a directory holds: for today and tomorrow, mostly
_MAX_DAY = 1 << 16


@dataclass(frozen=True)
class Content:
    """Descriptions by mix, and announcements (99 each) by mix and day: at most the two newest of each mix."""

    descriptions: Mapping[int, bytes] = field(default_factory=dict)
    announcements: Mapping[int, Mapping[int, bytes]] = field(default_factory=dict)

    def encode(self) -> bytes:
        """As it is hashed and sent: all in rising order."""
        parts = [bytes((len(self.descriptions),))]
        for _, each in sorted(self.descriptions.items()):
            parts += [len(each).to_bytes(2, "little"), each]
        groups: dict[int, list[bytes]] = {}
        for _, by_day in sorted(self.announcements.items()):
            for day, each in by_day.items():
                groups.setdefault(day, []).append(each)
        parts.append(len(groups).to_bytes(2, "little"))
        for day, some in sorted(groups.items()):
            parts += [day.to_bytes(4, "little"), bytes((len(some),)), *some]
        return b"".join(parts)

    @cached_property
    def digest(self) -> bytes:
        """What a head says of it (32)."""
        return sha256(self.encode()).digest()

    @property
    def day(self) -> int:
        """The latest day for which, or for a later one, more than half of the mixes have made an announcement; 0 where
        there is no mix."""
        newest = sorted((max(by_day) for by_day in self.announcements.values()), reverse=True)
        return newest[len(newest) // 2] if newest else 0

    @property
    def is_whole(self) -> bool:
        """Whether there is a description of every mix that has announced anything, and the other way round."""
        return self.descriptions.keys() == self.announcements.keys()

    def with_news(self, news: Self, present: frozenset[int]) -> Self:
        """This, changed by what is new: whoever is described anew has just the new announcements, and who is not
        present is gone."""
        descriptions = {**self.descriptions, **news.descriptions}
        announcements: dict[int, dict[int, bytes]] = {}
        for number in present:
            before = {} if number in news.descriptions else self.announcements.get(number, {})
            days = newest({**before, **news.announcements.get(number, {})})
            if days:
                announcements[number] = days
        kept = {number: each for number, each in descriptions.items() if number in present}
        return type(self)(kept, announcements)


def newest(days: Mapping[int, bytes]) -> dict[int, bytes]:
    """The two newest of a mix's announcements."""
    return {day: days[day] for day in sorted(days)[-NEWEST:]}


def parse(data: bytes) -> Content:
    """The content in these bytes, all of them. FormatError if its form is not kept, or its order."""
    reader = _Reader(data)
    descriptions: dict[int, bytes] = {}
    for _ in range(reader.number(1)):
        size = reader.number(2)
        if not 1 <= size <= MAX_DESCRIPTION:
            raise FormatError(f"directory: a description has {size} bytes")
        each = reader.take(size)
        if each[0] <= max(descriptions, default=0):
            raise FormatError("directory: descriptions do not rise, or one has no number")
        descriptions[each[0]] = each
    announcements: dict[int, dict[int, bytes]] = {}
    last = -1
    for _ in range(reader.number(2)):
        day, count = reader.number(4), reader.number(1)
        if not last < day < _MAX_DAY or not count:
            raise FormatError("directory: the days of announcements do not rise")
        last, number = day, 0
        for _ in range(count):
            each = reader.take(announcement.SIZE)
            if each[0] <= number:
                raise FormatError("directory: announcements of a day do not rise, or one has no number")
            number = each[0]
            days = announcements.setdefault(number, {})
            days[day] = each
            if len(days) > NEWEST:
                raise FormatError(f"directory: more than {NEWEST} announcements of mix {number}")
    reader.end()
    return Content(descriptions, announcements)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise FormatError("directory: it is cut off")
        found, self._at = self._data[self._at : end], end
        return found

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def end(self) -> None:
        if self._at != len(self._data):
            raise FormatError("directory: there is more after its end")
