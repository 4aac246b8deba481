"""A text that is longer than one notification's words hold: in parts, of which any few give the whole (docs/protocol.md
section 7).

A contact is told of a meeting by one notification for each address, so a text in parts needs no message more than a
short one, and nobody can tell which it is. Every exposure of a report gets another part: a text of k parts is k
numbers, the coefficients of a polynomial, and a part is its value at one place.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from anontrace_shared.errors import FormatError
from anontrace_shared.slots import SLOT_SECONDS

from . import notification
from .sizes import MOST_PARTS, PART_CHUNK, PART_PLACE, PART_VALUE, WORDS

PRIME = (1 << 8 * PART_VALUE) - 203
_SLOT_MINUTES = SLOT_SECONDS // 60


def most(minutes: int) -> int:
    """How many bytes a text may have under a rule of so many minutes: who is told has a notification for each five of
    them, at least."""
    parts = min(MOST_PARTS, -(-minutes // _SLOT_MINUTES))
    return max(WORDS, parts * PART_CHUNK)


def split(text: str) -> Sequence[int]:
    """The numbers (2 to 12) of a text that is too long for one part. FormatError if it is too long for all, or holds
    what does not show."""
    size = len(text.encode(errors="replace"))
    number = max(2, -(-size // PART_CHUNK))
    data = notification.padded("message", text, "utf-8", min(number, MOST_PARTS) * PART_CHUNK)
    return [int.from_bytes(data[at : at + PART_CHUNK], "big") for at in range(0, len(data), PART_CHUNK)]


def part(numbers: Sequence[int], place: int) -> bytes:
    """The part (42) of a text at this place, 0 to 65535."""
    value = 0
    for each in reversed(numbers):
        value = (value * place + each) % PRIME
    return bytes((len(numbers),)) + place.to_bytes(PART_PLACE, "little") + value.to_bytes(PART_VALUE, "big")


def is_part(content: bytes) -> bool:
    """Whether words (42, open) are a part; else they are a whole text, which begins with no such character."""
    return 2 <= content[0] <= MOST_PARTS


@dataclass(frozen=True)
class Joined:
    """What some parts give: the text, once there are as many as it `needs`."""

    text: str | None
    has: int
    needs: int


def join(found: Iterable[bytes]) -> Joined:
    """Put parts (42 each) of one text together, in whatever order they came and however often. FormatError if they are
    not of one text."""
    needs, values = 0, dict[int, int]()
    for each in found:
        place = int.from_bytes(each[1 : 1 + PART_PLACE], "little")
        value = int.from_bytes(each[1 + PART_PLACE :], "big")
        if not is_part(each) or needs not in (0, each[0]) or values.get(place, value) != value:
            raise FormatError("these parts are not of one text")
        needs, values[place] = each[0], value
    if not needs or len(values) < needs:
        return Joined(None, len(values), needs)
    numbers = _interpolated(list(values.items())[:needs])
    if any(each >> 8 * PART_CHUNK for each in numbers) or any(
        int.from_bytes(part(numbers, place)[1 + PART_PLACE :], "big") != value for place, value in values.items()
    ):
        raise FormatError("these parts are not of one text")
    data = b"".join(each.to_bytes(PART_CHUNK, "big") for each in numbers)
    return Joined(notification.unpadded("message", data), len(values), needs)


def _interpolated(points: Sequence[tuple[int, int]]) -> list[int]:
    """The coefficients of the polynomial through these points, the lowest first (Lagrange)."""
    found = [0] * len(points)
    for x, y in points:
        product, divisor = [1], 1  # of (X - other) over all others, and its value at x
        for other, _ in points:
            if other != x:
                product = [(up - other * same) % PRIME for up, same in zip([0, *product], [*product, 0], strict=True)]
                divisor = divisor * (x - other) % PRIME
        factor = y * pow(divisor, -1, PRIME)
        found = [(a + b * factor) % PRIME for a, b in zip(found, product, strict=True)]
    return found
