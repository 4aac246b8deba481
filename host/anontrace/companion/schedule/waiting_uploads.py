"""The uploads that `run` is to send: how long they take at its level, and whether their permits last that long."""

from dataclasses import dataclass, field

from anontrace import clock
from anontrace.companion.reports import journey
from anontrace.companion.reports.preparing import Intent
from anontrace.companion.store.state import State
from anontrace.companion.store.states import READY
from anontrace.companion.store.uploads import MIXES, StoredUpload
from anontrace.mixnet import fragment
from anontrace.wire import upload
from anontrace.wire.levels import LEVELS, Level
from anontrace.wire.upload import PermitAuthorization

MARGIN = 1.5  # what `run` may take at most for an upload, of the mean: its times are random
DAY_SECONDS = 86400


@dataclass(frozen=True)
class Waiting:
    """An upload that `run` is to send: its fragments, how many have gone, and how long the rest takes."""

    upload: StoredUpload = field(repr=False)
    fragments: int
    sent: int
    seconds: int  # from now on, in the mean
    ends: int | None  # when the permit by which it begins runs out, unix seconds; None once it has begun, or has none
    in_time: bool


def waiting(state: State) -> list[Waiting]:
    """The uploads that are ready, in the order in which `run` sends them."""
    found, left, now = [], 0.0, clock.now()
    for stored in journey.waiting(state):
        many = journey.count(stored)
        sent = many - len(journey.unsent(stored))
        ends = None if sent else _ends(state, stored)
        begins_in_time = ends is None or now + MARGIN * (left + _around(state) / 2) < ends
        takes = _takes(state, many - sent)
        left += takes
        in_time = begins_in_time and MARGIN * takes < upload.MAX_DAYS * DAY_SECONDS
        found.append(Waiting(stored, many, sent, int(left), ends, in_time))
    return found


def _takes(state: State, many: int) -> float:
    """Seconds that `run` takes for so many fragments of one upload, until it knows that they are there."""
    return many * DAY_SECONDS / run_level(state).rest + _around(state)


def _around(state: State) -> float:
    """Seconds before and after the fragments: the opening arrives, and the answer to a receipt is looked for."""
    level = run_level(state)
    return 2 * journey.ARRIVED_SECONDS + DAY_SECONDS / level.messages + DAY_SECONDS / level.looks


def run_level(state: State) -> Level:
    """The level that `run` was given last, for the badges that there are."""
    return LEVELS[state.timetable.level() or "normal"].for_badges(state.badges.count())


def hidden_seconds(state: State, intent: Intent) -> int:
    """How long `run` takes for this upload and those before it, in the mean."""
    own = intent.stored
    before = [each for each in waiting(state) if own is None or each.upload.number <= own.number]
    is_counted = own is not None and own.state == READY and own.way == MIXES
    takes = 0.0 if is_counted else _takes(state, 1 + fragment.count(intent.size))
    return int((before[-1].seconds if before else 0) + takes)


def _ends(state: State, stored: StoredUpload) -> int | None:
    """When the permit of an upload runs out; None for one that goes by a chain token."""
    authorization, pinned = stored.parsed().authorization, state.network.get()
    if pinned is None or not isinstance(authorization, PermitAuthorization):
        return None
    from anontrace.wire import network, permit  # which take longer to load than all that `status` has to do

    return permit.verify(authorization.permit, network.parse(pinned.file).authority.key).expires
