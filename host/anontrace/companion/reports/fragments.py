"""Uploads through the mixes, in fragments (docs/protocol.md section 7).

The opening goes first, then the log in any order; receipts tell what is missing, and how it ended. What is to be sent
still is in the store, so that an upload goes on after any interruption, by hand or by `run`.
"""

import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from anontrace_shared.errors import AnontraceError

from anontrace import clock
from anontrace.companion.addresses import messages, receipts, registration
from anontrace.companion.errors import RefusedError, UnfinishedError
from anontrace.companion.network.servers import Servers
from anontrace.companion.reports import refusals
from anontrace.companion.reports.journey import ARRIVED_SECONDS, count, unsent, waiting
from anontrace.companion.store.groups import MailGroup
from anontrace.companion.store.state import State
from anontrace.companion.store.states import ACCEPTED, REFUSED
from anontrace.companion.store.uploads import StoredUpload
from anontrace.mixnet.fragment import OPENING
from anontrace.mixnet.receipt import UploadAnswer, UploadState
from anontrace.wire import upload

SILENT_SECONDS = 9 * 3600  # an answer that has not come to its mailbox by then is lost
PATIENCE_SECONDS = 120.0  # real time: by hand, with nothing new for so long, the rest is left for later
RESEND_SECONDS = 30.0  # real time: by hand, what is missing after so long is sent again
AGAIN_SECONDS = 5.0  # real time: by hand, without an answer for so long it is asked again
FIRST_WAIT, MAX_WAIT = 0.15, 20.0  # real time, between looks by hand: each costs a connection, and waits twice as long

_random = secrets.SystemRandom()

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Piece:
    """A fragment that is to be sent: the number of its upload here, and its own."""

    upload: int
    number: int


def due(state: State, now: int) -> list[Piece]:
    """What `run` may send of the upload that is first: its opening, and the log when that must have arrived."""
    for stored in waiting(state)[:1]:
        left = unsent(stored)
        if OPENING in left:
            return [Piece(stored.number, OPENING)]
        if now >= stored.opens:
            return [Piece(stored.number, number) for number in sorted(left)]
    return []


def payloads(state: State, pieces: Iterable[Piece]) -> list[bytes]:
    """The payloads (239) of these fragments, in order."""
    made: dict[int, list[bytes]] = {}
    for stored in state.uploads.all():
        if stored.payload is not None and any(each.upload == stored.number for each in pieces):
            made[stored.number] = upload.fragments(stored.parsed(), stored.upload_id)
    return [made[each.upload][each.number] for each in pieces]


def note_sent(state: State, pieces: Iterable[Piece], now: int) -> None:
    """The first mix has these."""
    for stored in state.uploads.all():
        numbers = {each.number for each in pieces if each.upload == stored.number}
        if numbers and stored.payload is not None:
            opens = now + ARRIVED_SECONDS if OPENING in numbers else stored.opens
            state.uploads.set_fragments(stored, unsent(stored) - numbers, opens, now)


def ask(state: State, servers: Servers, group: MailGroup, most: int) -> list[tuple[int, bytes]]:
    """Up to so many receipts for uploads all of which was sent and must have arrived, each with the number of its
    mailbox; runs within the caller's transaction."""
    now = int(clock.now())
    asked = state.timetable.asked(now) or 0
    open_ones = {each.upload for each in state.receipts.open() if asked - each.made < SILENT_SECONDS}
    wanted = [each for each in waiting(state) if each.number not in open_ones
              and not unsent(each) and now - each.changed >= ARRIVED_SECONDS]  # fmt: skip
    return [receipts.ask_upload(state, servers, group, each.number, each.upload_id) for each in wanted[:most]]


