"""Choosing a random path through the mixes of a directory (docs/protocol.md section 6).

Pure: the time and the generator are passed in. Never builds a header.
"""

import secrets
from collections.abc import Collection, Mapping
from itertools import pairwise
from random import Random

from anontrace_shared.errors import AnontraceError, FormatError

from anontrace.mixnet import keydays
from anontrace.mixnet.path import Hop
from anontrace.mixnet.sizes import MOST_HOPS

from .keylist import KeyList, MixKey

LOSS_LIMIT = 0.2  # of the messages over one link, from which on it is avoided where there is another
_TRIES = 64
_SYSTEM_RANDOM = secrets.SystemRandom()


class NoPathError(AnontraceError):
    """The directory has too few mixes for this path."""


def choose(
    lists: Mapping[int, KeyList],
    last: int,
    now: float,
    *,
    hops: int = MOST_HOPS,
    minimum_days: int = 0,
    exclude: Collection[int] = (),
    rng: Random = _SYSTEM_RANDOM,
) -> list[Hop]:
    """A path of `hops` different mixes that ends at mix `last`, each by its newest live key.

    `minimum_days`: for how many whole days after today every key must stay alive. `exclude`: mixes not to be used
    before the last. Links on which the mixes report losses are avoided where that is possible. NoPathError if mixes
    are missing.
    """
    if not 1 <= hops <= MOST_HOPS:
        raise FormatError(f"a path has 1 to {MOST_HOPS} hops, not {hops}")
    keys = {number: key for number, each in lists.items() if (key := usable_key(each, now, minimum_days)) is not None}
    days = f" for {minimum_days} more days" if minimum_days else ""
    if last not in keys:
        what = "has no key alive" + days if last in lists else "has no key list in force"
        raise NoPathError(f"mix {last} {what}: get a newer directory")
    others = sorted(keys.keys() - {last} - set(exclude))
    if len(others) < hops - 1:
        raise NoPathError(
            f"a path of {hops} hops needs {hops - 1} mixes besides mix {last}; {len(others)} have a key alive{days}"
        )
    blamed = {number for number in others if _is_blamed(lists, number)}
    for _ in range(_TRIES):
        numbers = [*rng.sample(others, hops - 1), last]
        if numbers[0] not in blamed and not any(_loses(lists[a], b) for a, b in pairwise(numbers)):
            break
    return [Hop(number, keydays.key_select(keys[number].day), keys[number].key) for number in numbers]


def usable_key(key_list: KeyList, now: float, minimum_days: int = 0) -> MixKey | None:
    """The newest live key of a mix, if it stays alive for so many whole days after today."""
    live = keydays.live_days(now)
    newest = max((key for key in key_list.keys if key.day in live), key=lambda key: key.day, default=None)
    if newest is None or keydays.days_left(newest.day, now) < minimum_days:
        return None
    return newest


def _is_blamed(lists: Mapping[int, KeyList], number: int) -> bool:
    """Whether most of the mixes that tell anything of this one lose messages to it: then it is no first hop either."""
    told = [_loses(each, number) for each in lists.values() if number in each.losses]
    return 2 * sum(told) > len(told)


def _loses(key_list: KeyList, next_mix: int) -> bool:
    return key_list.losses.get(next_mix, 0.0) > LOSS_LIMIT
