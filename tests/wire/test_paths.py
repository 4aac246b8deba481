"""Paths are random, of different mixes, by keys that live long enough."""

from collections import Counter
from itertools import pairwise
from random import Random

import pytest
from anontrace.mixnet.keydays import day_at, key_select
from anontrace.mixnet.path import Hop
from anontrace.wire import paths
from anontrace.wire.paths import NoPathError
from anontrace_shared.errors import FormatError

from tests.wire.samples import KEYS, NOW, key_list, key_lists

LISTS = key_lists()
TODAY = day_at(NOW)


def choose(seed: int, **options: object) -> list[Hop]:
    return paths.choose(LISTS, 6, NOW, rng=Random(seed), **options)  # type: ignore[arg-type]


def test_a_path_ends_where_it_should_and_passes_no_mix_twice() -> None:
    for seed in range(50):
        numbers = [hop.number for hop in choose(seed)]
        assert len(numbers) == len(set(numbers)) == 4
        assert numbers[-1] == 6


def test_all_mixes_come_first_about_as_often() -> None:
    firsts = Counter(choose(seed)[0].number for seed in range(500))
    assert sorted(firsts) == [1, 2, 3, 4, 5]
    assert min(firsts.values()) > 60


@pytest.mark.parametrize("hops", [1, 2, 3, 4])
def test_a_path_is_as_long_as_asked(hops: int) -> None:
    assert len(choose(1, hops=hops)) == hops


@pytest.mark.parametrize("hops", [0, 5])
def test_a_path_of_an_impossible_length_is_refused(hops: int) -> None:
    with pytest.raises(FormatError, match="1 to 4"):
        choose(1, hops=hops)


def test_every_hop_is_entered_by_its_newest_live_key() -> None:
    for hop in choose(3):
        newest = KEYS[hop.number][-2]
        assert newest.day == TODAY
        assert (hop.key_select, hop.public_key) == (key_select(TODAY), newest.key)


def test_a_mix_not_updated_for_long_is_used_by_its_newest_key_while_that_lives() -> None:
    old = {**LISTS, 6: key_list(6, keys=KEYS[6][:5])}
    newest = KEYS[6][4]
    assert paths.choose(old, 6, NOW)[-1].public_key == newest.key
    left = newest.day + 29 - TODAY
    paths.choose(old, 6, NOW, minimum_days=left)
    with pytest.raises(NoPathError, match=f"mix 6 has no key alive for {left + 1} more days"):
        paths.choose(old, 6, NOW, minimum_days=left + 1)


def test_the_key_of_tomorrow_is_not_used_today() -> None:
    with pytest.raises(NoPathError, match="mix 6 has no key alive"):
        paths.choose({**LISTS, 6: key_list(6, keys=KEYS[6][-1:])}, 6, NOW)


def test_excluded_mixes_are_not_passed() -> None:
    for seed in range(20):
        assert {hop.number for hop in choose(seed, exclude=(1, 5))} == {2, 3, 4, 6}


def test_too_few_mixes_are_reported() -> None:
    with pytest.raises(NoPathError, match="a path of 4 hops needs 3 mixes besides mix 6; 2 have a key alive"):
        choose(1, exclude=(1, 2, 5))
    with pytest.raises(NoPathError, match="mix 9 has no key list in force"):
        paths.choose(LISTS, 9, NOW)


def test_links_with_losses_are_avoided_where_that_is_possible() -> None:
    lossy = {**LISTS, 1: key_list(1, losses={2: 0.5, 3: 0.1})}
    pairs: set[tuple[int, int]] = set()
    for seed in range(200):
        numbers = [hop.number for hop in paths.choose(lossy, 6, NOW, rng=Random(seed))]
        pairs.update(pairwise(numbers))
    assert (1, 2) not in pairs
    assert {(1, 3), (2, 1)} <= pairs
    all_lossy = key_lists(losses=dict.fromkeys(range(1, 7), 1.0))
    assert len(paths.choose(all_lossy, 6, NOW)) == 4
