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
from anontrace.wire import onetime, places, upload
from anontrace.wire.places import NOWHERE, Places
from anontrace.wire.upload import ChainAuthorization, PermitAuthorization, Upload

from . import contact_log, noted
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
    summary: Summary
    stored: StoredUpload | None = field(repr=False)  # an earlier attempt, taken up again

    @property
    def is_done(self) -> bool:
        return self.stored is not None and self.stored.state == ACCEPTED

    @property
    def size(self) -> int:
        """Bytes of the log, with what it says of places, as it is handed in."""
        return len(self.log) + (0 if self.stored is not None and not self.stored.places else places.SIZE)

    @property
    def case_id(self) -> bytes:
        """Of an upload that is ready or done."""
        assert self.stored is not None and self.stored.case_id is not None
        return self.stored.case_id


def intend_report(state: State, token: str, without: Sequence[Period] = (), without_places: bool = False) -> Intent:
    """What a report with this token would send, leaving out some periods, and all that it says of places if that is
    wished; SetupError for a mistyped token."""
    try:
        subject = onetime.token_hash(onetime.normalise(token))
    except AnontraceError as error:
        raise SetupError(str(error)) from error
    return _intend(state, REPORT, subject, without, without_places)


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


def _intend(state: State, kind: str, subject: bytes, without: Sequence[Period], without_places: bool) -> Intent:
    stored = state.uploads.find(kind, subject)
    if stored is None or stored.state == ACCEPTED:
        data, said = gathered(state, without, without_places)
    else:
        data, said = _fixed(stored)
    return Intent(kind, subject, data, said, contact_log.summarise(data), stored)


def _fixed(stored: StoredUpload) -> tuple[bytes, Places]:
    """The log of an upload that is not done, and what it says of places."""
    log, _ = places.split(stored.log if stored.payload is None else stored.parsed().log)
    return log, places.decode(stored.places) if stored.places else NOWHERE


def taken_up(state: State, intent: Intent) -> Intent:
    """The intent as it stands now: another command may have begun the same upload while the wearer was asked.

    SetupError if that one sends another log than the wearer has seen.
    """
    stored = state.uploads.find(intent.kind, intent.subject)
    if stored is not None and stored.state != ACCEPTED and _fixed(stored) != (intent.log, intent.places):
        raise SetupError(
            "another command has begun this upload with another log; repeat the command to go on with that"
        )
    return replace(intent, stored=stored)


def prepare_report(state: State, servers: "Servers", intent: Intent, token: str) -> StoredUpload:
    """Redeem the token; the upload that it returns is ready to be sent. RefusedError when the authority refuses."""
    stored = intent.stored or _fix(state, intent)
    if stored.state == ASKED:
        stored = _sealed(state, servers, stored)
        try:
            data, permit = servers.redeem(onetime.normalise(token), sha256(stored.log).digest())
        except RefusedError:
            state.uploads.finish(stored, REFUSED)
            raise
        payload = Upload(PermitAuthorization(data), stored.log).encode()
        stored = state.uploads.set_ready(stored, permit.case_id, payload)
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
        raise SetupError("there is no contact log to send; run: anontrace badge sync")
    upload_id = secrets.token_bytes(upload.UPLOAD_ID)
    said = intent.places.encode()
    return state.uploads.add(
        intent.kind, intent.subject, upload_id, intent.log, int(clock.now()), said, intent.summary.by_day
    )


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
