"""Paths are random, of different mixes, by keys that live long enough, and lead around who loses messages."""

from collections import Counter
from random import Random

import pytest
from anontrace.mixnet.keydays import key_select
from anontrace.mixnet.path import Hop
from anontrace.wire.choosing_paths import NoPathError, Paths, left_out
from anontrace.wire.mixes import Mix
from anontrace_shared.errors import FormatError

from tests.wire.samples import DAYS, KEYS, NOW, TODAY, mix, mixes

MIXES = mixes()


def choose(seed: int, known: dict[int, Mix] = MIXES, *, exclude: tuple[int, ...] = (), **options: int) -> list[Hop]:
    return Paths(known, NOW, exclude, Random(seed)).choose(6, **options)


def test_a_path_ends_where_it_should_and_passes_no_mix_twice() -> None:
    for seed in range(50):
        numbers = [hop.number for hop in choose(seed)]
        assert len(numbers) == len(set(numbers)) == 4
        assert numbers[-1] == 6


def test_all_mixes_come_about_as_often_at_every_place_before_the_last() -> None:
    paths = Paths(MIXES, NOW, rng=Random(1))
    ways = [[hop.number for hop in paths.choose(6)] for _ in range(1500)]
    for place in range(3):
        counts = Counter(way[place] for way in ways)
        assert sorted(counts) == [1, 2, 3, 4, 5]
        assert max(counts.values()) < 1.3 * min(counts.values())


class Dealt(Random):
    """Gives these numbers of 256 bits, and is asked for no others."""

    def __init__(self, *numbers: int) -> None:
        self.left = list(numbers)

    def getrandbits(self, bits: int) -> int:
        assert bits == 256 and self.left[0] < 1 << bits
        return self.left.pop(0)


@pytest.mark.parametrize(
    ("left", "used"),
    [(1 << 128, 5), ((1 << 128) + 3, 2), ((1 << 128) - 1, 4), ((1 << 128) - 3, 4), (1, 4)],
    ids=["128 bits", "more", "127", "127 too", "1"],
)
def test_of_a_random_number_no_more_is_used_than_leaves_all_mixes_equally_likely(left: int, used: int) -> None:
    """A remainder by six is even to one in 2^125 as long as the number has 128 bits. Here the first mix is drawn again
    and again until so much is left; then either the next is drawn from that, or from the next number."""
    rng = Dealt(left * 6**40, 3 + 6**80)
    way = [hop.number for hop in Paths(MIXES, NOW, rng=rng).choose(6, hops=3)]
    assert way == [1, used, 6] and len(rng.left) == (left >= 1 << 128)


@pytest.mark.parametrize("last", sorted(MIXES))
def test_a_path_to_any_mix_passes_all_others(last: int) -> None:
    paths = Paths(MIXES, NOW, rng=Random(2))
    passed = {hop.number for _ in range(40) for hop in paths.choose(last)[:-1]}
    assert passed == MIXES.keys() - {last}


def test_a_single_mix_is_found_by_its_newest_live_key_or_said_to_be_missing() -> None:
    paths = Paths({**MIXES, 5: mix(5, days=DAYS[1:])}, NOW)
    assert paths.hop(3) == next(hop for hop in choose(3) if hop.number == 3)
    with pytest.raises(NoPathError, match=r"^mix 5 has no key alive: get"):
        paths.hop(5)
    with pytest.raises(NoPathError, match="mix 9 is not in the directory"):
        paths.hop(9)


@pytest.mark.parametrize("hops", [1, 2, 3, 4])
def test_a_path_is_as_long_as_asked(hops: int) -> None:
    assert len(choose(1, hops=hops)) == hops


@pytest.mark.parametrize("hops", [0, 5])
def test_a_path_of_an_impossible_length_is_refused(hops: int) -> None:
    with pytest.raises(FormatError, match="1 to 4"):
        choose(1, hops=hops)


def test_every_hop_is_entered_by_its_newest_live_key() -> None:
    for hop in choose(3):
        assert (hop.key_select, hop.public_key) == (key_select(TODAY), KEYS[hop.number][TODAY])


def test_a_mix_not_heard_of_for_long_is_used_by_its_newest_key_while_that_lives() -> None:
    newest = TODAY - 25
    old = {**MIXES, 6: mix(6, days=(newest,))}
    assert choose(1, old)[-1].public_key == KEYS[6][newest]
    choose(1, old, minimum_days=4)
    with pytest.raises(NoPathError, match="mix 6 has no key alive for 5 more days"):
        choose(1, old, minimum_days=5)


def test_a_key_that_dies_tonight_will_do_where_nothing_else_is_asked() -> None:
    tonight = {**MIXES, 6: mix(6, days=(TODAY - 29,))}
    assert choose(1, tonight)[-1].number == 6
    with pytest.raises(NoPathError, match="for 1 more days"):
        choose(1, tonight, minimum_days=1)


def test_a_mix_whose_key_would_die_on_the_way_is_not_passed() -> None:
    old = {**MIXES, 1: mix(1, days=(TODAY - 25,))}
    assert any(1 in {hop.number for hop in choose(seed, old, minimum_days=4)} for seed in range(20))
    assert not any(1 in {hop.number for hop in choose(seed, old, minimum_days=5)} for seed in range(20))


