"""Confirming swaps by sample, with receipts (docs/companion-traffic.md).

Each receipt asks for one swap, drawn at random. If the last ones were all held, the swaps sent at the same time count
as confirmed too; in doubt, they are sent again over another path, and what was sent twice counts as confirmed. An
outage takes all that is sent in some hours, swaps and receipts, and the few that are left of it no sample finds: what
was sent about when one got lost stays in doubt.
"""

import math
from collections.abc import Callable
from random import Random

from anontrace import clock
from anontrace.companion.addresses import receipts
from anontrace.companion.network.servers import Servers
from anontrace.companion.store.groups import MailGroup
from anontrace.companion.store.receipts import StoredReceipt
from anontrace.companion.store.state import State
from anontrace.companion.store.states import SENT
from anontrace.companion.store.timetable import Sample

ARRIVED_SECONDS = 3 * 3600  # what is not there by then is lost
DOUBT_SECONDS = 12 * 3600
SILENT_SECONDS = 9 * 3600  # an answer that has not come to its mailbox by then is lost
AGAIN_SECONDS = 2 * 3600  # what was lost is sent again within so long
SAMPLES = 20  # the last ones, which speak for the others
RENEWAL_SAMPLES = 40  # and for successors, whose predecessors are given up
OUTAGE_SECONDS = 3600  # before and after a swap that got lost, others may have been
MAX_SILENT = 2  # of the last ones: a lost receipt says nothing of what it asked for


def ask(state: State, servers: Servers, group: MailGroup, count: int, rng: Random) -> list[tuple[int, bytes]]:
    """So many receipts, each with the number of its mailbox: for swaps that were sent, for successors whose
    predecessors are about to be given up, or for whatever is in use, so that there are always as many.

    Runs within the caller's transaction.
    """
    now = int(clock.now())
    asked = {each.surb for each in state.receipts.open()}
    kinds: tuple[Callable[[], list[int]], ...] = (
        lambda: [each.surb for each in state.addresses.under_way(SENT) if now - each.changed >= ARRIVED_SECONDS],
        state.addresses.unseen_successors,
        lambda: state.addresses.in_use(now),  # of which there are thousands
    )
    chosen: list[int] = []
    for some in kinds:
        if len(chosen) < count:
            left = [each for each in some() if each not in asked and each not in chosen]
            chosen += rng.sample(left, min(count - len(chosen), len(left)))
    return [receipts.ask_nym(state, servers, group, item) for item in state.addresses.swaps(chosen)]


def take(state: State, rng: Random) -> None:
    """Judge the answers that have come, and what they say of the swaps that were not asked for."""
    now = int(clock.now())
    with state.transaction():
        for each in state.receipts.answered():
            if each.surb is not None:
                _judge(state, each, now)
        asked = state.timetable.asked(now) or 0
        silent = [each for each in state.receipts.open() if asked - each.made >= SILENT_SECONDS]
        state.receipts.set_judged([each.mailbox for each in silent])
        for each in silent:
            if each.surb is not None:
                successor = state.addresses.is_successor(each.surb)
                state.timetable.add_sample(Sample(None, successor, each.made))
    samples, sent = state.timetable.samples(), state.addresses.under_way(SENT)
    is_good, outages = _is_good([each.found for each in samples[:SAMPLES]], SAMPLES), _outages(samples)
    # What was sent since the first receipt that is not answered may be lost with it, and of what was sent since the
    # last one that is nothing is known.
    until = min([each.made for each in state.receipts.open() if each.surb is not None], default=now) - ARRIVED_SECONDS
    until = min(until, state.timetable.answered() or 0)
    arrived, lost = [], []
    for item in sent:
        is_doubtful = any(begin <= item.changed <= end for begin, end in outages)
        is_vouched_for = (is_good or item.is_repeated) and not is_doubtful
        if is_vouched_for and item.changed <= until:
            arrived.append(item.surb)
        elif not is_vouched_for and now - item.changed >= DOUBT_SECONDS:
            lost.append(item.surb)
    with state.transaction():
        state.addresses.set_confirmed(arrived, now, seen=False)
        state.addresses.set_lost(lost, now, lambda: now + rng.randrange(AGAIN_SECONDS))


def _outages(samples: list[Sample]) -> list[tuple[float, float]]:
    """When what was sent may have got lost: about the time of a swap that did, and from the last receipt that was
    answered before one that was not to the first that was after it."""
    answered = [each.asked for each in samples if each.found is not None and each.asked is not None]
    found: list[tuple[float, float]] = []
    for each in samples:
        if each.found is False and each.sent is not None:
            found.append((each.sent - OUTAGE_SECONDS, each.sent + OUTAGE_SECONDS))
        elif each.found is None and each.asked is not None:
            before = max((at for at in answered if at < each.asked), default=-math.inf)
            found.append((before, min((at for at in answered if at > each.asked), default=math.inf)))
    return found


def _judge(state: State, stored: StoredReceipt, now: int) -> None:
    """What an answer says of the swap that it is about; runs within the caller's transaction."""
    assert stored.surb is not None  # the caller has looked
    held, was_seen = receipts.is_held(stored), state.addresses.is_seen(stored.surb)
    sent = state.addresses.sent_at(stored.surb)
    state.receipts.set_judged([stored.mailbox])
    if held is not None:
        state.timetable.set_answered(stored.made)
    if held:
        state.addresses.set_confirmed_within([stored.surb], now)
    elif held is False:
        if not state.addresses.set_missing(stored.surb, stored.made, now):
            return  # it was sent again meanwhile, or another is to take its place
        state.renewals.set_back(stored.surb)
    # Being there says nothing of what was sent since if it was seen before, and little of one message if it was sent
    # twice: while something was missing, that does not count.
    is_lossy = False in state.timetable.last_samples(RENEWAL_SAMPLES)
    if not (held and (was_seen or (is_lossy and state.addresses.is_repeated(stored.surb)))):
        successor = state.addresses.is_successor(stored.surb)
        state.timetable.add_sample(Sample(held, successor, stored.made, None if held else sent))


def note_found(state: State, count: int) -> None:
    """So many swaps were just asked for by hand, and are held: samples like any others."""
    with state.transaction():
        for _ in range(min(count, SAMPLES)):
            state.timetable.add_sample(Sample(True, successor=False, asked=int(clock.now())))
        if count:
            state.timetable.set_answered(int(clock.now()))


def successors_arrive(state: State) -> bool:
    """Whether the swaps of successors can be taken for arrived, by the last receipts about some."""
    return _is_good(state.timetable.last_samples(RENEWAL_SAMPLES, of_successors=True), RENEWAL_SAMPLES)


def _is_good(last: list[bool | None], samples: int) -> bool:
    return len(last) == samples and False not in last and last.count(None) <= MAX_SILENT * samples // SAMPLES
