"""What contacts who were told answer, opened for staff; and the letters that staff write back (docs/protocol.md 7, 9).

Answers lie at the nymserver, sealed; here they are opened each time somebody reads them, and kept nowhere. An answer
takes one letter: that one goes is settled here before it does, in one step with its entry in the audit, so that of two
who write at once one does; that no second one follows, whatever breaks off, is the nymserver's to see to, which sends
by no header twice. Neither the audit nor this store holds what was answered or written.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256

from anontrace_primitives import x25519_base
from anontrace_shared.errors import AnontraceError
from pydantic import BaseModel, Field

from anontrace import clock
from anontrace.backend.errors import Refused
from anontrace.backend.nymserver.records import Letter
from anontrace.backend.staff import audit
from anontrace.backend.staff.audit import Audit
from anontrace.backend.store import Entry, Store
from anontrace.mixnet import contact_answer, keydays, letter, words
from anontrace.mixnet.contact_answer import MINUTES, NEAR_BINS, ContactAnswer, Opened, OwnLog, Said
from anontrace.mixnet.sizes import LETTER

from .nymserver import Nymserver

KEEP_DAYS = 61  # no header leads anywhere for longer
_LETTERS = "letters"


class Near(BaseModel):
    """For about how long the contact was about how near, over all of her addresses: classes. None: no limit."""

    attenuation_from: int
    attenuation_to: int | None
    minutes_over: int
    minutes_to: int | None


class Written(BaseModel):
    """A letter that went to a contact, or is about to: who wrote it, and when (unix seconds)."""

    by: str
    at: int
    sent: bool


class AnswerShown(BaseModel):
    """An answer as staff read it. `day`: when it was written, by its writer; `result`: "", "positive" or "negative";
    `own_log`: whether anybody is in her own sealed log in these slots, "" if she does not say; `reachable`: whether a
    letter can be written to her."""

    id: str
    day: int
    test: bool
    call: str = Field(repr=False)  # the telephone number, "" if she asks for no call
    result: str = Field(repr=False)
    nearness: list[Near] | None = Field(repr=False)
    own_log: str = Field(repr=False)
    note: str = Field(repr=False)
    reachable: bool
    letter: Written | None


class AnswerList(BaseModel):
    """The answers to a report, in the order in which they came. `unreadable`: those that make no sense, which a contact
    or the nymserver made up; `overflowed`: whether more came than are kept."""

    answers: list[AnswerShown]
    unreadable: int
    overflowed: bool


class _Kept(BaseModel):
    """What is kept of a letter: which one it is, by a hash."""

    by: str
    at: int
    hash: str
    sent: bool = False


class ContactAnswers:
    """The answers and letters of one health authority."""

    def __init__(self, store: Store, nymserver: Nymserver, signing_key: bytes, chain: Audit) -> None:
        self._store = store
        self._nymserver = nymserver
        self._secret = words.secret_of(signing_key)
        self._public = x25519_base(self._secret)
        self._audit = chain

    async def read(self, by: str, case_id: bytes, report: str) -> AnswerList:
        """Those to a report; that somebody read them is in the audit first."""
        opened, unreadable, overflowed = await self._opened(case_id, report)
        if opened:
            await self._audit.note(by, "answers read", report=report, number=len(opened))
        values = await self._store.get_many(_LETTERS, list(opened))
        letters = [None if value is None else _Kept.model_validate_json(value) for value in values]
        shown = [_shown(each, found.answer, kept) for (each, found), kept in zip(opened.items(), letters, strict=True)]
        return AnswerList(answers=shown, unreadable=unreadable, overflowed=overflowed)

    async def _opened(self, case_id: bytes, report: str) -> tuple[dict[bytes, Opened], int, bool]:
        """By identity; how many make no sense; whether more came than are kept."""
        found = await self._nymserver.answers(report)
        tag = contact_answer.told_tag(case_id, bytes.fromhex(report))
        made = await asyncio.to_thread(self._readable, tag, found.answers)
        return made, len(set(found.answers)) - len(made), found.overflowed

    def _readable(self, tag: bytes, sealed: Sequence[bytes]) -> dict[bytes, Opened]:
        opened: dict[bytes, Opened] = {}
        for each in sealed:
            with suppress(AnontraceError):
                opened[contact_answer.identity(each)] = contact_answer.open(self._secret, self._public, tag, each)
        return opened

    async def write_back(self, by: str, case_id: bytes, report: str, answer_id: str, message: str) -> None:
        """Send a letter to who gave an answer. Refused: 404 without such an answer, 422 if the letter does not fit, 409
        if it has no way back or somebody has written already, 410 if its way back has had its time."""
        if not message.strip():
            raise Refused(422, "message: there is nothing in it")
        if len(message.encode(errors="replace")) > LETTER:
            raise Refused(422, f"message: it has more than {LETTER} bytes in UTF-8")
        opened, _, _ = await self._opened(case_id, report)
        key = bytes.fromhex(answer_id)
        if key not in opened:
            raise Refused(404, "there is no such answer")
        answer, tag = opened[key].answer, contact_answer.told_tag(case_id, bytes.fromhex(report))
        if not answer.first_mix:
            raise Refused(409, "who gave this answer left no way to write back")
        try:
            sealed = letter.seal(opened[key].reply_key, tag, message)
        except AnontraceError as error:
            raise Refused(422, f"message: {error}") from None
        await self._send(by, report, key, Letter(first_mix=answer.first_mix, header=answer.header, letter=sealed))

    async def _send(self, by: str, report: str, key: bytes, made: Letter) -> None:
        (value,) = await self._store.get_many(_LETTERS, [key])
        before = None if value is None else _Kept.model_validate_json(value)
        if before is not None and before.sent:
            raise Refused(409, f"{before.by} has written to this answer already")
        kept = _Kept(by=by, at=int(clock.now()), hash=sha256(made.letter).hexdigest())
        if not await self._settle(
            key, before, kept, audit.entry(by, "letter asked for", report=report, answer=key.hex())
        ):
            raise Refused(409, "somebody else writes to this answer at this moment")
        try:
            await self._nymserver.letter(made)
        except Refused as refused:
            if refused.status != 409 or before is None:
                said = audit.entry(by, "letter not sent", report=report, answer=key.hex(), status=refused.status)
                await self._settle(key, kept, before, said)
                raise
            # It was asked for before, nobody knew how that ended, and now it is known: that letter went out.
            is_same = before.hash == kept.hash
            kept_or_before = kept if is_same else before
            said = audit.entry(kept_or_before.by, "letter sent", report=report, answer=key.hex())
            await self._settle(key, kept, kept_or_before.model_copy(update={"sent": True}), said)
            if not is_same:
                raise
            return
        said = audit.entry(by, "letter sent", report=report, answer=key.hex())
        await self._settle(key, kept, kept.model_copy(update={"sent": True}), said)

    async def _settle(self, key: bytes, before: _Kept | None, after: _Kept | None, said: Entry) -> bool:
        """Where the letter to an answer stands, and what the audit says of it, in one step; False if it was not as
        before."""
        old, new = (None if each is None else each.model_dump_json().encode() for each in (before, after))
        expires = keydays.day_at(clock.now()) + KEEP_DAYS
        was = await self._store.compare_and_swap(_LETTERS, key, old, new, expires, [said])
        self._audit.wake()
        return was


_OWN_LOG = {OwnLog.UNSAID: "", OwnLog.SOMEBODY: "somebody", OwnLog.PARTLY: "partly", OwnLog.NOBODY: "nobody"}


def _shown(key: bytes, answer: ContactAnswer, kept: _Kept | None) -> AnswerShown:
    said = answer.said
    return AnswerShown(
        id=key.hex(),
        day=answer.day,
        test=Said.TEST in said,
        call=answer.number,
        result="positive" if Said.POSITIVE in said else "negative" if Said.NEGATIVE in said else "",
        nearness=_near(answer.nearness) if Said.NEARNESS in said else None,
        own_log=_OWN_LOG[answer.own_log],
        note=answer.note,
        reachable=bool(answer.first_mix),
        letter=None if kept is None else Written(by=kept.by, at=kept.at, sent=kept.sent),
    )


def _near(classes: tuple[int, ...]) -> list[Near]:
    """Those bins in which there are minutes."""
    edges: list[int | None] = [*NEAR_BINS, None]
    found = []
    for number, (limit, minutes) in enumerate(zip(edges, classes, strict=True)):
        if minutes:
            found.append(
                Near(
                    attenuation_from=NEAR_BINS[number - 1] + 1 if number else 0,
                    attenuation_to=limit,
                    minutes_over=MINUTES[minutes - 1],
                    minutes_to=MINUTES[minutes] if minutes < len(MINUTES) else None,
                )
            )
    return found
