"""What the servers and companions decide, asked of their own code, for arrays.

Nothing is decided here. A simulated epidemic has millions of exposures, but few different ones: each function is asked
once for each set of values that ever comes up, and its answer is kept in a table.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
from anontrace_shared.figures import THIRDS
from anontrace_shared.slots import SLOTS_PER_DAY

from anontrace.backend.authority.rules import Rule
from anontrace.backend.nymserver import decisions, exposures, risk
from anontrace.backend.nymserver.records import Contact, Exposure
from anontrace.companion.exposures import judging
from anontrace.companion.exposures.judging import Received
from anontrace.mixnet.notification import Kind, Notification

from .arrays import Array
from .scenario import Strategy

MOST_DB, WINDOW = 255, 64  # days around the patient's symptoms that are told apart
NO_ONSET = WINDOW  # of an offset: the patient has no symptoms
_TX_POWER = 3  # dBm, which adverts say
_UNASKED = np.iinfo(np.int64).min
_ONSET_DAY = 1000
_CASE, _REPORT = bytes(range(16)), bytes(range(8))


class Asked:
    """A function of small whole numbers, from 0 up to without each of `shape`, that is asked once for each."""

    def __init__(self, function: Callable[..., int], *shape: int) -> None:
        self._function = function
        self._shape = shape
        self._answers: Array = np.full(int(np.prod(shape)), _UNASKED)

    def __call__(self, *values: Array) -> Array:
        codes = np.ravel_multi_index(tuple(np.asarray(each, np.int64) for each in values), self._shape)
        answers = self._answers[codes]
        new = np.unique(codes[answers == _UNASKED])
        if len(new):
            for code in new:
                given = (int(each) for each in np.unravel_index(code, self._shape))
                self._answers[code] = int(self._function(*given))
            answers = self._answers[codes]
        return np.asarray(answers)


def _contact(present: int, attenuation: int, slot: int = 0) -> Contact:
    return Contact(id=1, address=b"", slot=slot, present=present, attenuation=attenuation, verified=True)


def attenuation_of(lost: Array) -> Array:
    """The attenuation that a nymserver takes from a record, in dB, for what was lost on the way."""
    return np.asarray(_attenuations()[np.clip(lost, 0, MOST_DB)])


@cache
def _attenuations() -> Array:
    return np.array([exposures.attenuation_of(_TX_POWER, _TX_POWER - each) for each in range(MOST_DB + 1)])


def hears(later: Array) -> Array:
    """Whether a nymserver finds an address whose slot, by its own badge, is so many after that of the badge that heard
    it."""
    at = 1000
    near = np.array([each - at for each in exposures.slots_for(at)])
    return np.isin(later, near)


class Staff:
    """The authority's staff with one rule, and the nymserver with one report."""

    def __init__(self, strategy: Strategy) -> None:
        self._strategy = strategy
        shape = (2 * WINDOW + 1, THIRDS + 1, MOST_DB + 1)
        self._takes = Asked(self._take, *shape)
        self.risk = Asked(lambda present, attenuation: risk.of(_contact(present, attenuation)), *shape[1:])
        places = [(present, attenuation) for present in range(shape[1]) for attenuation in range(shape[2])]
        places.sort(key=lambda each: decisions.order(*each))
        order = {each: place for place, each in enumerate(places)}
        self.order = Asked(lambda present, attenuation: order[present, attenuation], *shape[1:])

    def takes(self, offset: Array, present: Array, attenuation: Array) -> Array:
        """Whether the rule takes each exposure; `offset`: days after the patient's symptoms, NO_ONSET if there were
        none."""
        return np.asarray(self._takes(np.clip(offset, -WINDOW, WINDOW) + WINDOW, present, attenuation) == 1)

    def _take(self, offset: int, present: int, attenuation: int) -> int:
        offset -= WINDOW
        given = self._strategy
        rule = Rule(
            given.minutes, given.attenuation, None if offset == NO_ONSET else _ONSET_DAY, given.before, given.after
        )
        day = _ONSET_DAY + offset
        shown = Exposure.of(_contact(present, attenuation, day * SLOTS_PER_DAY))
        return rule.takes(shown.model_dump())


class Companion:
    """The companion of whoever is told, with the rule of the report."""

    def __init__(self, minutes: int) -> None:
        self._minutes = minutes
        self.most = 3 * minutes + 3 * THIRDS  # thirds of a minute, from where on more makes no difference
        self._tells = Asked(self._tell, self.most + 1, 2)

    def tells(self, thirds: Array, own: Array) -> Array:
        """Whether each wearer is told, who was near for so long by the notifications of one report that are there;
        `own`: it is their own case."""
        return np.asarray(self._tells(np.minimum(thirds, self.most), own) == 1)

    def _tell(self, thirds: int, own: int) -> int:
        full, rest = divmod(thirds, THIRDS)
        parts = [THIRDS] * full + [rest] * (rest > 0)
        received = [
            Received(slot, 0, Notification(
                Kind.NOTIFICATION, _CASE, _REPORT, disease="", present=present, rule_minutes=self._minutes
            ))
            for slot, present in enumerate(parts)
        ]  # fmt: skip
        found = judging.assess(received, {_CASE} if own else set(), set())
        return any(each.state == judging.TOLD for each in found)
