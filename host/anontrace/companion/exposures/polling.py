"""Looking into the mailboxes by hand, and handling what was found: open, check, store, and re-arm the addresses that
received something.

What a look told and what became of it are stored together, so that nothing is lost or counted twice. Adding up the
minutes is left to `judging` (docs/protocol.md, sections 7 and 8).
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from anontrace_shared.errors import AnontraceError
from anontrace_shared.slots import slot_of

from anontrace import clock
from anontrace.companion.addresses import registration
from anontrace.companion.addresses.swaps import Swaps
from anontrace.companion.errors import AnswerError, CompanionError, DirectoryError, OfflineError, RefusedError
from anontrace.companion.exposures import answering, judging
from anontrace.companion.exposures.cases import assess
from anontrace.companion.exposures.judging import Exposure
from anontrace.companion.exposures.looking import GROUPS, Looked, OneLook, Room
from anontrace.companion.network.servers import Servers
from anontrace.companion.store.addresses import Mailbox, ReceivingSurb
from anontrace.companion.store.contact_answers import StoredAnswer
from anontrace.companion.store.expected import DUMMY, RECEIPT
from anontrace.companion.store.groups import MailGroup
from anontrace.companion.store.notifications import StoredNotification
from anontrace.companion.store.state import State
from anontrace.mixnet import notification, parts, words
from anontrace.mixnet.notification import Kind, Notification
from anontrace.mixnet.sizes import NOTE
from anontrace.mixnet.surb import SurbSecrets
from anontrace.wire import look
from anontrace.wire import network as networks
from anontrace.wire.look import Answer

BY_HAND = Room(digests=look.MAX_DIGESTS, sums=16, plain=look.MAX_PLAIN)
ALONE_A_LOOK = 280
MAX_LOOKS = 256  # by hand at one server; one that has more to tell has to wait
MAX_SKIP = 255
DRIFT_SLOTS = 1
LIES = "its answers contradict each other; what fits was kept, and its operator should know"
REARM_SECONDS = 2 * 86400  # within so long `run` renews an address that was notified, at a time of its own

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
    receipts: int = 0
    ignored: int = 0
    rearmed: int = 0
    told: list[Exposure] = field(default_factory=list)
    withdrawn: list[Exposure] = field(default_factory=list)  # of what concerns the wearer; a retraction may not
    letters: list[StoredAnswer] = field(default_factory=list)  # answers to which the health authority wrote back
    failure: CompanionError | None = None  # of one server; all else was done


def poll(state: State, servers: Servers, progress: Progress) -> Polled:
    """Look into every mailbox that is alive, handle what is there, and send the swaps that follow from it.

    A server that cannot be reached or refuses is told of in `failure`, so that nothing that was found meanwhile goes
    unsaid. DirectoryError where mailboxes would be over by a clock that the servers do not agree with.
    """
    before = standing(state)
    now = int(clock.now())
    polled = Polled(mailboxes=state.addresses.live_mailbox_count(now))
    by_server = asked_at(state, now)
    if not by_server and state.addresses.has_dead_mailboxes(now):
        servers.check_clock()  # keeping house, which deletes those, does not believe this clock
    for done, server in enumerate(_random.sample(sorted(by_server), len(by_server)), 1):
        try:
            _everything(state, servers, server, polled)
        except (OfflineError, RefusedError, AnswerError) as error:
            polled.failure = error
        progress(done, len(by_server))
    try:
        polled.rearmed = registration.rearm(state, servers)
        Swaps(state, servers).advance()
    except (OfflineError, RefusedError, AnswerError, DirectoryError) as error:
        polled.failure = error
    note_news(state, before, polled)
    return polled


def asked_at(state: State, now: int) -> dict[int, tuple[list[MailGroup], list[Mailbox]]]:
    """What there is to look into, by mailbox server: groups, and mailboxes that are in none."""
    found: dict[int, tuple[list[MailGroup], list[Mailbox]]] = {
        server: (groups, []) for server, groups in state.groups.live(now, GROUPS).items()
    }
    for mailbox in state.addresses.alone(now):
        found.setdefault(mailbox.server, ([], []))[1].append(mailbox)
    return found


def _everything(state: State, servers: Servers, server: int, polled: Polled) -> None:
    """Look at a server until all that it holds is known."""
    waiting = {mailbox.number for mailbox in state.addresses.alone(int(clock.now())) if mailbox.server == server}
    for _ in range(MAX_LOOKS):
        groups, alone = asked_at(state, int(clock.now())).get(server, ([], []))
        starts = []
        for group in groups:
            unsolved = state.groups.first_unsolved(group.number)
            starts.append((group, group.known if unsolved is None else unsolved))
        boxes = [mailbox for mailbox in alone if mailbox.number in waiting][:ALONE_A_LOOK]
        one = OneLook(state, server, BY_HAND, starts, boxes, _random)
        looked = take(state, server, one, servers.look(server, one.request), polled)
        waiting -= {mailbox.number for mailbox in looked.answered}
        is_left = looked.learned and len(state.groups.without_unsolved(looked.groups)) < len(looked.groups)
        if not (waiting or is_left or looked.is_full):
            return


def take(state: State, server: int, one: OneLook, answer: Answer, polled: Polled) -> Looked:
    """Store what a look has brought. A server whose answers contradict each other is told of in `failure`."""
    polled.requests += 1
    with state.transaction():
        looked = one.take(answer, int(clock.now()))
        keep(state, looked, polled)
    if looked.lied:
        polled.failure = AnswerError(f"mailbox server {server}: {LIES}")
    return looked


def standing(state: State) -> dict[bytes, str]:
    """How each case stands for the wearer by now."""
    return {exposure.case_id: exposure.state for exposure in assess(state)}


def note_news(state: State, before: dict[bytes, str], polled: Polled) -> None:
    """Note of which exposures the wearer is told, or that they are withdrawn, and was not `before`."""
    for exposure in assess(state):
        if exposure.state != before.get(exposure.case_id):
            news = {judging.TOLD: polled.told, judging.WITHDRAWN: polled.withdrawn}.get(exposure.state)
            if news is not None:
                news.append(exposure)


def keep(state: State, looked: Looked, polled: Polled) -> None:
    """Store what arrived, and that what was expected came; runs within the caller's transaction."""
    now = int(clock.now())
    fetched: dict[int, int] = {}
    for expected in looked.expected:
        state.expected.set_came(expected.number, now)
        polled.dummies += expected.kind == DUMMY
        if expected.kind == RECEIPT:
            polled.receipts += state.receipts.set_answer(expected.mailbox.number, expected.payload)
        _count(state, expected.mailbox, fetched)
    for mailboxes, payload in looked.arrived:
        surbs = [(mailbox, state.addresses.receiving(mailbox.number)) for mailbox in mailboxes]
        found = [(mailbox, surb) for mailbox, surb in surbs if surb is not None]
        opened = [(mailbox, surb, content) for mailbox, surb in found if (content := _opened(surb, payload))]
        for mailbox in [each for each, *_ in opened] or mailboxes:
            _count(state, mailbox, fetched)
        if opened:
            _, surb, content = opened[0]
            if _handle(state, surb, content, now, polled):
                state.addresses.set_spent(surb.surb, _rearmed(now))
            continue
        if any(state.receipts.set_answer(mailbox.number, payload) for mailbox in mailboxes):
            polled.receipts += 1
            continue
        letters = [each for box in mailboxes if (each := answering.note_letter(state, box.number, payload, now))]
        if letters:
            polled.letters += letters
            continue
        polled.ignored += 1
        for _, surb in found:  # garbled on its way: the SURB is spent all the same
            state.addresses.set_spent(surb.surb, _rearmed(now))
    polled.messages += len(looked.expected) + len(looked.arrived)


