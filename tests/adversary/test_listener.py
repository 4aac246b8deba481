"""Whoever hears all badges turn cannot tell which new address is whose; of one with a rhythm of its own they can."""

import numpy as np
import pytest

from tests.adversary import listener

TURNS = 100
MAX_POINTS = 0.05  # over chance


@pytest.mark.parametrize("badges", [8, 30])
def test_an_old_address_is_linked_to_its_new_one_hardly_better_than_by_chance(badges: int) -> None:
    found = listener.shares(listener.crowd(badges, TURNS, np.random.default_rng(badges)))
    assert len(found) == 8
    assert max(found.values()) <= 1 / badges + MAX_POINTS, found


@pytest.mark.parametrize("badges", [8, 30])
def test_without_the_silences_the_same_listener_links_nearly_all(badges: int) -> None:
    found = listener.shares(listener.crowd(badges, TURNS // 4, np.random.default_rng(badges), silence=0.0))
    assert found["speaking"] > 0.9 and found["reach"] > 0.6, found
    for name in ("silence", "both", "order of turning"):
        assert found[name] > 2 / badges, (name, found)


@pytest.mark.parametrize("badges", [8, 30])
def test_a_badge_that_turns_on_its_own_rhythm_is_found(badges: int) -> None:
    random = np.random.default_rng(badges)
    heard = listener.crowd(badges, TURNS, random, planted=0.5)
    for name in ("reach", "rhythm"):
        right = listener.linked(heard, listener.WAYS[name], random)
        assert right[:, -1].mean() > 0.4, name
        assert right[:, -1].mean() > right[:, :-1].mean() + 0.25, name
