"""Confirming swaps by sample, within a daily budget of bytes (docs/companion-traffic.md).

Each look fetches one bucket: that of a swap drawn at random, or any where none is pending. When all of the last
sample were found, the swaps sent at the same time are taken as confirmed too; in doubt, they go again over another
path.
"""

from random import Random

from anontrace_shared import schedule

from anontrace import clock
from anontrace.companion.servers import Servers
from anontrace.companion.state import State
from anontrace.companion.store.addresses import SENT
from anontrace.mixnet import swap
from anontrace.mixnet.keydays import day_at

BYTES_A_DAY = 30_000
ARRIVED_SECONDS = 3 * 3600  # what is not there by then is lost
DOUBT_SECONDS = 12 * 3600
SAMPLE = 20
_FINGERPRINT = 8


def look(state: State, servers: Servers, rng: Random) -> bool:
    """Look once; False when the day's bytes are used up."""
    now = int(clock.now())
    sizes = state.timetable.sample_sizes(day_at(now))
    if sum(sizes) + max(sizes, default=0) > BYTES_A_DAY:
        _judge(state, now)
        return False
    sent = [each.surb for each in state.addresses.under_way(SENT) if now - each.changed >= ARRIVED_SECONDS]
    looked_for = sent or state.addresses.unseen_successors()
    bits = servers.bucket_bits
    if not looked_for:
        stored = servers.bucket(rng.getrandbits(bits) if bits else 0)
        state.timetable.add_sample(day_at(now), _FINGERPRINT * len(stored), None)
        return True
    (item,) = state.addresses.swaps([rng.choice(looked_for)])
    key = schedule.nym_key(item.address.contact_address, item.address.slot)
    stored = servers.bucket(swap.bucket_index(key, bits))
    found = swap.fingerprint(key, item.blob) in stored
    state.timetable.add_sample(day_at(now), _FINGERPRINT * len(stored), found if sent else None)
    if found:
        state.addresses.set_confirmed([item.surb], now)
    else:
        with state.transaction():
            state.addresses.set_missing(item.surb, now)
            state.renewals.set_back(item.surb)
    _judge(state, now)
    return True


def all_found(state: State) -> None:
    """A sample's worth of swaps and more were just looked for, outside of the day's bytes, and found at once."""
    for _ in range(SAMPLE):
        state.timetable.add_sample(day_at(clock.now()), 0, True)


def _judge(state: State, now: int) -> None:
    """What the last sample says about the swaps that were not looked for."""
    last = state.timetable.last_samples(SAMPLE)
    sent = state.addresses.under_way(SENT)
    if len(last) == SAMPLE and all(last):
        arrived = [item.surb for item in sent if now - item.changed >= ARRIVED_SECONDS]
        state.addresses.set_confirmed(arrived, now, seen=False)
    else:
        state.addresses.set_lost([item.surb for item in sent if now - item.changed >= DOUBT_SECONDS], now)