def test_the_key_of_tomorrow_is_not_used_today() -> None:
    with pytest.raises(NoPathError, match="mix 6 has no key alive"):
        choose(1, {**MIXES, 6: mix(6, days=DAYS[1:])})


def test_excluded_mixes_are_not_passed() -> None:
    for seed in range(20):
        assert {hop.number for hop in choose(seed, exclude=(1, 5))} == {2, 3, 4, 6}
        assert {hop.number for hop in choose(seed, exclude=(1, 5, 6))} == {2, 3, 4, 6}  # as the end of a path it is


def test_too_few_mixes_are_reported() -> None:
    with pytest.raises(NoPathError, match="a path of 4 hops needs 3 mixes besides mix 6; 2 have a key alive"):
        choose(1, exclude=(1, 2, 5))
    with pytest.raises(NoPathError, match="; 1 have a key alive"):
        choose(1, exclude=(1, 2, 3, 5))
    with pytest.raises(NoPathError, match="mix 9 is not in the directory"):
        Paths(MIXES, NOW).choose(9)


def network(size: int, lossy: dict[int, tuple[int, ...]]) -> dict[int, Mix]:
    """So many mixes, and whom some of them accuse."""
    like = mix(1)
    return {
        number: Mix(like.described.model_copy(update={"number": number}), like.keys, lossy.get(number, ()))
        for number in range(1, size + 1)
    }


def shares(known: dict[int, Mix], bad: frozenset[int], trials: int = 40_000) -> float:
    """How many of the paths to mix 10 pass none but bad mixes on the way there."""
    paths = Paths(known, NOW, rng=Random(7))
    return sum({hop.number for hop in paths.choose(10)[:3]} <= bad for _ in range(trials)) / trials


def test_three_of_ten_mixes_that_lie_make_bad_paths_no_likelier_by_more_than_a_fifth() -> None:
    """Each accuses two honest ones, in any way that they may agree on."""
    liars = frozenset((1, 2, 3))
    honest = shares(network(10, {}), liars)
    for framed in (dict.fromkeys(liars, (4, 5)), {1: (4, 5), 2: (6, 7), 3: (8, 9)}, {1: (4, 9), 2: (4, 5), 3: (4, 6)}):
        assert left_out(network(10, framed)) == frozenset()
        assert shares(network(10, framed), liars) <= 1.2 * honest


def test_a_mix_of_which_more_than_a_third_say_that_it_loses_messages_is_passed_by_nobody() -> None:
    lossy = network(10, dict.fromkeys((2, 4, 6, 8), (9,)))
    assert left_out(lossy) == {9}
    ways = [{hop.number for hop in Paths(lossy, NOW, rng=Random(seed)).choose(10)} for seed in range(200)]
    assert not any(9 in way for way in ways)
    assert [hop.number for hop in Paths(lossy, NOW).choose(9)][-1] == 9  # who has to reach it does


def test_no_more_than_a_fifth_is_left_out_the_most_accused_first() -> None:
    accusers = {n: (8, 9) if n < 6 else (7, 9) for n in range(1, 11) if n not in (7, 8, 9)} | {7: (8, 9), 8: (7, 9)}
    assert left_out(network(10, accusers)) == {8, 9}
    everybody = {n: tuple(sorted(each % 10 + 1 for each in (n, n + 1))) for n in range(1, 11)}
    assert left_out(network(10, everybody)) == frozenset()  # two of ten accuse each


def test_of_twenty_four_are_left_out_and_the_least_accused_stays() -> None:
    said: dict[int, tuple[int, ...]] = dict.fromkeys(range(1, 21), ())
    for accused, accusers in {20: 8, 19: 8, 18: 8, 17: 8, 16: 7}.items():
        free = sorted((n for n in said if n != accused and len(said[n]) < 2), key=lambda n: len(said[n]))
        said |= {n: (*said[n], accused) for n in free[:accusers]}
    assert Counter(accused for lossy in said.values() for accused in lossy)[16] == 7
    assert left_out(network(20, said)) == {17, 18, 19, 20}


def test_exactly_a_third_excludes_nobody_and_one_more_does() -> None:
    assert left_out(network(9, dict.fromkeys((1, 2, 3), (9,)))) == frozenset()
    assert left_out(network(9, dict.fromkeys((1, 2, 3, 4), (9,)))) == {9}


def test_who_is_accused_is_passed_where_there_are_too_few_others() -> None:
    few = network(5, dict.fromkeys((2, 3, 4), (1,)))
    assert left_out(few) == {1}
    for seed in range(30):
        assert len(Paths(few, NOW, (4,), Random(seed)).choose(5)) == 4


def test_an_accusation_counts_as_long_as_the_accuser_has_a_key_and_against_who_is_there() -> None:
    accusing = network(10, dict.fromkeys((2, 4, 6, 8), (9,)))
    del accusing[9]
    assert left_out(accusing) == frozenset()
