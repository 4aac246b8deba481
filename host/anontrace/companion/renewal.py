"""The seed's ideal update scheme for one contact address, and the batches of messages in which its steps go out.

Every request holds the same number of messages to one first mix: dummies by old SURBs, swaps, repeats of swaps that the
nymserver was never seen to hold, and cover where there is nothing to send. What a batch holds, only the mixes together
could tell (docs/companion-traffic.md).
"""

import secrets
from random import Random

from anontrace_shared.slots import SLOTS_PER_DAY, slot_of

from anontrace import clock
from anontrace.companion import registration, swaps
from anontrace.companion.errors import OfflineError
from anontrace.companion.levels import Level
from anontrace.companion.servers import Servers
from anontrace.companion.state import State
from anontrace.companion.store.addresses import MADE, PendingSwap
from anontrace.mixnet import blob, message, notification, surb
from anontrace.mixnet.notification import Kind, Notification
from anontrace.mixnet.sizes import MAILBOX, PAYLOAD
from anontrace.mixnet.surb import Surb

IN_FLIGHT_SECONDS = 6 * 3600  # by then, what was sent has arrived
MOST_LOOKS = 3  # into an old mailbox in which nothing is
_TRIES = 3  # first mixes


def slots_in_question(now: float) -> tuple[int, int]:
    """Slots [first, end) whose addresses somebody may have met and may still be told of."""
    slot = slot_of(now)
    return slot - registration.NEEDED_DAYS * SLOTS_PER_DAY, slot + 1


def advance(state: State, rng: Random) -> None:
    """Move every renewal on whose time has come."""
    now = int(clock.now())
    state.renewals.replaced(now + _wait(rng))
    state.renewals.drained(now)
    state.renewals.settled(now)


def _wait(rng: Random) -> int:
    return int(IN_FLIGHT_SECONDS * rng.uniform(1, 1.5))


def start(state: State, servers: Servers, count: int) -> int:
    """Begin to renew so many addresses: those that were notified first, then any; returns how many there were."""
    now = int(clock.now())
    chosen = state.addresses.to_renew(slots_in_question(now), count)
    made = [(old.address, registration.successor(servers, old)) for old in chosen]
    with state.transaction():
        for old in chosen:
            state.renewals.start(old.surb, now)
        state.addresses.insert_successors(made, now)
    return len(made)


def send_batch(state: State, servers: Servers, level: Level, rng: Random) -> None:
    """Send one batch: `level.batch` messages to one mix drawn at random. OfflineError when no mix answers."""
    advance(state, rng)
    share = level.renewals / level.messages
    start(state, servers, int(share) + (rng.random() < share % 1))
    for _ in range(_TRIES):
        first = rng.choice(servers.first_mixes)
        if _send(state, servers, first, level.batch, rng):
            return
    raise OfflineError("none of the mixes can be reached; nothing is lost, try again when you are online")


def _send(state: State, servers: Servers, first: int, size: int, rng: Random) -> bool:
    dummies: list[tuple[int, Surb]] = []
    for old in state.renewals.with_dummy_due():
        opened = surb.parse(blob.open(old.contact_address, old.slot, old.blob))
        if opened.first_mix == first and len(dummies) < size:
            dummies.append((old.surb, opened))
    sent = _swaps_to_send(state, size - len(dummies))
    nymserver = servers.nymserver.number
    messages = [
        surb.use(opened, notification.seal(opened.message_key, Notification(Kind.DUMMY))) for _, opened in dummies
    ]
    repeated = state.addresses.to_repeat(slots_in_question(clock.now())[0], size - len(dummies) - len(sent))
    messages += [swaps.build(item, servers.path_from(first, nymserver)) for item in [*sent, *repeated]]
    messages += [_cover(servers, first, nymserver) for _ in range(size - len(messages))]
    rng.shuffle(messages)
    if not servers.send_messages(first, messages):
        return False
    now = int(clock.now())
    state.renewals.repeated([item.surb for item in repeated], now + _wait(rng))
    state.addresses.set_sent([item.surb for item in [*sent, *repeated]], now)
    state.renewals.dummies_sent([number for number, _ in dummies], now + _wait(rng))
    return True


def _swaps_to_send(state: State, most: int) -> list[PendingSwap]:
    """Swaps that wait for their first or next journey, those of the earliest slots first."""
    waiting = sorted(state.addresses.under_way(MADE), key=lambda each: each.slot)
    return state.addresses.swaps([each.surb for each in waiting[:most]])


def _cover(servers: Servers, first: int, nymserver: int) -> bytes:
    """A message that looks like a swap, and that the nymserver drops for its last byte."""
    payload = secrets.token_bytes(PAYLOAD - 1) + bytes((1 + secrets.randbelow(255),))
    return message.forward(servers.path_from(first, nymserver), secrets.token_bytes(MAILBOX), payload)
