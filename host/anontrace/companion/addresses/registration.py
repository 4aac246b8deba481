"""Making contact addresses for the coming slots, each with a mailbox and a SURB of its own (docs/protocol.md, 1 and 7).

Derives the addresses, makes and stores the SURBs; sending and confirming them is left to `swaps`. Never makes an
address again that is already stored. Each mailbox is in a group that is drawn from those of some days, all at one
server: nymserver and mailbox server together know when it was made, and should not know its group by that.
"""

import secrets
from collections.abc import Callable, Iterator, Sequence
from random import SystemRandom
from typing import TypeVar

from anontrace_primitives import x25519_base_many
from anontrace_shared import schedule
from anontrace_shared.slots import SLOTS_PER_DAY, day_of, slot_of

from anontrace import clock
from anontrace.companion.errors import SetupError
from anontrace.companion.network.servers import Servers
from anontrace.companion.store.addresses import Address, NewSurb, ReceivingSurb
from anontrace.companion.store.badges import Badge
from anontrace.companion.store.groups import MailGroup
from anontrace.companion.store.state import State
from anontrace.mixnet import blob, surb, swap
from anontrace.mixnet.header import GROUPED
from anontrace.mixnet.keydays import LIFE_DAYS, TELLABLE_DAYS, day_at
from anontrace.mixnet.path import Hop
from anontrace.mixnet.sizes import GROUP, MAILBOX
from anontrace.mixnet.surb import SurbSecrets

NEEDED_DAYS = TELLABLE_DAYS
OPEN_DAYS = (
    10  # for which a group takes new mailboxes; what is made on the last for `run`'s days ahead is still in time
)
MAX_SLOTS = 14 * SLOTS_PER_DAY  # beyond that, a SURB's mix keys would expire before it may be needed
_DAY_SECONDS = 86400
_AT_ONCE = 32  # SURBs: enough to fill the lanes of X25519, and few enough that progress shows
_random = SystemRandom()

Progress = Callable[[int, int], None]

T = TypeVar("T")


def make(
    state: State,
    servers: Servers,
    badge: Badge,
    first: int,
    end: int,
    progress: Progress,
    leaves: Callable[[], int] = lambda: 0,
) -> int:
    """Make what is missing for the slots in [first, end); returns how many addresses were made. `run` sends the swap of
    each when it `leaves` (unix seconds)."""
    now = clock.now()
    if first < slot_of(now):
        raise SetupError(f"slot {first} is over; register from {slot_of(now)} (now) on")
    if not 0 < end - first <= MAX_SLOTS:
        raise SetupError(f"register between 1 and {MAX_SLOTS} slots (14 days) at a time")
    known = state.addresses.slots(badge.number, first, end)
    if known >= set(range(first, end)):
        return 0
    groups, day, day_key = open_groups(state, servers), badge.day, badge.day_key
    secrets_of: dict[int, bytes] = {}
    for slot in range(first, end):
        if slot in known:
            continue
        if day_of(slot) != day:
            day, day_key = day_of(slot), badge.key_of_day(day_of(slot))
        secrets_of[slot] = schedule.slot_secret(day_key, slot)
    made: list[tuple[int, bytes, NewSurb]] = []
    for slots in _chunks(list(secrets_of)):
        publics = x25519_base_many([secrets_of[slot] for slot in slots])
        wanted = [(schedule.contact_address(each), slot, swap.NEW) for each, slot in zip(publics, slots, strict=True)]
        for (address, slot, _), fresh in zip(wanted, new_surbs(servers, groups, wanted, leaves), strict=True):
            made.append((slot, address, fresh))
        progress(slots[-1] + 1 - first, end - first)
    state.addresses.add(badge.number, made, int(now))
    return len(made)


def rearm(state: State, servers: Servers) -> int:
    """Make a successor for each SURB that was spent, authorised by it; returns how many."""
    spent = state.addresses.to_replace()
    if not spent:
        return 0
    groups = open_groups(state, servers)
    state.addresses.add_successors(successors(servers, groups, spent), int(clock.now()))
    return len(spent)


def group_of_today(state: State, servers: Servers) -> MailGroup:
    """The youngest group, for what is asked for by itself: at one server, which is kept as long as it is in the
    directory."""
    home = state.groups.home()
    server = home if home in servers.mailbox_servers else servers.random_mailbox_server()
    today = day_at(clock.now())
    return state.groups.of_day(server, today, _until(today))


def open_groups(state: State, servers: Servers) -> list[MailGroup]:
    """The groups that take new mailboxes, at one server: today's and those of some days before."""
    server, today = group_of_today(state, servers).server, day_at(clock.now())
    return state.groups.since_day(server, today - OPEN_DAYS + 1)


def mailbox_in(group: MailGroup) -> bytes:
    """A new mailbox address (32) of a group."""
    return group.address + secrets.token_bytes(MAILBOX - GROUP)


def _until(day: int) -> int:
    """When nothing can arrive any more in what is made on this day, unix seconds."""
    return (day + LIFE_DAYS + 1) * _DAY_SECONDS


def successors(
    servers: Servers, groups: Sequence[MailGroup], used: Sequence[ReceivingSurb]
) -> list[tuple[Address, NewSurb]]:
    """A new SURB for the address of each old one, with another mailbox, authorised by the old one."""
    made: list[tuple[Address, NewSurb]] = []
    for some in _chunks(used):
        wanted = [(old.address.contact_address, old.address.slot, swap.authentication(old.blob)) for old in some]
        keys = [SurbSecrets.from_bytes(old.secrets).message_secret for old in some]
        made += zip([old.address for old in some], new_surbs(servers, groups, wanted, keys=keys), strict=True)
    return made


def new_surbs(
    servers: Servers,
    groups: Sequence[MailGroup],
    wanted: Sequence[tuple[bytes, int, bytes]],
    leaves: Callable[[], int] = lambda: 0,
    keys: Sequence[bytes] | None = None,
) -> list[NewSurb]:
    """A SURB for each contact address, slot and authentication, which leads to a mailbox in one of these groups, drawn
    from those that last long enough. `keys`: the secrets of the addresses' message keys, if they have them: words that
    are sealed to one may come by a later SURB."""
    today = day_at(clock.now())
    chosen: list[MailGroup] = []
    paths: list[list[Hop]] = []
    for _, slot, _ in wanted:
        needed = max(day_of(slot) - today, 0) + NEEDED_DAYS
        group = _random.choice([each for each in groups if each.until >= (today + needed + 1) * _DAY_SECONDS])
        chosen.append(group)
        paths.append(servers.path_to(group.server, needed))
    mailboxes = [mailbox_in(group) for group in chosen]
    made = surb.make_many(paths, mailboxes, version=GROUPED, message_secrets=keys)
    return [
        NewSurb(
            server=group.server,
            mailbox=mailbox,
            until=group.until,
            authentication=authentication,
            blob=blob.seal(contact_address, slot, block),
            secrets=kept.to_bytes(),
            group=group.number,
            leaves=leaves(),
        )
        for (contact_address, slot, authentication), group, mailbox, (block, kept) in zip(
            wanted, chosen, mailboxes, made, strict=True
        )
    ]


def _chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """So many at a time as are worth making together."""
    for at in range(0, len(items), _AT_ONCE):
        yield items[at : at + _AT_ONCE]
