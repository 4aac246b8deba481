"""The observer of a wearer's line: idle or notified? They see when requests go out, to whom, and all sizes.

tests/companion/schedule/test_shape.py lets a classifier learn on many more such lives, uploads among them.
"""

import itertools
from statistics import pstdev

from tests.adversary.crowd import Life
from tests.adversary.figures import Score


def requests(life: Life) -> int:
    return len(life.network.requests)


def sent(life: Life) -> int:
    return sum(request.sent for request in life.network.requests)


def received(life: Life) -> int:
    return sum(request.received for request in life.network.requests)


def hurry(life: Life) -> float:
    """The shortest time between two looks."""
    times = [request.time for request in life.network.requests if request.kind == "look"]
    return -min(later - earlier for earlier, later in itertools.pairwise(times))


def unevenness(life: Life) -> float:
    """How much the sizes of requests and answers of one kind differ."""
    kinds = {request.kind for request in life.network.requests if request.kind != "directory"}
    sizes = [[r.sent + r.received for r in life.network.requests if r.kind == kind] for kind in sorted(kinds)]
    return sum(pstdev(each) for each in sizes)


SCORES: dict[str, Score] = {
    "requests": requests, "bytes sent": sent, "bytes received": received, "shortest time between looks": hurry,
    "sizes that differ": unevenness,
}  # fmt: skip
