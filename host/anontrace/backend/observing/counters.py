"""What a server counts: numbers of events by name, for operators. Never a label that could identify anybody."""

from collections import Counter


class Counters:
    """Counts since the start of the process."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def declare(self, *names: str) -> None:
        """Tell these from the start, as 0 until they are counted: a number that is first seen as 1 has not risen, so
        that no alert would see the first of a rare event."""
        for name in names:
            self._counts.setdefault(name, 0)

    def add(self, name: str, number: int = 1) -> None:
        if number:
            self._counts[name] += number

    def snapshot(self) -> dict[str, int]:
        return dict(sorted(self._counts.items()))
