"""Nymserver and mailbox server together: whose companion got the notification that the nymserver sent?

They know when it was sent and when something came for each companion. tools/bench/collusion.py computes the same for
crowds of any size; here it is the shipped scheduler's traffic, which is sparser: a twenty-fourth.
"""

from collections.abc import Sequence
from math import exp, factorial

from anontrace.backend.config import MixSettings

from tests.adversary.crowd import HOPS, Life

_HOPS = HOPS - 1  # the last is the mailbox server itself


def named_by_each(lives: Sequence[Life], delay: float = MixSettings().delay) -> float:
    """Of all notifications, each looked at by itself, the share for which the right companion is the likeliest; chance
    is 1 / len(lives)."""
    guesses = [
        max(lives, key=lambda each: _likelihood(each, moment, delay)) is life
        for life in lives
        for _, moment in life.told
    ]
    return sum(guesses) / len(guesses)


def _likelihood(life: Life, moment: float, delay: float) -> float:
    """Of one message more, that was sent at that moment, among what came for this companion."""
    gaps = [(time - moment) / delay for time, _ in life.network.arrivals if time > moment]
    return sum(gap ** (_HOPS - 1) * exp(-gap) / factorial(_HOPS - 1) for gap in gaps)
