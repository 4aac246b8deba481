"""Who lost the loops: from the paths that lost theirs, an estimate for each mix and each first link. Pure.

A loop is lost if any part of its path loses it, each independently with its own probability; the likeliest
probabilities are found by expectation-maximisation.

That does not tell who lost what is lost between two mixes, so it does not suffice to accuse one: mixes that drop what
they exchange with an honest one would have it blamed. Who loses messages by itself does so whoever stands beside it,
and up to a third of the mixes may be hostile.
"""

from collections import Counter
from collections.abc import Sequence
from math import prod
from typing import NamedTuple

MIN_LOOPS = 8  # through a mix before anything is said of it
_HOSTILE = 3  # one in so many mixes may be
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


def accused(loops: Sequence[Seen], limit: float) -> dict[int, float]:
    """The mixes that lose more than `limit`, with what they lose, in loops too that do not pass next to them any of
    the third of the mixes beside which they lose most."""
    found = {}
    for number, share in losses(loops).items():
        if share > limit:
            worst = _worst_neighbours(loops, number)
            others = [loop for loop in loops if worst.isdisjoint(_neighbours(loop.way, number))]
            if (left := losses(others).get(number, 0.0)) > limit:
                found[number] = left
    return found


def _worst_neighbours(loops: Sequence[Seen], number: int) -> set[int | None]:
    """The third of all mixes beside which this one loses most; of those with the same loss, who say least of it."""
    passed, lost = Counter[int | None](), Counter[int | None]()
    for loop in loops:
        for neighbour in _neighbours(loop.way, number):
            passed[neighbour] += 1
            lost[neighbour] += loop.lost
    by_loss = sorted(passed, key=lambda each: (-lost[each] / passed[each], passed[each]))
    return set(by_loss[: (len(passed) + 1) // _HOSTILE])


def _neighbours(way: Sequence[int], number: int) -> set[int | None]:
    """Who stands before and after a mix in a loop; None is the sender. Empty if the loop does not pass it."""
    if number not in way:
        return set()
    at = way.index(number)
    whole = (None, *way, None)
    return {whole[at], whole[at + 2]}


def _parts(way: Sequence[int]) -> list[_Part]:
    """The link from the sender to the first mix, and every mix."""
    return [("link", way[0]), *(("mix", number) for number in way)]
