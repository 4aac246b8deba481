"""The renewal of a contact address, step by step: a new SURB, a dummy by the old one, and the old mailbox polled until
it is sure to be empty (docs/companion-traffic.md).

Moves renewals on; what they send goes out in `batches`.
"""

from dataclasses import dataclass
from random import Random

from anontrace_shared.slots import SLOTS_PER_DAY, slot_of

from anontrace import clock
from anontrace.companion.addresses import confirming, registration
from anontrace.companion.network.servers import Servers
from anontrace.companion.reports import journey
from anontrace.companion.schedule import dummies
from anontrace.companion.store.renewals import OldSurb
from anontrace.companion.store.state import State
from anontrace.wire.levels import Level

IN_FLIGHT_SECONDS = 6 * 3600  # by then, what was sent has arrived
_MAX_WAIT = 2.5  # of that: confirmations come in bursts, one with each look, and dummies are not to
_MAX_WAITING, _MAX_BEGUN = 0.25, 1.5  # of what gets out in a day, and of what is begun in one
_FEW = 12  # ... or so many: where there is hardly any room, it comes all at once
SPREAD_SECONDS = 46 * 3600  # over which the swaps of new addresses leave, each at a time of its own
MAX_EMPTY_POLLS = 3  # of an old mailbox, until it is given up


@dataclass(frozen=True, slots=True)
class Waiting:
    """What renewals have to send: SURBs whose swaps are due, those whose swaps go once more, and old ones whose dummies
    are to be asked for."""

    successors: list[int]
    repeats: list[int]
    old: list[OldSurb]

    def __len__(self) -> int:
        return len(self.successors) + len(self.repeats) + len(self.old)


def slots_in_question(now: float) -> tuple[int, int]:
    """Slots [first, end) whose addresses somebody may have met and may still be told of."""
    slot = slot_of(now)
    return slot - registration.NEEDED_DAYS * SLOTS_PER_DAY, slot + 1


def advance(state: State, servers: Servers, rng: Random) -> None:
    """Move every renewal on whose time has come, by a clock that the servers' key lists agree with."""
    servers.check_clock()
    now = int(clock.now())
    with state.transaction():
        state.addresses.put_right(now, now + SPREAD_SECONDS)
        state.groups.put_right(now)
        state.receipts.put_right(now)
        state.uploads.put_right(now, now + journey.ARRIVED_SECONDS)
        state.contact_answers.put_right(now)
        state.renewals.put_right(now + int(IN_FLIGHT_SECONDS * _MAX_WAIT))
        state.renewals.replaced(lambda: now + in_flight(rng))
        for old in state.renewals.drained(now, confirming.successors_arrive(state)):
            dummies.prepare(state, old, now)
        state.renewals.settled(now)


def waiting(state: State, now: int) -> Waiting:
    """What renewals have to send by now."""
    _, successors = state.addresses.due(now)
    repeats = [] if confirming.successors_arrive(state) else state.addresses.to_repeat()
    return Waiting(successors, repeats, state.renewals.with_dummy_due())


def share(mean: float, rng: Random) -> int:
    """A whole number, with this mean."""
    return int(mean) + (rng.random() < mean % 1)


def in_flight(rng: Random) -> int:
    """Seconds to wait until what is sent now has arrived."""
    return int(IN_FLIGHT_SECONDS * rng.uniform(1, _MAX_WAIT))


def start(state: State, servers: Servers, level: Level, rng: Random, room: int) -> int:
    """Begin to renew addresses, drawn at random; returns how many there were.

    As many as fall to the `room` that a batch has besides new addresses and receipts: over a day these are the level's,
    and where a level has no more room than its renewals need, none of it is left empty and nothing piles up. None while
    what was begun before does not get out. An address that was notified is renewed at a time of its own (`polling`), in
    the place of another.
    """
    now = int(clock.now())
    most = int(max(_MAX_BEGUN * level.renewals, _FEW)) - state.renewals.begun_count()
    count = min(share(level.renewals / level.rest * room, rng), most)
    chosen = []
    if count > 0 and len(waiting(state, now)) <= max(_MAX_WAITING * level.rest, _FEW):
        chosen = state.addresses.to_renew(slots_in_question(now), now, count)
    if not chosen:
        return 0
    groups = registration.open_groups(state, servers)
    made = registration.successors(servers, groups, chosen)
    with state.transaction():
        for old in chosen:
            state.renewals.start(old.surb, now)
        state.addresses.insert_successors(made, now)
    return len(made)