def take(state: State, late: bool | None = None) -> list[tuple[StoredUpload, str | None]]:
    """Judge the answers that have come; returns the uploads that have ended by them, with the sentence of a refusal.

    `late`: whether what was sent before is lost if it has not arrived by now; None: by what `run` waits for it.
    """
    ended: list[tuple[StoredUpload, str | None]] = []
    for answered in state.receipts.answered():
        if answered.upload is None:
            continue
        stored = next((each for each in waiting(state) if each.number == answered.upload), None)
        with state.transaction():
            state.receipts.set_judged([answered.mailbox])
        try:
            answer = UploadAnswer.decode(receipts.content(answered))
        except AnontraceError:
            continue  # garbled on its way: it is asked again
        if stored is None:
            continue
        if answer.state == UploadState.ACCEPTED or refusals.came_otherwise(stored, answer.reason):
            state.uploads.finish(stored, ACCEPTED)
            ended.append((stored, None))
        elif answer.state == UploadState.REFUSED:
            state.uploads.finish(stored, REFUSED)
            ended.append((stored, refusals.sentence(answer.reason)))
        else:
            by_now = answered.made - stored.changed >= ARRIVED_SECONDS if late is None else late
            _go_on(state, stored, answer, by_now)
    return ended


def _go_on(state: State, stored: StoredUpload, answer: UploadAnswer, has_arrived: bool) -> None:
    """Send again what did not arrive, and the log once its opening has."""
    left = unsent(stored)
    if answer.state == UploadState.RECEIVING:
        last = count(stored)
        lost = {
            number for first, many in answer.missing for number in range(first, min(first + many, last))
        }  # fmt: skip
        left = (left - {OPENING}) | (lost if has_arrived else set())
        state.uploads.set_fragments(stored, left, 0, stored.changed)
    elif has_arrived:
        state.uploads.set_fragments(stored, frozenset(range(count(stored))), 0, stored.changed)


def send(
    state: State, servers: Servers, stored: StoredUpload, progress: Progress, seconds: float = PATIENCE_SECONDS
) -> None:
    """Send an upload that is ready at once, and wait until the nymserver has it.

    RefusedError when the nymserver refuses it, UnfinishedError when it has said nothing new for `seconds` of real time.
    """
    total, number = count(stored), stored.number
    last_news = last_sent = time.monotonic()
    last_asked, wait = -AGAIN_SECONDS, FIRST_WAIT
    opened = OPENING not in unsent(stored) and stored.opens == 0
    looks = receipts.Looks(state, servers)
    while True:
        left = unsent(stored)
        pieces = [OPENING] if OPENING in left else sorted(left) if opened else []
        if pieces:
            for numbers in _hand_over(state, servers, stored, pieces):
                left -= set(numbers)
                progress(total - len(left), total)
            last_sent, last_asked, wait = time.monotonic(), -AGAIN_SECONDS, FIRST_WAIT
        time.sleep(wait * _random.uniform(0.8, 1.2))
        wait = min(wait * 2, MAX_WAIT)
        if time.monotonic() - last_asked >= AGAIN_SECONDS:
            group = registration.group_of_today(state, servers)
            with state.transaction():
                asking = [receipts.ask_upload(state, servers, group, number, stored.upload_id)]
            for _ in messages.hand_over(servers, asking):
                pass
            last_asked = time.monotonic()
            time.sleep(wait)
        looks.look()
        late = time.monotonic() - last_sent >= RESEND_SECONDS
        if any(each.upload == number for each in state.receipts.answered()):
            last_asked = -AGAIN_SECONDS
        ended = [sentence for each, sentence in take(state, late) if each.number == number]
        if ended:
            if ended[0] is not None:
                raise RefusedError(ended[0])
            progress(total, total)
            return
        before, stored = stored, state.uploads.get(number)
        opened = OPENING not in unsent(stored) and stored.opens == 0
        if stored != before:
            last_news = time.monotonic()
        if time.monotonic() - last_news >= seconds:
            raise UnfinishedError(
                "the nymserver has not confirmed the log yet; what was sent is kept: repeat the command later, or let"
                " anontrace run finish it"
            )


def _hand_over(state: State, servers: Servers, stored: StoredUpload, numbers: list[int]) -> Iterable[list[int]]:
    pieces = [Piece(stored.number, number) for number in numbers]
    made = zip(pieces, payloads(state, pieces), strict=True)
    for gone in messages.hand_over(servers, made):
        note_sent(state, gone, int(clock.now()))
        yield [each.number for each in gone]
