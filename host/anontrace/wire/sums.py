"""Sums of messages: what a mailbox server answers without being told which messages are wanted (docs/protocol.md
section 8).

Each sum adds up many messages, each times a coefficient that follows from the seed alone. Bytes are elements of
GF(256), added by XOR. Who knows all but a few of the messages solves the sums for those few. Pure; `look` has the
bodies.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, reduce
from hashlib import shake_256
from itertools import compress
from operator import xor

_LABEL = b"anontrace/2 sums"
_DOUBLE = bytes(each << 1 ^ (0x11B if each & 0x80 else 0) for each in range(256))  # by x^8 + x^4 + x^3 + x + 1
_THIN_EVERY = 4  # of so many sums the last one is thin


def is_thin(number: int) -> bool:
    """Whether a sum takes up those messages alone that are marked, and not all."""
    return number % _THIN_EVERY == _THIN_EVERY - 1


def coefficients(seed: bytes, number: int, group: int, marks: Sequence[bool]) -> bytes:
    """What sum `number` takes each message of the group at this place of the request times: a byte each, 0 leaves it
    out. `marks`: for each message whether thin sums take it up. `seed`: 16."""
    of_all = _drawn(seed, number, group, len(marks))
    if not is_thin(number):
        return of_all
    return bytes(each if marked else 0 for each, marked in zip(of_all, marks, strict=True))


def _drawn(seed: bytes, number: int, group: int, size: int) -> bytes:
    """The coefficients for all messages of a group of this size."""
    return shake_256(_LABEL + seed + bytes((number, group))).digest(size)


def add_up(
    seed: bytes, count: int, groups: Sequence[Sequence[bytes]], marks: Sequence[Sequence[bool]], size: int
) -> list[bytes]:
    """The first `count` sums over all messages of the groups, each of `size` bytes; an empty one counts as zeros."""
    messages = [int.from_bytes(each) for group in groups for each in group]
    if not messages:
        return [bytes(size)] * count
    marked = [each for group in marks for each in group]
    thin = list(compress(messages, marked))
    sizes = [(place, len(group)) for place, group in enumerate(groups) if group]
    made = []
    for number in range(count):
        factors, added = b"".join(_drawn(seed, number, *each) for each in sizes), messages
        if is_thin(number):
            factors, added = bytes(compress(factors, marked)), thin
        by_factor = [0] * 256
        for factor, message in zip(factors, added, strict=True):
            by_factor[factor] ^= message
        made.append(_weighted(by_factor, size))
    return made


def _weighted(values: list[int], size: int) -> bytes:
    """The sum of so many values as there are bytes, each times its place. All that are times one bit are added up
    before they are doubled: eight multiplications instead of 255."""
    by_bit = []
    while len(values) > 1:
        half = len(values) // 2
        upper = values[half:]
        by_bit.append(reduce(xor, upper))
        values = list(map(xor, values, upper))
    total = 0
    for each in by_bit:  # from the highest bit on
        total = int.from_bytes(total.to_bytes(size).translate(_DOUBLE)) ^ each
    return total.to_bytes(size)


@dataclass(frozen=True, slots=True)
class Equation:
    """A sum of which all that is known was taken out: coefficients of what is left, by number, and the value."""

    unknown: Mapping[int, int]
    value: bytes = field(repr=False)


def without(equation: Equation, known: Mapping[int, bytes]) -> Equation:
    """An equation with these messages taken out, since they are known now."""
    unknown, value = {}, equation.value
    for number, factor in equation.unknown.items():
        if number in known:
            value = _plus(value, known[number].translate(_times(factor)))
        else:
            unknown[number] = factor
    return Equation(unknown, value)


@dataclass(frozen=True, slots=True)
class Solution:
    """What equations say: the messages that they determine, and whether they fit together at all."""

    found: Mapping[int, bytes] = field(repr=False)
    left: Sequence[Equation]  # as many as are needed to say the same
    fits: bool


def solve(equations: Iterable[Equation]) -> Solution:
    """Solve as many as can be, by elimination. All values are of one size."""
    given = list(equations)
    columns = sorted({each for equation in given for each in equation.unknown})
    width = len(columns)
    # A row is the coefficients, a byte each, and the value behind them.
    rows = [bytes(each.unknown.get(column, 0) for column in columns) + each.value for each in given]
    done = 0
    for at in range(width):
        pivot = next((n for n in range(done, len(rows)) if rows[n][at]), None)
        if pivot is None:
            continue
        row = rows.pop(pivot)
        row = row.translate(_times(_inverse(row[at])))
        rows = [_plus(each, row.translate(_times(each[at]))) if each[at] else each for each in rows]
        rows.insert(done, row)
        done += 1
    found, left = {}, []
    for row in rows[:done]:
        unknown = {column: each for column, each in zip(columns, row, strict=False) if each}
        if len(unknown) == 1:
            found[next(iter(unknown))] = row[width:]
        left.append(Equation(unknown, row[width:]))
    return Solution(found, left, not any(any(row[width:]) for row in rows[done:]))


def _plus(some: bytes, other: bytes) -> bytes:
    return (int.from_bytes(some) ^ int.from_bytes(other)).to_bytes(len(some))


@cache
def _times(factor: int) -> bytes:
    """The products of all bytes and this one, for `bytes.translate`."""
    if factor < 2:
        return bytes(range(256)) if factor else bytes(256)
    doubled = _times(factor >> 1).translate(_DOUBLE)
    return _plus(doubled, _times(1)) if factor & 1 else doubled


@cache
def _inverse(factor: int) -> int:
    return _times(factor).index(1)
