"""Looking into the mailboxes: fetch, open, check, keep, and re-arm the addresses that were written to.

What a mailbox held and how far it was read are stored together, so that nothing is lost or counted twice. Adding up the
minutes is `exposures` (docs/protocol.md, sections 7 and 8).
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from anontrace_shared.errors import AnontraceError
from anontrace_shared.slots import slot_of

from anontrace import clock
from anontrace.companion import exposures, registration
from anontrace.companion.cases import assess
from anontrace.companion.errors import CompanionError, DirectoryError, OfflineError
from anontrace.companion.exposures import Exposure
from anontrace.companion.servers import Servers
from anontrace.companion.state import State
from anontrace.companion.store.addresses import Mailbox, ReceivingSurb
from anontrace.companion.store.notifications import StoredNotification
from anontrace.companion.swaps import Swaps
from anontrace.mixnet import notification
from anontrace.mixnet.notification import Kind, Notification
from anontrace.mixnet.surb import SurbSecrets
from anontrace.wire.poll import OPEN

MAILBOXES_A_REQUEST = 288
MOST_SKIP = 255
DRIFT_SLOTS = 1

_random = secrets.SystemRandom()

Progress = Callable[[int, int], None]


@dataclass
class Polled:
    """What a poll brought."""

    mailboxes: int = 0
    requests: int = 0
    messages: int = 0
    notifications: int = 0
    retractions: int = 0
    dummies: int = 0
    ignored: int = 0
    rearmed: int = 0
    told: list[Exposure] = field(default_factory=list)
    failure: CompanionError | None = None  # a server was not reached; all else was done


def poll(state: State, servers: Servers, progress: Progress) -> Polled:
    """Ask every mailbox that is alive, handle what is there, and send the swaps that follow from it.

    A server that cannot be reached is told of in `failure`, so that nothing that was found meanwhile goes unsaid.
    """
    before = told_cases(state)
    polled = Polled()
    mailboxes = state.addresses.live_mailboxes(int(clock.now()))
    polled.mailboxes = len(mailboxes)
    _random.shuffle(mailboxes)
    by_server: dict[int, list[Mailbox]] = {}
    for mailbox in mailboxes:
        by_server.setdefault(mailbox.server, []).append(mailbox)
    asked_so_far = 0
    for server, own in by_server.items():
        for at in range(0, len(own), MAILBOXES_A_REQUEST):
            asked = own[at : at + MAILBOXES_A_REQUEST]
            try:
                answers = servers.poll(server, [(mailbox.address, mailbox.skip) for mailbox in asked], OPEN)
            except OfflineError as error:
                polled.failure = error
                break
            polled.requests += 1
            with state.transaction():
                keep(state, [(asked[index], payloads) for index, payloads in answers.items()], polled)
            asked_so_far += len(asked)
            progress(asked_so_far, polled.mailboxes)
    try:
        polled.rearmed = registration.rearm(state, servers)
        Swaps(state, servers).advance()
    except (OfflineError, DirectoryError) as error:
        polled.failure = error
    polled.told = told_since(state, before)
    return polled


def told_cases(state: State) -> set[bytes]:
    """The cases of which the wearer is told by now."""
    return {exposure.case_id for exposure in assess(state) if exposure.state == exposures.TOLD}


def told_since(state: State, before: set[bytes]) -> list[Exposure]:
    """The exposures of which the wearer is told, but for these cases."""
    return [e for e in assess(state) if e.state == exposures.TOLD and e.case_id not in before]


def keep(state: State, answers: list[tuple[Mailbox, list[bytes]]], polled: Polled) -> None:
    """Store what mailboxes held, and how far they were read; runs within the caller's transaction."""
    now = int(clock.now())
    for mailbox, payloads in answers:
        surb = state.addresses.receiving(mailbox.number)
        state.addresses.set_skip(mailbox.number, min(mailbox.skip + len(payloads), MOST_SKIP))
        polled.messages += len(payloads)
        if surb is None:
            polled.ignored += len(payloads)
            continue
        spent = [_handle(state, surb, payload, now, polled) for payload in payloads]
        if any(spent):
            state.addresses.set_spent(surb.surb)


def _handle(state: State, surb: ReceivingSurb, payload: bytes, now: int, polled: Polled) -> bool:
    """Keep what a payload says; returns whether it spent the SURB."""
    try:
        found = notification.open(SurbSecrets.from_bytes(surb.secrets), payload)
    except AnontraceError:
        polled.ignored += 1  # garbled on its way: the SURB is spent all the same
        return True
    if found.kind == Kind.DUMMY:
        polled.dummies += 1
        return False
    if not _credible(state, surb, found, now):
        polled.ignored += 1
        return True
    if found.kind == Kind.RETRACTION:
        polled.retractions += 1
    else:
        polled.notifications += 1
    state.notifications.add(StoredNotification(surb.address.slot, now, surb.address.contact_address, found.encode()))
    return True


def _credible(state: State, surb: ReceivingSurb, found: Notification, now: int) -> bool:
    """Whether a badge of this wearer can have broadcast that address in its slot, and the content makes sense.

    The SURB opened it, so it was sent by who knows the address; a slot to come, or one that no badge was allowed to
    broadcast, cannot have been heard by anybody.
    """
    slot = surb.address.slot
    if slot > slot_of(now) + DRIFT_SLOTS:
        return False
    if not any(
        badge.first_slot is not None and badge.first_slot - DRIFT_SLOTS <= slot < badge.horizon
        for badge in state.badges.all()
    ):
        return False
    if found.kind == Kind.NOTIFICATION:
        return any(found.chain_token) and 1 <= found.present <= exposures.MOST_PRESENT
    return True
