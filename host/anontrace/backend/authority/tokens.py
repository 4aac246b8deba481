"""One-time tokens: issued to a patient, redeemed once, for one log (docs/protocol.md section 8).

Only a token's hash is stored, with what its test site calls the test. Tokens of one file count all at once, or none:
each names its batch, and counts once that is there. Never learns who redeems, and never sees a log.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from anontrace_primitives import equal
from anontrace_shared.errors import FormatError
from pydantic import BaseModel, ConfigDict, Field

from anontrace import clock
from anontrace.backend.errors import Refused, StoreError
from anontrace.backend.observing.counters import Counters
from anontrace.backend.staff import audit
from anontrace.backend.store import Put, Store
from anontrace.mixnet import keydays
from anontrace.mixnet.sizes import CASE_ID
from anontrace.wire import onetime, permit
from anontrace.wire.fields import Hex32, Hex129

KEEP_DAYS = 60  # after the last day, to answer "used" and "expired" apart from "unknown"
MAX_REFERENCE = 40  # characters
TABLE, BY_DAY, BY_REFERENCE, BATCHES = "tokens", "tokens-by-day", "tokens-by-reference", "token-batches"
_MAX_OF_REFERENCE = 1000
_AT_ONCE = 500
_BATCH = 16
_HOUR = 3600
ID = 16  # of a token: the day it was issued on (4), of its hash (12)
_DAY = 4
_ICD_10 = re.compile(r"[A-Z][0-9][0-9A-Z](\.[0-9A-Z]{1,4})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Origin:
    """Who issued a token, for which test site, and what that calls the test: never a name of a patient."""

    by: str = ""
    site: str = ""
    reference: str = ""

    def check(self) -> None:
        """FormatError if the reference cannot be one."""
        if len(self.reference) > MAX_REFERENCE or not self.reference.isprintable():
            raise FormatError(f"reference: it has to be printable, and {MAX_REFERENCE} characters at most")


NOBODY = Origin()


class Stored(BaseModel):
    """What is known of a token: its disease and last second (unix), what it was redeemed for, and where it comes from.
    `batch`: that of the file with which it was issued (hex); "": it was issued alone."""

    model_config = ConfigDict(hide_input_in_errors=True)

    disease: str
    expires: int
    issued: int = 0
    by: str = ""
    site: str = ""
    reference: str = Field(default="", repr=False)
    batch: str = ""
    withdrawn: bool = False
    log_hash: Hex32 | None = Field(default=None, repr=False)
    permit: Hex129 | None = Field(default=None, repr=False)


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
        self._signing_key = signing_key
        self._token_seconds = token_hours * _HOUR
        self._permit_seconds = permit_hours * _HOUR

    async def issue(self, disease: str, origin: Origin = NOBODY) -> Issued:
        """A new token. FormatError unless the disease is given by a code of ICD-10."""
        check(disease, origin)
        (made,) = await self._list([origin], disease)
        about = {"token": made.issued.id, "site": origin.site, "disease": disease}
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
        about = {"batch": batch.hex(), "number": len(tokens), "site": origins[0].site, "disease": disease}
        put = Put(batch, b"", audit.entry(origins[0].by, "tokens issued", **about))
        await self._store.put_if_absent_many(BATCHES, [put], keydays.day_at(tokens[0].expires) + KEEP_DAYS)
        self._counters.add("tokens_issued", len(tokens))
        return tokens

    async def _list(self, origins: Sequence[Origin], disease: str, batch: str = "") -> list[_Made]:
        """Tokens that are not stored yet, in the lists by which they are found then: what is in a list and nowhere else
        is not shown."""
        now = int(clock.now())
        last_day = keydays.day_at(now + self._token_seconds) + KEEP_DAYS
        made, days, references = [], [], []
        for origin in origins:
            stored = Stored(
                disease=disease, expires=now + self._token_seconds, issued=now, by=origin.by, site=origin.site,
                reference=origin.reference, batch=batch,
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

    async def redeem(self, token: str, log_hash: bytes) -> bytes:
        """The permit (129) for a log. 404: no such token; 410: expired; 409: redeemed for another log. FormatError if
        the token cannot be one, as when it is mistyped."""
        key = onetime.token_hash(token)
        for _ in range(8):
            (value,) = await self._store.get_many(TABLE, [key])
            if value is None:
                onetime.normalise(token)  # says so where it is mistyped
                self._counters.add("tokens_unknown")
                raise Refused(404, "there is no such token")
            stored = Stored.model_validate_json(value)
            if stored.batch and (await self._store.get_many(BATCHES, [bytes.fromhex(stored.batch)]))[0] is None:
                raise Refused(404, "there is no such token")
            if stored.permit is not None and stored.log_hash is not None:
                if not equal(stored.log_hash, log_hash):
                    raise Refused(409, "this token was redeemed for another log")
                return stored.permit
            now = int(clock.now())
            if stored.withdrawn:
                raise Refused(410, "this token was withdrawn")
            if now >= stored.expires:
                raise Refused(410, "this token has expired")
            made = permit.Permit(os.urandom(CASE_ID), stored.disease, log_hash, now, now + self._permit_seconds)
            new = stored.model_copy(update={"log_hash": log_hash, "permit": made.sign(self._signing_key)})
            if await self._store.compare_and_swap(TABLE, key, value, new.model_dump_json().encode()):
                self._counters.add("tokens_redeemed")
        raise StoreError("a token changed under every attempt to redeem it")


def check(disease: str, origin: Origin) -> None:
    """FormatError unless a token can be issued so."""
    if not _ICD_10.fullmatch(disease):
        raise FormatError("disease: this is no disease code of ICD-10, such as U07.1 (COVID-19), J10 or A98.4")
    origin.check()


def reference_key(reference: str) -> bytes:
    """Under which a test site's own reference is found, however it is typed."""
    return sha256(b"anontrace/1 reference" + " ".join(reference.split()).casefold().encode(errors="replace")).digest()
