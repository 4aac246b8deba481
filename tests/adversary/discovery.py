"""Discovery: is the client that fetches the directory notified? It sees when each network address fetches what."""

import itertools

from tests.adversary.crowd import Life
from tests.adversary.figures import Score


def fetched(life: Life) -> int:
    """How often the client has fetched something of the directory."""
    return sum(kind == "directory" for _, _, kind in life.network.connections)


def sooner(life: Life) -> float:
    """The shortest time between two days' fetches: one who is in a hurry."""
    times = sorted({time for time, _, kind in life.network.connections if kind == "directory"})
    return -min(later - earlier for earlier, later in itertools.pairwise(times))


SCORES: dict[str, Score] = {"fetches": fetched, "shortest time between two": sooner}
