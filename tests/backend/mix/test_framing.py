"""What mixes gain that drop messages next to honest ones, so that these seem to lose them."""

from collections.abc import Callable
from random import Random

import pytest
from anontrace.backend.mix.blame import Seen, losses
from anontrace.backend.mix.loops import LOSS_LIMIT
from anontrace.mixnet import keydays
from anontrace.wire.announcement import MAX_LOSSY
from anontrace.wire.choosing_paths import Paths, left_out
from anontrace.wire.description import Description
from anontrace.wire.mixes import Mix, MixKey

SIZE, LOOPS = 10, 512
NOW = 1_767_600_000.0
BAD = frozenset((1, 2, 3))
Drops = Callable[[int, int, int], bool]


def accused(number: int, bad: frozenset[int], drops: Drops, rng: Random) -> tuple[int, ...]:
    """Whom an honest mix accuses after its loops, as `Loops.lossy` does. A mix sees the hop before it and the next."""
    others = [each for each in range(1, SIZE + 1) if each != number]
    seen = []
    for _ in range(LOOPS):
        way = rng.sample(others, 3)
        hops = (number, *way, number)
        lost = any(hops[n] in bad and drops(hops[n - 1], hops[n], hops[n + 1]) for n in range(1, 4))
        seen.append(Seen(tuple(way), lost))
    over = {each: share for each, share in losses(seen).items() if share > LOSS_LIMIT}
    return tuple(sorted(sorted(over, key=lambda each: -over[each])[:MAX_LOSSY]))


def network(lossy: dict[int, tuple[int, ...]]) -> dict[int, Mix]:
    today = keydays.day_at(NOW)
    return {
        n: Mix(
            Description(number=n, roles=("mix",), issued=0, name=f"mix-{n}", url=f"http://127.0.0.1:{n}"),
            (MixKey(today, bytes((n,)) * 32),),
            lossy.get(n, ()),
        )
        for n in range(1, SIZE + 1)
    }


def bad_share(known: dict[int, Mix], bad: frozenset[int], trials: int = 40_000) -> float:
    """How many of the paths to mix 10 pass none but bad mixes on the way there."""
    paths = Paths(known, NOW, rng=Random(7))
    return sum({hop.number for hop in paths.choose(10)[:3]} <= bad for _ in range(trials)) / trials


def gain(bad: frozenset[int], framed: tuple[int, ...]) -> tuple[frozenset[int], float]:
    """Who is left out, and by how much bad paths rise, when the bad ones drop what comes from or goes to those that
    they frame, and accuse them besides."""
    rng = Random(3)

    def drops(before: int, own: int, after: int) -> bool:
        return before in framed or after in framed

    said = {n: accused(n, bad, drops, rng) for n in range(1, SIZE + 1) if n not in bad}
    known = network(said | dict.fromkeys(bad, framed[:MAX_LOSSY]))
    return left_out(known), bad_share(known, bad) / bad_share(network({}), bad)


@pytest.mark.parametrize("bad", [BAD, frozenset((1, 2, 3, 4))], ids=["three of ten", "four of ten"])
def test_mixes_that_drop_loops_next_to_honest_ones_exclude_two_of_ten_and_no_more(bad: frozenset[int]) -> None:
    excluded, times = gain(bad, (8, 9))
    print(len(bad), sorted(excluded), times)
    assert excluded == {8, 9}
    assert times < 2.6


def test_whoever_drops_loops_next_to_more_than_two_is_excluded() -> None:
    excluded, times = gain(BAD, (6, 7, 8, 9))
    assert excluded <= BAD and times < 1
