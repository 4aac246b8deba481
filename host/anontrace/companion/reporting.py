"""Handing the sealed log to the nymserver: the wearer's own positive test, or passing on a case (docs/protocol.md
section 8).

The log is fixed before its token is redeemed, and kept until the nymserver has it: broken off at any point, the same
call goes on. Never asks the wearer: consent is the command's business.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

from anontrace_shared.errors import AnontraceError

from anontrace import clock
from anontrace.companion import contact_log, exposures
from anontrace.companion.contact_log import Summary
from anontrace.companion.errors import RefusedError, SetupError
from anontrace.companion.exposures import Exposure
from anontrace.companion.levels import LEVELS, Level
from anontrace.companion.periods import Period
from anontrace.companion.servers import Servers
from anontrace.companion.state import State
from anontrace.companion.store.notifications import StoredNotification
from anontrace.companion.store.uploads import ACCEPTED, ASKED, PASS_ON, READY, REFUSED, REPORT, StoredUpload
from anontrace.mixnet.notification import Kind, Notification
from anontrace.wire import network, onetime, permit, upload
from anontrace.wire.upload import ChainAuthorization, PermitAuthorization, Reason, Upload

MOST_STALLS = 3  # answers in a row that ask for bytes which were sent already
MARGIN = 1.5  # what `run` may take at most for an upload, of the mean: its times are random
DAY_SECONDS = 86400

_NOT_TAKEN = "the nymserver does not take the upload; try again later"

Progress = Callable[[int, int], None]

_REASONS = {
    Reason.MALFORMED: "the log is damaged",
    Reason.PERMIT_INVALID: "the permit of the health authority is not valid",
    Reason.EXPIRED: "the permit of the health authority has expired; ask for a new token",
    Reason.LOG_DOES_NOT_MATCH: "the permit is for another log",
    Reason.ALREADY_USED: "this token was used already",
    Reason.TOO_LARGE: "the log is too large",
}


@dataclass(frozen=True)
class Intent:
    """What is about to be sent: shown to the wearer, then carried out."""

    kind: str
    subject: bytes = field(repr=False)
    log: bytes = field(repr=False)
    summary: Summary
    stored: StoredUpload | None = field(repr=False)  # an earlier attempt, taken up again

    @property
    def is_done(self) -> bool:
        return self.stored is not None and self.stored.state == ACCEPTED

    @property
    def case_id(self) -> bytes:
        """Of an upload that is ready or done."""
        assert self.stored is not None and self.stored.case_id is not None
        return self.stored.case_id


@dataclass(frozen=True)
class Waiting:
    """An upload that `run` is to send: its chunks, how many of them are there, and how long the rest takes."""

    upload: StoredUpload = field(repr=False)
    chunks: int
    sent: int
    seconds: int  # from now on, in the mean
    ends: int | None  # when the permit by which it begins runs out, unix seconds; None once it has begun, or has none
    in_time: bool


def waiting(state: State) -> list[Waiting]:
    """The uploads that are ready, in the order in which `run` sends them."""
    found, left, now, gap = [], 0, clock.now(), DAY_SECONDS / run_level(state).chunks
    for stored in state.uploads.all():
        if stored.state != READY or stored.payload is None:
            continue
        chunks = chunk_count(stored)
        sent = min(stored.sent // upload.CHUNK_DATA, chunks - 1)
        ends = None if sent else _ends(state, stored.payload)
        begins_in_time = ends is None or now + MARGIN * (left + 1) * gap < ends
        left += chunks - sent
        in_time = begins_in_time and MARGIN * (chunks - sent) * gap < upload.MOST_DAYS * DAY_SECONDS
        found.append(Waiting(stored, chunks, sent, int(left * gap), ends, in_time))
    return found


def run_level(state: State) -> Level:
    """The level that `run` was given last, for the badges that there are."""
    return LEVELS[state.timetable.level() or "normal"].for_badges(state.badges.count())


def hidden_seconds(state: State, intent: Intent) -> int:
    """How long `run` takes for this upload and those before it, in the mean."""
    before = [each for each in waiting(state) if intent.stored is None or each.upload.number <= intent.stored.number]
    gap = DAY_SECONDS / run_level(state).chunks
    own = 0 if intent.stored is not None and intent.stored.state == READY else -(-len(intent.log) // upload.CHUNK_DATA)
    return int((before[-1].seconds if before else 0) + own * gap)


def _ends(state: State, payload: bytes) -> int | None:
    """When the permit of an upload runs out; None for one that goes by a chain token."""
    authorization, pinned = upload.parse(payload).authorization, state.network.get()
    if pinned is None or not isinstance(authorization, PermitAuthorization):
        return None
    return permit.verify(authorization.permit, network.parse(pinned.file).authority.key).expires


def chunk_count(stored: StoredUpload) -> int:
    """In how many chunks an upload goes that is ready."""
    assert stored.payload is not None
    return -(-len(stored.payload) // upload.CHUNK_DATA)


def intend_report(state: State, token: str, without: Sequence[Period] = ()) -> Intent:
    """What a report with this token would send, leaving out some periods; SetupError for a mistyped token."""
    try:
        subject = onetime.token_hash(token)
    except AnontraceError as error:
        raise SetupError(str(error)) from error
    return _intend(state, REPORT, subject, without)


def intend_pass_on(state: State, exposure: Exposure, without: Sequence[Period] = ()) -> Intent:
    """What passing on this case would send; SetupError if it cannot be passed on."""
    check_told(exposure)
    return _intend(state, PASS_ON, exposure.case_id, without)


def check_told(exposure: Exposure) -> None:
    """SetupError unless the wearer is told of it, so that it can be passed on."""
    if exposure.state != exposures.TOLD:
        raise SetupError(f"this case cannot be passed on, for its state is: {exposure.state}")


def _intend(state: State, kind: str, subject: bytes, without: Sequence[Period]) -> Intent:
    stored = state.uploads.find(kind, subject)
    if stored is None or stored.state == ACCEPTED:
        data = contact_log.gather(state.logs.segments(), clock.now(), without)
    else:
        data = _fixed_log(stored)
    return Intent(kind, subject, data, contact_log.summarise(data), stored)


def _fixed_log(stored: StoredUpload) -> bytes:
    """The log of an upload that is not done."""
    return stored.log if stored.payload is None else upload.parse(stored.payload).log


def taken_up(state: State, intent: Intent) -> Intent:
    """The intent as it stands now: another command may have begun the same upload while the wearer was asked.

    SetupError if that one sends another log than the wearer has seen.
    """
    stored = state.uploads.find(intent.kind, intent.subject)
    if stored is not None and stored.state != ACCEPTED and _fixed_log(stored) != intent.log:
        raise SetupError(
            "another command has begun this upload with another log; repeat the command to go on with that"
        )
    return replace(intent, stored=stored)


def prepare_report(state: State, servers: Servers, intent: Intent, token: str) -> StoredUpload:
    """Redeem the token; the upload that it returns is ready to be sent. RefusedError when the authority refuses."""
    stored = intent.stored or _fix(state, intent)
    if stored.state == ASKED:
        try:
            data, permit = servers.redeem(onetime.normalise(token), sha256(stored.log).digest())
        except RefusedError:
            state.uploads.finish(stored, REFUSED)
            raise
        payload = Upload(PermitAuthorization(data), stored.log).encode()
        stored = state.uploads.set_ready(stored, permit.case_id, payload)
    return stored


def prepare_pass_on(state: State, intent: Intent, exposure: Exposure) -> StoredUpload:
    """The upload with which a case is passed on, ready to be sent; nobody is asked anything."""
    stored = intent.stored or _fix(state, intent)
    if stored.state == ASKED:
        told_at, told = _one_notification(state, exposure)
        authorization = ChainAuthorization(told.case_id, told_at.contact_address, told_at.slot, told.chain_token)
        stored = state.uploads.set_ready(stored, told.case_id, Upload(authorization, stored.log).encode())
    return stored


def _fix(state: State, intent: Intent) -> StoredUpload:
    if not intent.log:
        raise SetupError("there is no contact log to send; run: anontrace badge sync")
    upload_id = secrets.token_bytes(upload.UPLOAD_ID)
    return state.uploads.add(intent.kind, intent.subject, upload_id, intent.log, int(clock.now()))


def _one_notification(state: State, exposure: Exposure) -> tuple[StoredNotification, Notification]:
    """One of the addresses of the report that counts, at random: a single one says least about the wearer."""
    opened = [(stored, Notification.decode(stored.content)) for stored in state.notifications.all()]
    usable = [
        (stored, found)
        for stored, found in opened
        if found.kind == Kind.NOTIFICATION
        and found.case_id == exposure.case_id
        and found.report_id == exposure.report_id
    ]
    return secrets.choice(usable)


def send(state: State, servers: Servers, stored: StoredUpload, progress: Progress) -> None:
    """Send an upload that is ready, chunk after chunk, each from where the nymserver says; a repeat after the end is
    answered as the end was. RefusedError when the nymserver refuses it."""
    assert stored.payload is not None and stored.case_id is not None  # it is ready
    stalled = 0
    while True:
        before = stored.sent
        stored = send_chunk(state, servers, stored)
        if stored.state == ACCEPTED:
            progress(len(stored.payload or b""), len(stored.payload or b""))
            return
        stalled = stalled + 1 if stored.sent <= before else 0
        if stalled > MOST_STALLS:
            raise RefusedError(_NOT_TAKEN)
        progress(stored.sent, len(stored.payload or b""))


def send_chunk(state: State, servers: Servers, stored: StoredUpload) -> StoredUpload:
    """Send the next chunk of an upload that is ready; returns it as it then stands. RefusedError if that is its end."""
    data = stored.payload
    assert data is not None
    piece = data[stored.sent : stored.sent + upload.CHUNK_DATA]
    reply = servers.upload(upload.Chunk(stored.upload_id, len(data), stored.sent, piece).encode())
    if reply.state == upload.State.ACCEPTED:
        state.uploads.finish(stored, ACCEPTED)
        return replace(stored, state=ACCEPTED)
    if reply.state == upload.State.REFUSED:
        state.uploads.finish(stored, REFUSED)
        raise RefusedError(f"the nymserver refuses the upload: {_REASONS[reply.reason]}")
    if reply.next_offset >= len(data):
        raise RefusedError(_NOT_TAKEN)
    state.uploads.set_sent(stored, reply.next_offset)
    return replace(stored, sent=reply.next_offset)


def send_scheduled(state: State, servers: Servers) -> StoredUpload | None:
    """Send one chunk: the next one of an upload that waits, which is returned, or else a dummy."""
    waiting = [each for each in state.uploads.all() if each.state == READY]
    if waiting:
        return send_chunk(state, servers, waiting[0])
    servers.upload(upload.Chunk(secrets.token_bytes(upload.UPLOAD_ID), 0, 0, b"").encode())
    return None
