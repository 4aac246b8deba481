"""What a wearer hands in, fixed before anything is sent: their own positive test, or passing on a case.

docs/protocol.md section 8. The log is fixed before its token is redeemed, and kept until the nymserver has it: if
interrupted at any point, the same call continues. Never asks the wearer: consent is the command's business.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING

from anontrace_shared.errors import AnontraceError

from anontrace import clock
from anontrace.companion.errors import RefusedError, SetupError
from anontrace.companion.exposures import judging
from anontrace.companion.exposures.judging import Exposure
from anontrace.companion.store.notifications import StoredNotification
from anontrace.companion.store.state import State
from anontrace.companion.store.states import ACCEPTED, ASKED, REFUSED
from anontrace.companion.store.uploads import PASS_ON, REPORT, StoredUpload
from anontrace.mixnet.notification import Kind, Notification
from anontrace.wire import onetime, upload
from anontrace.wire.upload import ChainAuthorization, PermitAuthorization, Upload

from . import contact_log
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


def intend_report(state: State, token: str, without: Sequence[Period] = ()) -> Intent:
    """What a report with this token would send, leaving out some periods; SetupError for a mistyped token."""
    try:
        subject = onetime.token_hash(onetime.normalise(token))
    except AnontraceError as error:
        raise SetupError(str(error)) from error
    return _intend(state, REPORT, subject, without)


def intend_pass_on(state: State, exposure: Exposure, without: Sequence[Period] = ()) -> Intent:
    """What passing on this case would send; SetupError if it cannot be passed on."""
    check_told(exposure)
    return _intend(state, PASS_ON, exposure.case_id, without)


def check_told(exposure: Exposure) -> None:
    """SetupError unless the wearer is told of it, so that it can be passed on."""
    if exposure.state != judging.TOLD:
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
    return stored.log if stored.payload is None else stored.parsed().log


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


def prepare_report(state: State, servers: "Servers", intent: Intent, token: str) -> StoredUpload:
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
    opened = [(stored, Notification.decode(stored.content, kept=True)) for stored in state.notifications.all()]
    usable = [
        (stored, found)
        for stored, found in opened
        if found.kind == Kind.NOTIFICATION
        and found.case_id == exposure.case_id
        and found.report_id == exposure.report_id
    ]
    return secrets.choice(usable)
