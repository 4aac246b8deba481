"""The model of nymserver and mailbox server together: what one can work out by hand, and what chance alone makes of it.

The pollers are simulated here one by one, each with traffic of their own; the model never does that.
"""

import math

import numpy as np
import pytest
from anontrace.backend.config import NymserverSettings
from anontrace.wire.levels import NORMAL

from tools.bench import collusion
from tools.bench.privacy import MESSAGES_A_DAY

DAY = 86400.0


def played(delay: float, messages: int, wearers: int, trials: int, seed: int) -> float:
    """How often the poller is named for whom the messages' likelihood is largest, in plain numbers and plain loops."""
    chance = np.random.default_rng(seed)
    window = 20 * delay
    named = 0
    for _ in range(trials):
        scores = []
        for wearer in range(wearers):
            times = list(chance.uniform(0, window, chance.poisson(MESSAGES_A_DAY * window / DAY)))
            if wearer == 0:
                times += list(chance.gamma(collusion.HONEST_HOPS, delay, messages))
            ways = [1.0] + [0.0] * messages
            for time in times:
                density = time**2 * math.exp(-time / delay) / (2 * delay**3)
                ways = [1.0, *(ways[k] + density * ways[k - 1] for k in range(1, messages + 1))]
            scores.append(ways[-1])
        named += scores[0] == max(scores)
    return named / trials


@pytest.mark.parametrize(("messages", "together"), [(1, True), (3, True), (12, True), (12, False)])
def test_one_wearer_alone_is_always_named(messages: int, together: bool) -> None:
    assert collusion.attack(3600, messages, MESSAGES_A_DAY, together=together).named(1) == pytest.approx(1.0, abs=0.01)


def test_without_a_delay_or_without_other_messages_the_poller_is_always_named() -> None:
    for attacker in (
        collusion.attack(0.0, 1, MESSAGES_A_DAY),
        collusion.attack(1e-6, 1, MESSAGES_A_DAY),
        collusion.attack(3600, 1, 1e-9),
        collusion.attack(1e-6, 12, MESSAGES_A_DAY, together=False),
    ):
        assert attacker.named(10**6) == pytest.approx(1.0, abs=0.01)
        assert attacker.above < 1e-6


@pytest.mark.parametrize("wearers", [10, 10**3, 10**6])
def test_long_delays_leave_chance_alone(wearers: int) -> None:
    attacker = collusion.attack(2 * DAY, 1, MESSAGES_A_DAY)
    assert 1 <= attacker.named(wearers) * wearers < 1.15
    assert attacker.above == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(("delay", "messages"), [(30.0, 1), (300.0, 1), (60.0, 3)])
def test_pollers_simulated_one_by_one_give_the_same_figure(delay: float, messages: int) -> None:
    wearers, trials = 20, 1500
    found = played(delay, messages, wearers, trials, seed=5)
    expected = collusion.attack(delay, messages, MESSAGES_A_DAY).named(wearers)
    assert abs(found - expected) < 4 * math.sqrt(expected * (1 - expected) / trials) + 0.01


def test_more_wearers_longer_delays_and_fewer_messages_make_it_harder() -> None:
    found = collusion.attack(60, 3, MESSAGES_A_DAY)
    numbers = [found.named(count) for count in (1, 10, 10**3, 10**5)]
    assert numbers == sorted(numbers, reverse=True)
    for easier in (
        collusion.attack(30, 3, MESSAGES_A_DAY),
        collusion.attack(60, 12, MESSAGES_A_DAY),
        collusion.attack(60, 3, MESSAGES_A_DAY / 10),
        collusion.attack(60, 3, MESSAGES_A_DAY, hops=2),
    ):
        assert easier.named(1000) > found.named(1000)
        assert easier.above < found.above


def test_the_same_seed_gives_the_same_figure() -> None:
    assert collusion.attack(60, 3, 304).named(1000) == collusion.attack(60, 3, 304).named(1000)


def counted(messages: int, spread: float, days: int = 14) -> float:
    return collusion.counted(300, messages, spread, batches=NORMAL.messages, dummies=MESSAGES_A_DAY, days=days)


def test_the_mailbox_server_counts_what_comes_at_once_and_hardly_what_the_nymserver_spreads_over_hours() -> None:
    assert counted(288, 0.0) > 0.99
    assert counted(1, 0.0) == pytest.approx(0.5, abs=0.03)
    assert counted(12, 0.0) > 0.57 and counted(12, 0.0, days=1) > 0.7
    assert counted(12, NymserverSettings().spread) <= 0.55
    assert counted(12, NymserverSettings().spread, days=1) <= 0.55


def test_how_late_messages_come() -> None:
    assert collusion.later_than(100, 0) == 0
    assert collusion.later_than(60, 60, hops=1) == pytest.approx(math.exp(-1))
    drawn = np.random.default_rng(1).exponential(300, (200_000, collusion.HOPS)).sum(axis=1)
    assert collusion.later_than(3600, 300) == pytest.approx(float(np.mean(drawn > 3600)), abs=0.0005)
