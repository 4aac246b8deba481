"""Answers to the health authority on their way: kept before they leave, sent through the mixes, asked for by receipts,
sent again where they were lost; and the letters that come back (docs/protocol.md section 7).

By hand one is sent at once, alone; `run` sends it in the place of cover. Never asks the wearer: consent is the
command's business.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from anontrace_shared.errors import AnontraceError

from anontrace import clock
from anontrace.companion.addresses import messages, receipts, registration
from anontrace.companion.errors import RefusedError, SetupError, UnfinishedError
from anontrace.companion.exposures import answers
from anontrace.companion.exposures.judging import Exposure
from anontrace.companion.network.servers import Servers
from anontrace.companion.store.contact_answers import StoredAnswer
from anontrace.companion.store.groups import MailGroup
from anontrace.companion.store.state import State
from anontrace.companion.store.states import ACCEPTED, READY, REFUSED, SENT
from anontrace.mixnet import contact_answer, letter, surb, words
from anontrace.mixnet.contact_answer import ContactAnswer
from anontrace.mixnet.header import GROUPED
from anontrace.mixnet.surb import SurbSecrets
from anontrace.wire import network as networks

MOST = 6  # answers to a case in 30 days
BACK_DAYS = 21  # for which a letter can come
ARRIVED_SECONDS = 3 * 3600  # by `run`, what was sent is taken for arrived, or lost, after so long
SILENT_SECONDS = 9 * 3600  # an answer to a receipt that has not come to its mailbox by then is lost
MAX_TRIES = 5  # one that is not kept after so many is not wanted
PATIENCE_SECONDS = 120.0  # real time: by hand, after so long the rest is left for later
RESEND_SECONDS, AGAIN_SECONDS = 30.0, 5.0  # real time: by hand, until it is sent or asked for again
FIRST_WAIT, MAX_WAIT = 0.15, 20.0  # real time, between looks by hand
NOT_KEPT = "the nymserver does not keep this answer for the health authority: it takes no more to this report"
_DAY_SECONDS = 86400
_random = secrets.SystemRandom()

Progress = Callable[[int, int], None]


def check_room(state: State, exposure: Exposure) -> None:
    """SetupError if this case was answered often enough."""
    if len(state.contact_answers.of_case(exposure.case_id)) >= MOST:
        raise SetupError(f"you have answered this case {MOST} times, which has to be enough for 30 days")


def unfinished(state: State, exposure: Exposure, said: dict[str, Any]) -> StoredAnswer | None:
    """The answer that says just this and is not with the nymserver yet: the same command goes on with it."""
    same = [each for each in state.contact_answers.of_case(exposure.case_id) if each.said == said]
    return next((each for each in same if each.state in (READY, SENT)), None)


def prepare(state: State, servers: Servers, exposure: Exposure, answer: ContactAnswer, reachable: bool) -> StoredAnswer:
    """Seal an answer and keep it, ready to be sent. `reachable`: with a way back, for one letter."""
    check_room(state, exposure)
    now, pinned = int(clock.now()), state.network.get()
    assert pinned is not None  # there are servers
    try:
        authority = words.key_of(networks.parse(pinned.file, "network").authority.key)
    except ValueError as error:
        raise SetupError(f"{error}: ask whoever runs the network for its network file") from None
    tag = contact_answer.told_tag(exposure.case_id, exposure.report_id)
    back = _way_back(state, servers, now) if reachable else None
    if back is not None:
        way = surb.parse(back.block)
        answer = replace(answer, first_mix=way.first_mix, header=way.header)
    payload, key = contact_answer.seal(authority, tag, answer)
    sealed = payload, tag, contact_answer.identity(contact_answer.split(payload)[1]), key
    with state.transaction():
        opens = None
        if back is not None:
            mailbox = state.addresses.add_mailbox(back.group.server, back.address, back.until, back.group.number)
            opens = mailbox, back.kept.to_bytes()
        said = answers.document(answer, reachable)
        number = state.contact_answers.add(exposure.case_id, said, sealed, opens, now)
    return state.contact_answers.get(number)


@dataclass(frozen=True)
class _WayBack:
    """A reply block (174), what to keep of it, and the mailbox to which it leads."""

    block: bytes = field(repr=False)
    kept: SurbSecrets
    address: bytes = field(repr=False)
    group: MailGroup
    until: int


def _way_back(state: State, servers: Servers, now: int) -> _WayBack:
    """To a new mailbox, in a group drawn from those that last long enough, as of all other mailboxes."""
    until = now + (BACK_DAYS + 1) * _DAY_SECONDS
    group = _random.choice([each for each in registration.open_groups(state, servers) if each.until >= until])
    address = registration.mailbox_in(group)
    block, kept = surb.make_reply(servers.path_to(group.server, BACK_DAYS), address, version=GROUPED)
    return _WayBack(block, kept, address, group, until)


def due(state: State) -> list[int]:
    """What `run` may send: numbers of answers."""
    return [each.number for each in state.contact_answers.all() if each.state == READY]


def payloads(state: State, numbers: Sequence[int]) -> list[bytes]:
    """The payloads (239) of these, in order."""
    return [state.contact_answers.get(number).payload for number in numbers]


def ask(state: State, servers: Servers, group: MailGroup, most: int) -> list[tuple[int, bytes]]:
    """Up to so many receipts for answers that were sent and must have arrived, each with the number of its mailbox.

    Runs within the caller's transaction."""
    now = int(clock.now())
    asked = state.timetable.asked(now) or 0
    open_ones = {each.contact_answer for each in state.receipts.open() if asked - each.made < SILENT_SECONDS}
    wanted = [
        each
        for each in state.contact_answers.all()
        if each.state == SENT and each.number not in open_ones and now - each.changed >= ARRIVED_SECONDS
    ]
    return [_receipt(state, servers, group, each) for each in wanted[:most]]


