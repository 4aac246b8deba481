"""Receipts: asking the nymserver, through the mixes, whether it holds a swap or an answer, or how an upload stands.

Makes the payloads, each with the way by which its answer comes to a mailbox of its own, and looks for answers by hand.
What answers mean is up to those who asked.
"""

import secrets

from anontrace_shared import schedule
from anontrace_shared.errors import AnontraceError

from anontrace import clock
from anontrace.companion.network.servers import Servers
from anontrace.companion.store.addresses import PendingSwap
from anontrace.companion.store.expected import RECEIPT
from anontrace.companion.store.groups import MailGroup
from anontrace.companion.store.receipts import StoredReceipt
from anontrace.companion.store.state import State
from anontrace.mixnet import receipt, surb, swap
from anontrace.mixnet.header import GROUPED
from anontrace.mixnet.receipt import (
    Answer,
    ContactAnswerQuestion,
    NymAnswer,
    NymQuestion,
    Question,
    Receipt,
    UploadAnswer,
    UploadQuestion,
    UploadState,
)
from anontrace.mixnet.sizes import BOX, GROUP, MAILBOX
from anontrace.mixnet.surb import SurbSecrets
from anontrace.wire import look as wire
from anontrace.wire.look import Group, Look

KEPT_SECONDS = 4 * 86400  # a mailbox for an answer; none takes as long
_KEY_DAYS = 2  # for which the mixes' keys have to live on
_MAX_PAGES = 1024  # of one group, by hand: as many as it can tell of
_DIGESTS = 64  # in a page
_PLAIN = 16  # ... and messages in plain, where an answer may be one that nobody could compute


def ask_nym(state: State, servers: Servers, group: MailGroup, item: PendingSwap) -> tuple[int, bytes]:
    """The payload (239) that asks for a SURB's swap, and the number of the mailbox to which the answer comes, in this
    group.

    Runs within the caller's transaction, as `ask_upload` does.
    """
    key = schedule.nym_key(item.address.contact_address, item.address.slot)
    question = NymQuestion(key, swap.fingerprint(key, item.blob))
    mailbox, kept, payload = _ask(state, servers, group, question)
    state.receipts.add(mailbox, kept.to_bytes(), int(clock.now()), surb=item.surb)
    _expect(state, mailbox, kept, NymAnswer(True), NymAnswer(False))
    return mailbox, payload


def ask_upload(state: State, servers: Servers, group: MailGroup, number: int, upload_id: bytes) -> tuple[int, bytes]:
    """The same for how an upload stands."""
    mailbox, kept, payload = _ask(state, servers, group, UploadQuestion(upload_id))
    state.receipts.add(mailbox, kept.to_bytes(), int(clock.now()), upload=number)
    _expect(state, mailbox, kept, *(UploadAnswer(each) for each in (UploadState.ACCEPTED, UploadState.UNKNOWN)))
    return mailbox, payload


def ask_contact_answer(
    state: State, servers: Servers, group: MailGroup, number: int, tag: bytes, identity: bytes
) -> tuple[int, bytes]:
    """The same for whether an answer of the wearer's is kept for the health authority."""
    mailbox, kept, payload = _ask(state, servers, group, ContactAnswerQuestion(tag, identity))
    state.receipts.add(mailbox, kept.to_bytes(), int(clock.now()), contact_answer=number)
    _expect(state, mailbox, kept, NymAnswer(True), NymAnswer(False))
    return mailbox, payload


def _ask(state: State, servers: Servers, group: MailGroup, question: Question) -> tuple[int, SurbSecrets, bytes]:
    address = group.address + secrets.token_bytes(MAILBOX - GROUP)
    reply, kept = surb.make_reply(servers.path_to(group.server, _KEY_DAYS), address, version=GROUPED)
    mailbox = state.addresses.add_mailbox(group.server, address, int(clock.now()) + KEPT_SECONDS, group.number)
    return mailbox, kept, Receipt(question, reply).encode()


def _expect(state: State, mailbox: int, kept: SurbSecrets, *answers: Answer) -> None:
    for answer in answers:
        state.expected.expect(mailbox, receipt.expected(kept, answer), RECEIPT)


def is_held(stored: StoredReceipt) -> bool | None:
    """Whether the nymserver holds what a receipt asked for; None if what came is no answer to it."""
    try:
        return NymAnswer.decode(content(stored)).held
    except AnontraceError:
        return None


def content(stored: StoredReceipt) -> bytes:
    """What an answer holds (223). AuthenticationError if it is none to this receipt."""
    assert stored.answer is not None  # the caller has looked
    return receipt.open(SurbSecrets.from_bytes(stored.secrets), stored.answer)


class Looks:
    """Fetching what answers have come, by hand; notes nothing else. Goes on where the last look of a group ended, so
    that a look costs one page of some hundred bytes where little has come.

    Only what is expected is asked for; if that is all of swaps, nothing comes in plain.
    """

    def __init__(self, state: State, servers: Servers) -> None:
        self._state = state
        self._servers = servers
        self._places: dict[int, int] = {}  # by the number of a group

    def look(self) -> None:
        """OfflineError if a mailbox server does not answer."""
        waiting: dict[int, list[StoredReceipt]] = {}
        for each in self._state.receipts.open():
            waiting.setdefault(each.group, []).append(each)
        for group in self._state.groups.some(list(waiting)):
            self._look_into(group, waiting[group.number])

    def _look_into(self, group: MailGroup, waiting: list[StoredReceipt]) -> None:
        # An answer that nobody could compute beforehand is known by its box, and fetched.
        room = _PLAIN if any(each.upload is not None for each in waiting) else 0
        page = room or _DIGESTS
        for _ in range(_MAX_PAGES):
            place = self._places.get(group.number, group.known)
            asked = Look(page, 0, room, secrets.token_bytes(wire.SEED), [Group(group.address, place, place)])
            answer = self._servers.look(group.server, asked)
            with self._state.transaction():
                for digest in answer.told[0]:
                    expected = self._state.expected.find(group.number, digest)
                    if expected is not None and expected.kind == RECEIPT:
                        self._state.receipts.set_answer(expected.mailbox.number, expected.payload)
                for _, row in answer.plain:
                    for each in waiting:
                        if each.upload is not None and each.box == row[:BOX]:
                            self._state.receipts.set_answer(each.mailbox, row[BOX:])
            told = len(answer.told[0])
            self._places[group.number] = place + told
            if told < page:
                return
