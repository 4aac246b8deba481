"""One-time tokens: issued to whoever is tested, answered with the result, redeemed once, for one log (docs/protocol.md
section 8).

Only a token's hash is stored, with what its test site calls the test, the code of the log that was committed there, and
the result once it is entered. Tokens of one file count all at once, or none: each names its batch, and counts once that
is there. Never learns who asks, and never sees a log.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256

from anontrace_primitives import equal
from anontrace_shared.errors import FormatError
from pydantic import BaseModel, ConfigDict, Field

from anontrace import clock
from anontrace.backend.errors import StoreError
from anontrace.backend.nymserver.records import HexBytes
from anontrace.backend.observing.counters import Counters
from anontrace.backend.staff import audit
from anontrace.backend.store import Put, Store
from anontrace.mixnet import keydays
from anontrace.mixnet.sizes import CASE_ID
from anontrace.wire import commitment, onetime, permit, result
from anontrace.wire.fields import Hex32
from anontrace.wire.result import Answer, Question, Reason, State, Statement

WAIT_DAYS = 14  # for a result
KEEP_DAYS = 60  # after the last day, to answer "used" and "expired" apart from "unknown"
MAX_REFERENCE = 40  # characters
TABLE, BY_DAY, BY_REFERENCE, BATCHES = "tokens", "tokens-by-day", "tokens-by-reference", "token-batches"
_MAX_OF_REFERENCE = 1000
_AT_ONCE = 500
_BATCH = 16
_NO_BATCH = bytes(_BATCH)
_HOUR = 3600
_DAY_SECONDS = 86400
ID = 16  # of a token: the day it was issued on (4), of its hash (12)
_DAY = 4
_ICD_10 = re.compile(r"[A-Z][0-9][0-9A-Z](\.[0-9A-Z]{1,4})?", re.ASCII)


class Result(StrEnum):
    """What a test has shown."""

    PENDING = "pending"
    POSITIVE = "positive"
    NEGATIVE = "negative"


@dataclass(frozen=True, slots=True)
class Origin:
    """Who issued a token, for which test site, and what that calls the test: never a name of a patient. The code (10)
    of the log that was committed, all zero if none was; and the result, where it is known by then."""

    by: str = ""
    site: str = ""
    reference: str = ""
    commitment: bytes = field(default=commitment.NONE, repr=False)
    result: Result = Result.PENDING

    def check(self) -> None:
        """FormatError if the reference cannot be one."""
        if len(self.reference) > MAX_REFERENCE or not self.reference.isprintable():
            raise FormatError(f"reference: it has to be printable, and {MAX_REFERENCE} characters at most")


NOBODY = Origin()


class Stored(BaseModel):
    """What is known of a token: its disease and last second (unix), its result and whether that was told, what it was
    redeemed for, and where it comes from. `batch`: that of the file with which it was issued (hex); "": it was issued
    alone. A token of a server up to 0.2 was handed out for a positive result, with no log committed."""

    model_config = ConfigDict(hide_input_in_errors=True)

    disease: str
    expires: int
    issued: int = 0
    by: str = ""
    site: str = ""
    reference: str = Field(default="", repr=False)
    batch: str = ""
    withdrawn: bool = False
    result: Result = Result.POSITIVE
    told: bool = False
    commitment: HexBytes = Field(default=commitment.NONE, repr=False)
    log_hash: Hex32 | None = Field(default=None, repr=False)
    permit: HexBytes | None = Field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Issued:
    """A fresh token, to be shown once, when it expires (unix seconds), and by which id (hex 16) it is spoken of."""

    token: str = field(repr=False)
    expires: int
    id: str
    reference: str = ""


@dataclass(frozen=True, slots=True)
class _Made:
    """A token, and how it is stored."""

    issued: Issued
    key: bytes = field(repr=False)
    value: bytes = field(repr=False)
    last_day: int


class Tokens:
    """The tokens of this authority."""

    def __init__(
        self, store: Store, counters: Counters, signing_key: bytes, token_hours: int, permit_hours: int
    ) -> None:
        self._store = store
        self._counters = counters
        self._counters.declare("tokens_issued", "tokens_unknown")
        self._signing_key = signing_key
        self.token_seconds = token_hours * _HOUR  # for which a result is told
        self._permit_seconds = permit_hours * _HOUR

    async def issue(self, disease: str, origin: Origin = NOBODY) -> Issued:
        """A new token. FormatError unless the disease is given by a code of ICD-10."""
        check(disease, origin)
        (made,) = await self._list([origin], disease)
        about: dict[str, object] = {"token": made.issued.id, "site": origin.site, "disease": disease}
        about |= {"committed": origin.commitment != commitment.NONE, "result": origin.result.value}
        then = audit.entry(origin.by, "token issued", **about) if origin.by else None
        await self._store.put_if_absent_many(TABLE, [Put(made.key, made.value, then)], made.last_day)
        self._counters.add("tokens_issued")
        return made.issued

    async def issue_many(self, disease: str, origins: Sequence[Origin]) -> list[Issued]:
        """New tokens, for each origin one, all of the same account: they count from the last step on, which is the
        audit's too."""
        for each in origins:
            check(disease, each)
        batch, tokens = os.urandom(_BATCH), []
        for at in range(0, len(origins), _AT_ONCE):
            listed = await self._list(origins[at : at + _AT_ONCE], disease, batch.hex())
            puts = [Put(each.key, each.value) for each in listed]
            await self._store.put_if_absent_many(TABLE, puts, listed[0].last_day)
            tokens += [each.issued for each in listed]
        about = {
            "batch": batch.hex(), "number": len(tokens), "site": origins[0].site, "disease": disease,
            "committed": sum(each.commitment != commitment.NONE for each in origins),
        }  # fmt: skip
        put = Put(batch, b"", audit.entry(origins[0].by, "tokens issued", **about))
        await self._store.put_if_absent_many(BATCHES, [put], keydays.day_at(tokens[0].expires) + KEEP_DAYS)
        self._counters.add("tokens_issued", len(tokens))
        return tokens

    async def _list(self, origins: Sequence[Origin], disease: str, batch: str = "") -> list[_Made]:
        """Tokens that are not stored yet, in the lists by which they are found then: what is in a list and nowhere else
        is not shown."""
        now = int(clock.now())
        waits = now + WAIT_DAYS * _DAY_SECONDS
        last_day = keydays.day_at(waits + self.token_seconds) + KEEP_DAYS
        made, days, references = [], [], []
        for origin in origins:
            stored = Stored(
                disease=disease, expires=waits if origin.result is Result.PENDING else now + self.token_seconds,
                issued=now, by=origin.by, site=origin.site, reference=origin.reference, batch=batch,
                result=origin.result, commitment=origin.commitment,
            )  # fmt: skip
            token = onetime.new_token()
            key = onetime.token_hash(token)
            identity = keydays.day_at(now).to_bytes(_DAY, "big") + key[: ID - _DAY]
            issued = Issued(token, stored.expires, identity.hex(), origin.reference)
            made.append(_Made(issued, key, stored.model_dump_json().encode(), last_day))
            days.append(Put(identity, key))
            if origin.reference:
                references.append((reference_key(origin.reference), identity))
        await self._store.put_if_absent_many(BY_DAY, days, last_day)
        await self._store.append_many(BY_REFERENCE, references, _MAX_OF_REFERENCE, last_day)
        return made

    async def answer(self, asked: Question) -> Answer:
        """How the test with this token stands; a permit for the log that was named, if the result is positive. A
        question without a token is answered as if there were no result yet."""
        key = asked.token_hash
        for _ in range(8):
            (value,) = await self._store.get_many(TABLE, [key])
            stored = None if value is None else Stored.model_validate_json(value)
            # Also without a token, and for one that was issued alone: a slow store would show by how often it is read.
            does_count = await self._counts(stored)
            if key == result.NO_TOKEN:
                return Answer(State.NOT_YET)
            if stored is None or not does_count:
                self._counters.add("tokens_unknown")
                return Answer(State.REFUSED, reason=Reason.UNKNOWN)
            now = int(clock.now())
            answer = self._settled(stored, asked, key, now)
            if answer is not None and (answer.state is not State.NEGATIVE or stored.told):
                return answer
            if answer is not None:
                new = stored.model_copy(update={"told": True})
            else:
                made = permit.Permit(
                    os.urandom(CASE_ID), stored.disease, asked.log_hash, now, now + self._permit_seconds,
                    stored.commitment,
                )  # fmt: skip
                signed = made.sign(self._signing_key)
                new = stored.model_copy(update={"log_hash": asked.log_hash, "permit": signed})
            if await self._store.compare_and_swap(TABLE, key, value, new.model_dump_json().encode()):
                self._counters.add("tokens_redeemed" if answer is None else "results_told")
        raise StoreError("a token changed under every attempt to answer for it")

    def _settled(self, stored: Stored, asked: Question, key: bytes, now: int) -> Answer | None:
        """The answer; None where a permit is to be made."""
        if stored.permit is not None and stored.log_hash is not None and asked.log_hash != result.NO_LOG:
            if not equal(stored.log_hash, asked.log_hash):
                return Answer(State.REFUSED, reason=Reason.ANOTHER_LOG)
            return Answer(State.PERMIT, permit=stored.permit)
        if stored.withdrawn:
            return Answer(State.REFUSED, reason=Reason.WITHDRAWN)
        if stored.result is Result.NEGATIVE and (stored.told or now < stored.expires):
            made = Statement(result.serial(key), stored.disease, keydays.day_at(stored.issued))
            return Answer(State.NEGATIVE, statement=made.sign(self._signing_key))
        if now >= stored.expires and stored.permit is None:
            return Answer(State.REFUSED, reason=Reason.EXPIRED)
        if stored.result is Result.PENDING:
            return Answer(State.NOT_YET)
        if asked.log_hash == result.NO_LOG:
            return Answer(State.POSITIVE, disease=stored.disease, commitment=stored.commitment)
        return None

    async def _counts(self, stored: Stored | None) -> bool:
        batch = "" if stored is None else stored.batch
        (there,) = await self._store.get_many(BATCHES, [bytes.fromhex(batch) or _NO_BATCH])
        return not batch or there is not None


def check(disease: str, origin: Origin) -> None:
    """FormatError unless a token can be issued so."""
    if not _ICD_10.fullmatch(disease):
        raise FormatError("disease: this is no disease code of ICD-10, such as U07.1 (COVID-19), J10 or A98.4")
    origin.check()


def reference_key(reference: str) -> bytes:
    """Under which a test site's own reference is found, however it is typed."""
    return sha256(b"anontrace/1 reference" + " ".join(reference.split()).casefold().encode(errors="replace")).digest()
