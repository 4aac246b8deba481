"""Who lost the loops: from the paths that lost theirs, an estimate for each mix and each first link. Pure.

A loop is lost if any part of its path loses it, each independently with its own probability; the likeliest
probabilities are found by expectation-maximisation.
"""

from collections import Counter
from collections.abc import Sequence
from math import prod
from typing import NamedTuple

MIN_LOOPS = 8  # through a mix before anything is said of it
_ROUNDS = 60
_START = 0.1
_DIGITS = 2

_Part = tuple[str, int]


class Seen(NamedTuple):
    """One loop whose fate is known: the mixes on its way in order, and whether it was lost."""

    way: tuple[int, ...]
    lost: bool


def losses(loops: Sequence[Seen]) -> dict[int, float]:
    """For each mix that MIN_LOOPS passed: the share of what is sent to it that is lost on the link or by it."""
    ways = [(_parts(loop.way), loop.lost) for loop in loops]
    passed = Counter(part for parts, _ in ways for part in parts)
    drops = dict.fromkeys(passed, _START)
    for _ in range(_ROUNDS if any(loop.lost for loop in loops) else 0):
        blame = dict.fromkeys(passed, 0.0)
        for parts, lost in ways:
            if lost:
                is_lost = 1 - prod(1 - drops[part] for part in parts)
                for part in parts:
                    blame[part] += drops[part] / is_lost if is_lost else 1.0
        drops = {part: min(1.0, blame[part] / count) for part, count in passed.items()}
    if not any(loop.lost for loop in loops):
        drops = dict.fromkeys(passed, 0.0)
    found = {}
    for (kind, number), count in sorted(passed.items()):
        if kind == "mix" and count >= MIN_LOOPS:
            share = 1 - (1 - drops["mix", number]) * (1 - drops.get(("link", number), 0.0))
            found[number] = round(share, _DIGITS)
    return found


def _parts(way: Sequence[int]) -> list[_Part]:
    """The link from the sender to the first mix, and every mix."""
    return [("link", way[0]), *(("mix", number) for number in way)]
