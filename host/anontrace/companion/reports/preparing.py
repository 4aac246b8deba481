"""What a wearer hands in, fixed before anything is sent: their own positive test, or passing on a case.

docs/protocol.md section 8. The log is fixed before its token is redeemed, and kept until the nymserver has it: if
interrupted at any point, the same call continues. Never asks the wearer: consent is the command's business.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING

from anontrace import clock
from anontrace.companion.errors import RefusedError, SetupError
from anontrace.companion.exposures import judging
from anontrace.companion.exposures.judging import Exposure
from anontrace.companion.store.notifications import StoredNotification
from anontrace.companion.store.state import State
from anontrace.companion.store.states import ACCEPTED, ASKED, REFUSED
from anontrace.companion.store.uploads import PASS_ON, REPORT, StoredUpload
from anontrace.mixnet.notification import Kind, Notification
from anontrace.wire import commitment, permit, places, upload
from anontrace.wire.commitment import NONE
from anontrace.wire.places import NOWHERE, Places
from anontrace.wire.result import Question
from anontrace.wire.result import State as Answered
from anontrace.wire.upload import ChainAuthorization, PermitAuthorization, Upload

from . import contact_log, noted, results
from .contact_log import Summary
from .periods import Period

if TYPE_CHECKING:
    from anontrace.companion.network.servers import Servers


@dataclass(frozen=True)
class Intent:
    """What is about to be sent: shown to the wearer, then carried out."""

    kind: str
    subject: bytes = field(repr=False)
    log: bytes = field(repr=False)
    places: Places = field(repr=False)  # what it says of places
    proof: bytes = field(repr=False)  # that it continues the log that was committed at the test; empty if none was
    left_out: int  # records that cannot count with that commitment
    summary: Summary
    stored: StoredUpload | None = field(repr=False)  # an earlier attempt, taken up again

    @property
    def is_done(self) -> bool:
        return self.stored is not None and self.stored.state == ACCEPTED

    @property
    def size(self) -> int:
        """Bytes of the log, with what it says of places, as it is handed in."""
        said = 0 if self.stored is not None and not self.stored.places else places.SIZE
        return len(self.proof) + len(self.log) + said

    @property
    def case_id(self) -> bytes:
        """Of an upload that is ready or done."""
        assert self.stored is not None and self.stored.case_id is not None
        return self.stored.case_id


def intend_report(
    state: State, token_hash: bytes, code: bytes, without: Sequence[Period] = (), without_places: bool = False
) -> Intent:
    """What a report with this token would send, leaving out some periods, and all that it says of places if that is
    wished. `code`: of the log that was committed at the test (10; zero: none); RefusedError if that is not of here."""
    return _intend(state, REPORT, token_hash, without, without_places, code)


def intend_pass_on(
    state: State, exposure: Exposure, without: Sequence[Period] = (), without_places: bool = False
) -> Intent:
    """What passing on this case would send, likewise; SetupError if it cannot be passed on."""
    check_told(exposure)
    return _intend(state, PASS_ON, exposure.case_id, without, without_places)


def check_told(exposure: Exposure) -> None:
    """SetupError unless the wearer is told of it, so that it can be passed on."""
    if exposure.state != judging.TOLD:
        raise SetupError(f"this case cannot be passed on, for its state is: {exposure.state}")


def gathered(state: State, without: Sequence[Period] = (), without_places: bool = False) -> tuple[bytes, Places]:
    """The log that would be handed in now, leaving that out, and what it says of places."""
    now = clock.now()
    said = NOWHERE if without_places else noted.handed_in(state.places.get(), now, without)
    return contact_log.gather(state.logs.segments(), now, without), said


def _intend(
    state: State, kind: str, subject: bytes, without: Sequence[Period], without_places: bool, code: bytes = NONE
) -> Intent:
    stored = state.uploads.find(kind, subject)
    if stored is not None and stored.state != ACCEPTED:
        proof, data, said = _fixed(stored)
        return Intent(kind, subject, data, said, proof, 0, contact_log.summarise(data), stored)
    data, said = gathered(state, without, without_places)
    if code == NONE:
        return Intent(kind, subject, data, said, b"", 0, contact_log.summarise(data), stored)
    opening = state.commitments.find(code)
    if opening is None:
        raise RefusedError(
            "another log than that of this companion was committed at the test, or one from before its backup; hand in"
            " that one, or ask the test site for a token of another test"
        )
    bound = opening.bound(data)
    summary = contact_log.summarise(bound)
    left_out = contact_log.summarise(data).records - summary.records
    return Intent(kind, subject, bound, said, opening.prove(bound), left_out, summary, stored)


def _fixed(stored: StoredUpload) -> tuple[bytes, bytes, Places]:
    """The log of an upload that is not done, with the proof before it, and what it says of places."""
    whole = stored.log if stored.payload is None else stored.parsed().log
    proof, log = commitment.split(places.split(whole)[0])
    return proof or b"", log, places.decode(stored.places) if stored.places else NOWHERE


def taken_up(state: State, intent: Intent) -> Intent:
    """The intent as it stands now: another command may have begun the same upload while the wearer was asked.

    SetupError if that one sends another log than the wearer has seen.
    """
    stored = state.uploads.find(intent.kind, intent.subject)
    if stored is not None and stored.state != ACCEPTED and _fixed(stored) != (intent.proof, intent.log, intent.places):
        raise SetupError(
            "another command has begun this upload with another log; repeat the command to go on with that"
        )
    return replace(intent, stored=stored)


def prepare_report(state: State, servers: "Servers", intent: Intent) -> StoredUpload:
    """Redeem the token; the upload that it returns is ready to be sent. RefusedError when the authority refuses."""
    stored = intent.stored or _fix(state, intent)
    if stored.state == ASKED:
        stored = _sealed(state, servers, stored)
        answer = servers.result(Question(stored.subject, sha256(stored.log).digest()))
        if answer.state is not Answered.PERMIT:
            state.uploads.finish(stored, REFUSED)
            results.correct(state, stored.subject, answer)
            raise RefusedError(results.refusal(answer))
        payload = Upload(PermitAuthorization(answer.permit), stored.log).encode()
        stored = state.uploads.set_ready(stored, permit.case_of(answer.permit), payload)
    return stored


def prepare_pass_on(state: State, servers: "Servers", intent: Intent, exposure: Exposure) -> StoredUpload:
    """The upload with which a case is passed on, ready to be sent; nobody is asked anything."""
    stored = intent.stored or _fix(state, intent)
    if stored.state == ASKED:
        stored = _sealed(state, servers, stored)
        told_at, told = _one_notification(state, exposure)
        authorization = ChainAuthorization(told.case_id, told_at.contact_address, told_at.slot, told.chain_token)
        stored = state.uploads.set_ready(stored, told.case_id, Upload(authorization, stored.log).encode())
    return stored


def _fix(state: State, intent: Intent) -> StoredUpload:
    if not intent.log:
        if intent.left_out:
            raise SetupError("nothing of the log counts: all of it was fetched after it was committed at the test")
        raise SetupError("there is no contact log to send; run: anontrace badge sync")
    upload_id = secrets.token_bytes(upload.UPLOAD_ID)
    said = intent.places.encode()
    log = intent.proof + intent.log
    return state.uploads.add(intent.kind, intent.subject, upload_id, log, int(clock.now()), said, intent.summary.by_day)


def _sealed(state: State, servers: "Servers", stored: StoredUpload) -> StoredUpload:
    """The upload with what it says of places behind its log, also if that is nothing. One that is so stays as it is,
    since its token may be redeemed with it."""
    if not stored.places or places.split(stored.log)[1] is not None:
        return stored
    return state.uploads.set_log(stored, stored.log + places.seal(servers.log_key, stored.places))


def _one_notification(state: State, exposure: Exposure) -> tuple[StoredNotification, Notification]:
    """One of the addresses of the report that counts, at random: a single one says least about the wearer."""
    opened = [(stored, Notification.decode(stored.content, kept=True)) for stored in state.notifications.all()]
    usable = [
        (stored, found)
        for stored, found in opened
        if found.kind == Kind.NOTIFICATION
        and found.case_id == exposure.case_id
        and found.report_id == exposure.report_id
    ]
    return secrets.choice(usable)
