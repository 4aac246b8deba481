"""Making contact addresses for the coming slots, each with a mailbox and a SURB of its own (docs/protocol.md, 1 and 7).

Derives the addresses, makes and stores the SURBs; sending and confirming them is `swaps`. Nothing is random twice: an
address that is stored is never made again.
"""

import secrets
from collections.abc import Callable

from anontrace_shared import schedule
from anontrace_shared.slots import SLOTS_PER_DAY, day_of, slot_of

from anontrace import clock
from anontrace.companion.errors import SetupError
from anontrace.companion.servers import Servers
from anontrace.companion.state import State
from anontrace.companion.store.addresses import NewSurb, ReceivingSurb
from anontrace.companion.store.badges import Badge
from anontrace.mixnet import blob, surb, swap
from anontrace.mixnet.keydays import LIFE_DAYS, day_at

NEEDED_DAYS = 14  # after its slot: for so long a contact may still be told
MOST_SLOTS = 14 * SLOTS_PER_DAY  # beyond that, a SURB's mix keys would expire before it may be needed
_DAY_SECONDS = 86400

Progress = Callable[[int, int], None]


def make(state: State, servers: Servers, badge: Badge, first: int, end: int, progress: Progress) -> int:
    """Make what is missing for the slots in [first, end); returns how many addresses were made."""
    now = clock.now()
    if first < slot_of(now):
        raise SetupError(f"slot {first} is over; register from {slot_of(now)} (now) on")
    if not 0 < end - first <= MOST_SLOTS:
        raise SetupError(f"register between 1 and {MOST_SLOTS} slots (14 days) at a time")
    known = state.addresses.slots(badge.number, first, end)
    made = []
    day, day_key = badge.day, badge.day_key
    for slot in range(first, end):
        if slot in known:
            continue
        if day_of(slot) != day:
            day, day_key = day_of(slot), badge.key_of_day(day_of(slot))
        contact_address = schedule.address_at(day_key, slot)
        made.append((slot, contact_address, new_surb(servers, contact_address, slot, swap.NEW)))
        progress(slot + 1 - first, end - first)
    state.addresses.add(badge.number, made, int(now))
    return len(made)


def rearm(state: State, servers: Servers) -> int:
    """Make a successor for each SURB that was spent, authorised by it; returns how many."""
    made = [(used.address, successor(servers, used)) for used in state.addresses.to_replace()]
    state.addresses.add_successors(made, int(clock.now()))
    return len(made)


def successor(servers: Servers, old: ReceivingSurb) -> NewSurb:
    """A new SURB for the address of an old one, with a mailbox of its own, authorised by the old one."""
    return new_surb(servers, old.address.contact_address, old.address.slot, swap.authentication(old.blob))


def new_surb(servers: Servers, contact_address: bytes, slot: int, authentication: bytes) -> NewSurb:
    server = servers.random_mailbox_server()
    mailbox = secrets.token_bytes(32)
    ahead = max(day_of(slot) - day_at(clock.now()), 0)
    made, kept = surb.make(servers.path_to(server, ahead + NEEDED_DAYS), mailbox)
    return NewSurb(
        server=server,
        mailbox=mailbox,
        until=(day_at(clock.now()) + LIFE_DAYS + 1) * _DAY_SECONDS,
        authentication=authentication,
        blob=blob.seal(contact_address, slot, made),
        secrets=kept.to_bytes(),
    )