def _receipt(state: State, servers: Servers, group: MailGroup, stored: StoredAnswer) -> tuple[int, bytes]:
    return receipts.ask_contact_answer(state, servers, group, stored.number, stored.tag, stored.identity)


def take(state: State, late: bool | None = None) -> list[StoredAnswer]:
    """Judge what receipts have brought; returns the answers that are accepted or refused by that.

    `late`: whether what was sent before is lost if it has not arrived by now; None: by what `run` waits for it.
    """
    ended: list[StoredAnswer] = []
    for answered in state.receipts.answered():
        if answered.contact_answer is None:
            continue
        held = receipts.is_held(answered)
        with state.transaction():
            state.receipts.set_judged([answered.mailbox])
            stored = state.contact_answers.get(answered.contact_answer)
            if stored.state in (ACCEPTED, REFUSED) or held is None:
                continue
            by_now = answered.made - stored.changed >= ARRIVED_SECONDS if late is None else late
            if held:
                state.contact_answers.finish(stored.number, ACCEPTED)
            elif by_now and stored.tries >= MAX_TRIES:
                state.contact_answers.finish(stored.number, REFUSED)
            elif by_now:
                state.contact_answers.set_ready(stored.number)
        now = state.contact_answers.get(stored.number)
        if now.state in (ACCEPTED, REFUSED):
            ended.append(now)
    return ended


def send(
    state: State, servers: Servers, stored: StoredAnswer, progress: Progress, seconds: float = PATIENCE_SECONDS
) -> StoredAnswer:
    """Send an answer at once, and wait until the nymserver keeps it.

    RefusedError if it does not, UnfinishedError if it has not said so for `seconds` of real time: the answer is kept,
    and the same command, or `run`, goes on with it.
    """
    began = last_sent = time.monotonic()
    last_asked, wait = -AGAIN_SECONDS, FIRST_WAIT
    looks = receipts.Looks(state, servers)
    while stored.state in (READY, SENT):
        if stored.state == READY or time.monotonic() - last_sent >= RESEND_SECONDS:
            for numbers in messages.hand_over(servers, [(stored.number, stored.payload)], first_mixes=1):
                state.contact_answers.set_sent(numbers, int(clock.now()))
            last_sent, last_asked, wait = time.monotonic(), -AGAIN_SECONDS, FIRST_WAIT
            progress(1, 2)
        time.sleep(wait * _random.uniform(0.8, 1.2))
        wait = min(wait * 2, MAX_WAIT)
        if time.monotonic() - last_asked >= AGAIN_SECONDS:
            group = registration.group_of_today(state, servers)
            with state.transaction():
                asking = [_receipt(state, servers, group, stored)]
            for _ in messages.hand_over(servers, asking, first_mixes=1):
                pass
            last_asked = time.monotonic()
            time.sleep(wait)
        looks.look()
        if any(each.contact_answer == stored.number for each in state.receipts.answered()):
            last_asked = -AGAIN_SECONDS
        take(state, late=time.monotonic() - last_sent >= RESEND_SECONDS)
        stored = state.contact_answers.get(stored.number)
        if stored.state in (READY, SENT) and time.monotonic() - began >= seconds:
            raise UnfinishedError(
                "the nymserver has not confirmed your answer yet; it is kept: repeat the command later, or let"
                " anontrace run finish it"
            )
    if stored.state == REFUSED:
        raise RefusedError(NOT_KEPT)
    progress(2, 2)
    return stored


def note_letter(state: State, mailbox: int, payload: bytes, now: int) -> StoredAnswer | None:
    """The answer to which a letter came, if what came to a mailbox (239) is one; the first counts. Runs within the
    caller's transaction."""
    stored = state.contact_answers.by_mailbox(mailbox)
    if stored is None or stored.letter is not None:
        return None
    try:
        text = letter.open(SurbSecrets.from_bytes(stored.way_back), stored.reply_key, stored.tag, payload)
    except AnontraceError:
        return None  # garbled on its way, or not the health authority's
    state.contact_answers.set_letter(stored.number, text, now)
    return replace(stored, letter=text, written=now)
