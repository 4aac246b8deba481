"""What a server counts: numbers of events by name, for operators. Never a label that could identify anybody."""

from collections import Counter


class Counters:
    """Counts since the start of the process."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, name: str, number: int = 1) -> None:
        if number:
            self._counts[name] += number

    def snapshot(self) -> dict[str, int]:
        return dict(sorted(self._counts.items()))