def _rearmed(now: int) -> int:
    """When `run` may renew an address that was notified."""
    return now + _random.randrange(REARM_SECONDS)


def _count(state: State, mailbox: Mailbox, fetched: dict[int, int]) -> None:
    """One message more was fetched from a mailbox; `fetched` since it was read from the store."""
    fetched[mailbox.number] = fetched.get(mailbox.number, 0) + 1
    state.addresses.set_skip(mailbox.number, min(mailbox.skip + fetched[mailbox.number], MAX_SKIP))


def _opened(surb: ReceivingSurb, payload: bytes) -> Notification | None:
    try:
        return notification.open(SurbSecrets.from_bytes(surb.secrets), payload)
    except AnontraceError:
        return None


def _handle(state: State, surb: ReceivingSurb, found: Notification, now: int, polled: Polled) -> bool:
    """Keep what a message says; returns whether it spent the SURB."""
    if found.kind is Kind.DUMMY:
        polled.dummies += 1
        return False
    if not _credible(state, surb, found, now):
        polled.ignored += 1
        return True
    if found.kind is Kind.RETRACTION:
        polled.retractions += 1
    else:
        polled.notifications += 1
    kept = _with_words(found, _said(state, surb, found))
    state.notifications.add(StoredNotification(surb.address.slot, now, surb.address.contact_address, kept.encode()))
    return True


def _said(state: State, surb: ReceivingSurb, found: Notification) -> bytes:
    """What is in the health authority's words (42); nothing where they are not its own."""
    secret, where, network = SurbSecrets.from_bytes(surb.secrets).message_secret, surb.address, state.network.get()
    if network is None:
        return b""
    try:
        authority = words.key_of(networks.parse(network.file, "network").authority.key)
        return words.open_content(
            secret, authority, where.contact_address, where.slot, found.report_id, found.kind, found.words
        )
    except (AnontraceError, ValueError):
        return b""


def _with_words(found: Notification, content: bytes) -> Notification:
    """As it is kept: with its text, or with a part of one."""
    if content and parts.is_part(content):
        return replace(found, words=content.ljust(NOTE, b"\0"))
    try:
        return replace(found, message=notification.unpadded("message", content), words=b"")
    except AnontraceError:
        return replace(found, words=b"")


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
    if found.kind is Kind.NOTIFICATION:
        return any(found.chain_token) and 1 <= found.present <= judging.MAX_PRESENT
    return True
