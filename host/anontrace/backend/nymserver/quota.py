"""How many notifications a day over all cases, and until when one may wait for its day (docs/protocol.md section 9).
Pure; limit.py keeps the count."""

from anontrace_shared.slots import SLOTS_PER_DAY

from anontrace.mixnet import keydays

from .records import LimitSettings

DEFAULT_A_DAY = 1000


def a_day(settings: LimitSettings, wearers: int | None, ceiling: int | None) -> int:
    """What the authority has set, or one for each wearer and DEFAULT_A_DAY at least; never more than the operator's
    ceiling."""
    wanted = settings.a_day
    if wanted is None:
        wanted = max(DEFAULT_A_DAY, wearers or 0)
    return wanted if ceiling is None else min(wanted, ceiling)


def last_day(slot: int, expiry: int) -> int:
    """The last day on which a contact of this slot can be told, if the token that goes with it counts until `expiry`
    (both in days): after that the authority could not take it back either."""
    return min(expiry, slot // SLOTS_PER_DAY + keydays.TELLABLE_DAYS)
