"""What nymserver and mailbox server find out together while all mixes are honest: a model, and the attacker it allows;
and what the mailbox server finds out alone, by counting.

The nymserver knows when it sent a notification; the mailbox server, when a message came for each poller. All that lies
between are the delays of the mixes in the middle. Each poller's other messages (dummies, receipts) come as a Poisson
process. Under this model the likelihood of "it was this poller" is known exactly, and nobody can do better than to name
the poller for whom it is largest.

The population is not simulated poller by poller. Only those who were told are, and the others follow from them: the
likelihood ratio says how much rarer the same trace is with somebody who was not told.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HONEST_HOPS = 3  # of the four on a notification's path; the last is the mailbox server itself
HOPS = 4
_MAX_TRIALS = 8000
_COUNTED = 1500
_MAX_TIMES = 4_000_000  # simulated at once
_WINDOW = 25.0  # mean delays after which nothing is on its way any more: 2 in 10^8 take longer

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Attacker:
    """How well they do who ask "which poller?". `above`: of a poller who was told, the share of the others who look
    more likely to have been. `ratio`, `weight`: likelihood ratio of each trial, falling, and how much of the others it
    stands for."""

    above: float
    ratio: Floats
    weight: Floats

    def named(self, wearers: int) -> float:
        """The probability that the likeliest of so many pollers is the right one; chance is 1 / wearers."""
        # The integral, over the share p of the others that look as likely or more, of ratio(p) (1 - p)^(wearers - 1).
        before = np.minimum(np.cumsum(self.weight) - self.weight, 1.0)
        left = np.maximum(1.0 - before, 1e-300)
        step = np.minimum(self.weight / left, 1.0 - 1e-15)
        won = np.exp(wearers * np.log(left)) * -np.expm1(wearers * np.log1p(-step)) / wearers
        return float(min(1.0, max(1.0 / wearers, np.sum(self.ratio * won))))


def attack(
    delay: float, messages: int, others_a_day: float, *, together: bool = True, hops: int = HONEST_HOPS, seed: int = 1
) -> Attacker:
    """The best attacker on an exposure of so many addresses, if it is known that they belong together.

    `delay`: mean of each mix, in seconds. `others_a_day`: what else comes for each poller in a day. `together`: all are
    sent at the same moment; else hours or days apart, so that each is looked for by itself.
    """
    if not delay:
        return Attacker(0.0, np.array([1e200]), np.array([1e-200]))  # nothing else comes at that very moment
    chance = np.random.default_rng(seed)
    rate = others_a_day * delay / 86400  # of others, in one mean delay: the only scale there is
    ratio = _sent_together(chance, rate, messages if together else 1, hops)
    if not together:  # as many traces of one message each, put together at random
        ratio = np.prod([chance.permutation(ratio) for _ in range(messages)], axis=0)
    ratio = np.sort(ratio)[::-1]
    weight = 1.0 / (ratio * len(ratio))
    past = np.cumsum(weight)
    return Attacker(float(np.mean(np.minimum(past - weight / 2, 1.0))), ratio, weight)


def counted(
    delay: float, messages: int, spread: float, *, batches: float, dummies: float, days: int = 14, seed: int = 1
) -> float:
    """How well the mailbox server alone tells pollers who were told from others, by the most that came for them within
    six mean delays: the area under the ROC curve, 0.5 is chance.

    In some of so many days there come `messages`, sent over `spread` seconds by an honest nymserver, and in all of them
    dummies and receipts, so many a day, asked for in batches.
    """
    chance = np.random.default_rng(seed)

    def usual() -> Floats:
        gaps = chance.uniform(0.5, 1.5, int(days * batches * 1.2)) * 86400 / batches
        asked = np.repeat(np.cumsum(gaps), chance.poisson(dummies / batches, len(gaps)))
        return asked + chance.gamma(HOPS + HONEST_HOPS, delay, len(asked))

    def told() -> Floats:
        sent = chance.uniform(0.2, days - 0.4) * 86400 + chance.uniform(0, spread, messages)
        return np.concatenate((usual(), sent + chance.gamma(HONEST_HOPS, delay, messages)))

    some, others = (np.array([_most_within(6 * delay, each()) for _ in range(_COUNTED)]) for each in (told, usual))
    return float(np.mean(some[:, None] > others) + np.mean(some[:, None] == others) / 2)


def _most_within(seconds: float, times: Floats) -> int:
    ordered = np.sort(times)
    return int(np.max(np.searchsorted(ordered, ordered + seconds) - np.arange(len(ordered)), initial=0))


def _sent_together(chance: np.random.Generator, rate: float, messages: int, hops: int) -> Floats:
    """The likelihood ratio of each trial for the poller who was told: that these messages are among what came for them,
    to that they are not. The sum over all ways to say which ones they are."""
    trials = max(100, min(_MAX_TRIALS, int(_MAX_TIMES / (rate * _WINDOW))))
    counts = chance.poisson(rate * _WINDOW, trials)
    others = chance.uniform(0, _WINDOW, (trials, int(counts.max(initial=0))))
    density = _density(others, hops) * (np.arange(others.shape[1]) < counts[:, None])
    own = _density(chance.gamma(hops, size=(trials, messages)), hops)
    ways = np.zeros((trials, messages + 1))
    ways[:, 0] = 1.0
    for column in np.concatenate((own, density), axis=1).T / rate:
        ways[:, 1:] += column[:, None] * ways[:, :-1]
    return ways[:, -1] * math.factorial(messages)


def _density(times: Floats, hops: int) -> Floats:
    """Of the sum of so many exponential delays with mean 1."""
    return times ** (hops - 1) * np.exp(-times) / math.factorial(hops - 1)


def later_than(seconds: float, delay: float, hops: int = HOPS) -> float:
    """The share of messages that so many mixes hold for longer than that, in all."""
    if not delay:
        return 0.0
    mean = seconds / delay
    return math.exp(-mean) * sum(mean**k / math.factorial(k) for k in range(hops))
