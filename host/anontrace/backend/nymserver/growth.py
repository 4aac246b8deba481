"""Whether chains grow from generation to generation, over all cases (docs/protocol.md section 9). Pure.

A chain that is bounded tells fewer in each generation, since few of those who are told test positive and hand in a log
in turn. One that grows is an outbreak, a rule that is too wide, or somebody who makes up logs: staff have to look.
"""

from collections.abc import Iterable, Mapping

from .records import Alarm, Case

DAYS = 7  # for so long after its last decision a case is looked at
DEFAULT_FACTOR = 2.0
MIN_TOLD = 100  # notifications of a generation below which nothing is said: few of anything grow fast


def told(cases: Iterable[Case]) -> dict[int, int]:
    """How many notifications each generation was decided to get. Those of a report of generation n are of n + 1."""
    found: dict[int, int] = {}
    for case in cases:
        for outcome in case.reports.values():
            if outcome.generation is not None and outcome.notifications:
                generation = outcome.generation + 1
                found[generation] = found.get(generation, 0) + outcome.notifications
    return dict(sorted(found.items()))


def alarms(told: Mapping[int, int], factor: float) -> list[Alarm]:
    """The generations that were told more than `factor` times as often as the one before."""
    found = []
    for generation, number in told.items():
        if generation > 1 and number >= MIN_TOLD:
            times = number / max(1, told.get(generation - 1, 0))
            if times > factor:
                found.append(Alarm(generation=generation, times=round(times, 2)))
    return found
