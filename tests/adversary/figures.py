"""How well an observer does, as one number, and what chance would give."""

from collections.abc import Callable, Sequence

from tests.adversary.crowd import Life

Score = Callable[[Life], float]


def auc(some: Sequence[float], others: Sequence[float]) -> float:
    """How often one of the former scores above one of the latter; a tie counts half. 0.5 is chance."""
    won = sum((one > other) + (one == other) / 2 for one in some for other in others)
    return won / (len(some) * len(others))


def told_apart(scores: dict[str, Score], some: Sequence[Life], others: Sequence[Life]) -> dict[str, float]:
    """By each score how well the two kinds of lives are told apart, in whichever direction."""
    areas = {name: auc([score(one) for one in some], [score(one) for one in others]) for name, score in scores.items()}
    return {name: max(area, 1 - area) for name, area in areas.items()}
