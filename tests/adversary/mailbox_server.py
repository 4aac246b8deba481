"""The mailbox server: is the companion that looks notified? It sees each look and answer, and what arrives where."""

import itertools
from collections import Counter

from tests.adversary.crowd import Life
from tests.adversary.figures import Score


def looks(life: Life) -> int:
    return len(life.network.looks)


def hurry(life: Life) -> float:
    """The shortest time between two looks."""
    times = [request.time for request in life.network.requests if request.kind == "look"]
    return -min(later - earlier for earlier, later in itertools.pairwise(times))


def sizes(life: Life) -> int:
    """Into how many different sizes requests and answers fall."""
    return len({(request.sent, request.received) for request in life.network.requests if request.kind == "look"})


def full_boxes(life: Life) -> int:
    """How many boxes of a group have more than one message: a dummy after a notification, say."""
    boxes = Counter((group, row[:4]) for group, rows in life.network.groups.items() for row in rows)
    return sum(count > 1 for count in boxes.values())


def asked_for(life: Life) -> int:
    """How many messages it asks for by their place, which says that it wants just these."""
    return sum(look.plain for look in life.network.looks)


SCORES: dict[str, Score] = {
    "looks": looks, "shortest time between looks": hurry, "sizes": sizes,
    "boxes with more than one message": full_boxes, "messages asked for by place": asked_for,
}  # fmt: skip
