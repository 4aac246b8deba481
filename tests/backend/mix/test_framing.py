"""What mixes gain that drop messages next to honest ones, so that these seem to lose them, and accuse them besides."""

from collections.abc import Callable
from random import Random

import pytest
from anontrace.backend.mix import blame
from anontrace.backend.mix.blame import Seen
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
    over = blame.accused(seen, LOSS_LIMIT)
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


FRAMED = [(9,), (8, 9), (7, 8, 9), (6, 7, 8, 9), (4, 5, 6, 7, 8, 9)]


@pytest.mark.parametrize("framed", FRAMED, ids=len)
def test_a_third_of_the_mixes_that_lie_and_drop_loops_next_to_others_gain_nothing(framed: tuple[int, ...]) -> None:
    excluded, times = gain(BAD, framed)
    assert excluded <= BAD
    assert times < 1.1


def test_four_of_ten_can_exclude_two() -> None:
    excluded, times = gain(frozenset((1, 2, 3, 4)), (8, 9))
    assert excluded == {8, 9}
    assert times < 2.6


@pytest.mark.parametrize("share", [0.4, 1.0])
def test_a_mix_that_drops_messages_whoever_stands_next_to_it_is_left_out(share: float) -> None:
    rng = Random(5)
    said = {n: accused(n, frozenset((1,)), lambda *_: rng.random() < share, rng) for n in range(2, SIZE + 1)}
    assert left_out(network(said)) == {1}
    assert {number for lossy in said.values() for number in lossy} == {1}


def test_a_dead_mix_among_five_is_told_of_by_each_other() -> None:
    rng = Random(11)
    ways = [tuple(rng.sample(range(1, 5), 3)) for _ in range(80)]
    assert set(blame.accused([Seen(way, 1 in way) for way in ways], LOSS_LIMIT)) == {1}
