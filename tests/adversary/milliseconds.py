"""The observer of a wearer's line, with a clock of nanoseconds: what one connection to a server shows."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tests.adversary.figures import auc
from tools.loaded import ROOT


class Record(NamedTuple):
    """A TLS record as it passes: when (nanoseconds), whether to the server, and how long it is."""

    at: int
    is_up: bool
    size: int


@dataclass(frozen=True)
class Connection:
    """From its opening to the moment when the client closed it, in nanoseconds."""

    port: int
    opened: int
    records: list[Record]
    closed: int

    @property
    def up(self) -> list[Record]:
        return [each for each in self.records if each.is_up]

    @property
    def answer(self) -> list[Record]:
        """What came after all that the client said."""
        asked = self.up[-1].at
        return [each for each in self.records if not each.is_up and each.at >= asked]


SCORES: dict[str, Callable[[Connection], float]] = {
    "bytes up": lambda seen: sum(each.size for each in seen.up),
    "bytes down": lambda seen: sum(each.size for each in seen.records if not each.is_up),
    "records": lambda seen: len(seen.records),
    "until it speaks": lambda seen: seen.up[0].at - seen.opened,
    "until it has asked": lambda seen: seen.up[-1].at - seen.opened,
    "until the answer": lambda seen: seen.answer[0].at - seen.up[-1].at,
    "until the answer's end": lambda seen: seen.answer[-1].at - seen.answer[0].at,
    "until it closes": lambda seen: seen.closed - seen.answer[-1].at,
    "in all": lambda seen: seen.closed - seen.opened,
}


def told_apart(some: Sequence[Connection], others: Sequence[Connection]) -> dict[str, float]:
    """By each score how well two kinds of wearers are told apart by a connection, in whichever direction."""
    areas = {name: auc([score(one) for one in some], [score(one) for one in others]) for name, score in SCORES.items()}
    return {name: max(area, 1 - area) for name, area in areas.items()}


def learnt(some: Sequence[Connection], others: Sequence[Connection]) -> float:
    """How well one of these scores tells two kinds of wearers apart that was chosen, with its direction, by other
    connections: by every second one for the rest, and the other way round. 0.5 is chance, whatever was chosen from."""
    areas = []
    for at in (0, 1):
        seen, new = (some[at::2], others[at::2]), (some[1 - at :: 2], others[1 - at :: 2])
        known = {name: auc(*([score(one) for one in kind] for kind in seen)) for name, score in SCORES.items()}
        best = max(known, key=lambda name: abs(known[name] - 0.5))
        area = auc(*([SCORES[best](one) for one in kind] for kind in new))
        areas.append(area if known[best] >= 0.5 else 1 - area)
    return sum(areas) / len(areas)


class Tap:
    """A tap in front of servers at these ports of this machine."""

    def __init__(self, *ports: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.adversary.tap", *map(str, ports)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        self.places: dict[int, int] = dict(zip(ports, json.loads(self._line()), strict=True))

    def next(self) -> Connection:
        """The next connection that its client has closed."""
        found = json.loads(self._line())
        return Connection(found["port"], found["opened"], [Record(*each) for each in found["records"]], found["closed"])

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def close(self) -> None:
        self._process.communicate()
