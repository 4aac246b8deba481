"""The batches of messages that `run` sends, each with the same number of messages to one first mix.

A batch holds swaps of new addresses whose time has come and receipts, and for the rest what is drawn at random from all
that is due: swaps of successors, relays that ask for dummies, fragments of uploads, answers to the health authority;
and cover where there is nothing to send. Only the mixes together could tell what a batch holds
(docs/companion-traffic.md).
"""

from dataclasses import dataclass, field
from random import Random

from anontrace import clock
from anontrace.companion.addresses import confirming, registration, swaps
from anontrace.companion.errors import OfflineError, RefusedError
from anontrace.companion.exposures import answering
from anontrace.companion.network.servers import Servers
from anontrace.companion.reports import fragments
from anontrace.companion.reports.fragments import Piece
from anontrace.companion.schedule import dummies, renewal
from anontrace.companion.store.renewals import OldSurb
from anontrace.companion.store.state import State
from anontrace.mixnet import kinds, packet
from anontrace.mixnet.header import NO_MAILBOX
from anontrace.wire.levels import Level

_TRIES = 3  # first mixes


@dataclass(frozen=True, slots=True)
class _Repeat:
    """The swap of a successor, once more."""

    surb: int


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the wearer answers the health authority, by its number."""

    number: int


@dataclass
class _Batch:
    """The payloads (239) of a batch, and what they are."""

    size: int
    payloads: list[bytes] = field(default_factory=list, repr=False)
    swaps: list[int] = field(default_factory=list)  # SURBs
    repeated: list[int] = field(default_factory=list)  # successors, once more
    old: list[int] = field(default_factory=list)  # SURBs whose dummies are asked for
    receipts: list[int] = field(default_factory=list)  # their mailboxes
    pieces: list[Piece] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    @property
    def room(self) -> int:
        return self.size - len(self.payloads)


def send(state: State, servers: Servers, level: Level, rng: Random) -> None:
    """Send one batch: `level.batch` messages to one mix drawn at random. OfflineError or RefusedError when no mix takes
    it."""
    renewal.advance(state, servers, rng)
    confirming.take(state, rng)
    batch = _drawn(state, servers, level, rng)
    rng.shuffle(batch.payloads)
    try:
        _hand_over(servers, batch, rng)
    except (OfflineError, RefusedError):
        state.receipts.withdraw(batch.receipts)
        raise
    _note(state, batch, rng)


def _hand_over(servers: Servers, batch: _Batch, rng: Random) -> None:
    for _ in range(_TRIES):
        first, last = rng.choice(servers.first_mixes), servers.nymserver.number
        paths = [servers.path_from(first, last) for _ in batch.payloads]
        messages = packet.forward_many(paths, NO_MAILBOX, batch.payloads)
        if servers.send_messages(first, messages):
            return
    raise OfflineError("none of the mixes can be reached; nothing is lost, try again when you are online")


def _drawn(state: State, servers: Servers, level: Level, rng: Random) -> _Batch:
    """What goes out now. As many renewals are begun as there is room for."""
    batch, now = _Batch(level.batch), int(clock.now())
    _add_receipts(state, servers, batch, min(renewal.share(level.receipts / level.messages, rng), batch.room), rng)
    new, _ = state.addresses.due(now)
    batch.swaps = new[: batch.room]
    _add_swaps(state, batch, batch.swaps)
    renewal.start(state, servers, level, rng, batch.room)
    waiting = renewal.waiting(state, now)
    pool: list[int | _Repeat | OldSurb | Piece | _Answer] = [
        *waiting.successors,
        *map(_Repeat, waiting.repeats),
        *waiting.old,
    ]
    pool += fragments.due(state, now)
    pool += map(_Answer, answering.due(state))
    chosen = rng.sample(pool, min(batch.room, len(pool)))
    drawn = [each for each in chosen if isinstance(each, int)]
    _add_swaps(state, batch, drawn)
    batch.swaps += drawn
    batch.repeated = [each.surb for each in chosen if isinstance(each, _Repeat)]
    _add_swaps(state, batch, batch.repeated)
    old = [each for each in chosen if isinstance(each, OldSurb)]
    batch.payloads += [dummies.ask(each) for each in old]
    batch.old = [each.surb for each in old]
    batch.pieces = [each for each in chosen if isinstance(each, Piece)]
    batch.payloads += fragments.payloads(state, batch.pieces)
    batch.answers = [each.number for each in chosen if isinstance(each, _Answer)]
    batch.payloads += answering.payloads(state, batch.answers)
    batch.payloads += [kinds.cover() for _ in range(batch.room)]
    return batch


def _add_swaps(state: State, batch: _Batch, surbs: list[int]) -> None:
    batch.payloads += [swaps.payload(item) for item in state.addresses.swaps(surbs)]


def _add_receipts(state: State, servers: Servers, batch: _Batch, count: int, rng: Random) -> None:
    if not count:
        return
    group = rng.choice(registration.open_groups(state, servers))
    with state.transaction():
        asked = fragments.ask(state, servers, group, count)
        asked += answering.ask(state, servers, group, count - len(asked))
        asked += confirming.ask(state, servers, group, count - len(asked), rng)
    batch.receipts = [mailbox for mailbox, _ in asked]
    batch.payloads += [payload for _, payload in asked]


def _note(state: State, batch: _Batch, rng: Random) -> None:
    """The first mix has it."""
    now = int(clock.now())
    state.renewals.repeated(batch.repeated, now + renewal.in_flight(rng))
    state.addresses.set_sent([*batch.swaps, *batch.repeated], now)
    state.renewals.dummies_asked(batch.old, now + renewal.in_flight(rng))
    fragments.note_sent(state, batch.pieces, now)
    state.contact_answers.set_sent(batch.answers, now)
