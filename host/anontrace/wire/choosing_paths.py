"""Choosing random paths through the mixes of a directory (docs/protocol.md section 10, "Paths").

Pure: the time and the generator are passed in. Never builds a header.
"""

import secrets
from collections import Counter
from collections.abc import Collection, Mapping
from random import Random

from anontrace_shared.errors import AnontraceError, FormatError

from anontrace.mixnet import keydays
from anontrace.mixnet.path import Hop
from anontrace.mixnet.sizes import MAX_HOPS

from .mixes import Mix, usable_key

ACCUSERS = 3  # more than one in so many mixes have to accuse one before it is left out
LEFT_OUT = 5  # no more than one in so many mixes is
_SYSTEM_RANDOM = secrets.SystemRandom()
_BITS, _ENOUGH = 256, 1 << 128  # drawn at once; what is left has to be so large that its remainders are even


class NoPathError(AnontraceError):
    """The directory has too few mixes for this path."""


class Paths:
    """Paths through the mixes that are in force, each by its newest live key. What a choice needs is prepared once, so
    that choosing one costs little however many mixes there are.

    `exclude`: mixes that no path passes before its last hop.
    """

    def __init__(
        self, mixes: Mapping[int, Mix], now: float, exclude: Collection[int] = (), rng: Random = _SYSTEM_RANDOM
    ) -> None:
        self._mixes = mixes
        self._rng = rng
        self._hops: dict[int, Hop] = {}
        self._days_left: dict[int, int] = {}
        for number, mix in sorted(mixes.items()):
            key = usable_key(mix, now)
            if key is not None:
                self._hops[number] = Hop(number, keydays.key_select(key.day), key.key)
                self._days_left[number] = keydays.days_left(key.day, now)
        self._passable = [number for number in self._hops if number not in exclude]
        self._avoided = left_out({number: mixes[number] for number in self._hops})
        self._by_days: dict[int, tuple[list[int], list[int]]] = {}

    def hop(self, number: int) -> Hop:
        """A mix by its newest live key. NoPathError if it has none."""
        if number not in self._hops:
            raise self._no_end(number, 0)
        return self._hops[number]

    def choose(self, last: int, *, hops: int = MAX_HOPS, minimum_days: int = 0) -> list[Hop]:
        """A path of `hops` different mixes that ends at mix `last`.

        `minimum_days`: for how many whole days after today every key must stay alive. Mixes that too many others accuse
        of losing messages are left out where there are enough others. NoPathError if mixes are missing.
        """
        if not 1 <= hops <= MAX_HOPS:
            raise FormatError(f"a path has 1 to {MAX_HOPS} hops, not {hops}")
        if self._days_left.get(last, -1) < minimum_days:
            raise self._no_end(last, minimum_days)
        good, fair = self._candidates(minimum_days)
        chosen = self._drawn(good, last, hops - 1) or self._drawn(fair, last, hops - 1)
        if chosen is None:
            raise NoPathError(
                f"a path of {hops} hops needs {hops - 1} mixes besides mix {last};"
                f" {len(fair) - (last in fair)} have a key alive{_for_days(minimum_days)}"
            )
        return [self._hops[number] for number in (*chosen, last)]

    def _candidates(self, minimum_days: int) -> tuple[list[int], list[int]]:
        """Who may be passed: without those that are to be avoided, and with them."""
        if minimum_days not in self._by_days:
            fair = [number for number in self._passable if self._days_left[number] >= minimum_days]
            self._by_days[minimum_days] = [number for number in fair if number not in self._avoided], fair
        return self._by_days[minimum_days]

    def _drawn(self, numbers: list[int], last: int, count: int) -> list[int] | None:
        """So many of the numbers, in random order, without the last; None if there are too few."""
        size = len(numbers)
        if size <= count and size - (last in numbers) < count:
            return None
        drawn: list[int] = []
        bits = 0
        while len(drawn) < count:
            # One long random number for all draws: asking the system for each takes longer than the draws.
            if bits < _ENOUGH:
                bits = self._rng.getrandbits(_BITS)
            bits, at = divmod(bits, size)
            number = numbers[at]
            if number != last and number not in drawn:
                drawn.append(number)
        return drawn

    def _no_end(self, last: int, minimum_days: int) -> NoPathError:
        known = last in self._mixes
        what = f"has no key alive{_for_days(minimum_days)}" if known else "is not in the directory, or not in force"
        return NoPathError(f"mix {last} {what}: get a newer directory")


def left_out(mixes: Mapping[int, Mix]) -> frozenset[int]:
    """The mixes that more than a third of all accuse of losing messages: the most accused, and at most a fifth of all.

    So a third of the mixes can exclude nobody by what they say, and whoever can, no more than a fifth.
    """
    accused = Counter(number for mix in mixes.values() for number in mix.lossy if number in mixes)
    certain = [number for number, accusers in accused.items() if accusers * ACCUSERS > len(mixes)]
    return frozenset(sorted(certain, key=lambda number: (-accused[number], number))[: len(mixes) // LEFT_OUT])


def _for_days(minimum_days: int) -> str:
    return f" for {minimum_days} more days" if minimum_days else ""
