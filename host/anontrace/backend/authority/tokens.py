"""One-time tokens: issued to a patient, redeemed once, for one log (docs/protocol.md section 8).

Only a token's hash is stored. Never learns who redeems, and never sees a log.
"""

import os
import re
from dataclasses import dataclass

from anontrace_primitives import equal
from anontrace_shared.errors import FormatError
from pydantic import BaseModel, ConfigDict, Field

from anontrace import clock
from anontrace.backend.errors import Refused, StoreError
from anontrace.backend.observing.counters import Counters
from anontrace.backend.store import Put, Store
from anontrace.mixnet import keydays
from anontrace.mixnet.sizes import CASE_ID
from anontrace.wire import onetime, permit
from anontrace.wire.fields import Hex32, Hex129

KEEP_DAYS = 60  # after the last day, to answer "used" and "expired" apart from "unknown"
_TABLE = "tokens"
_HOUR = 3600
_ICD_10 = re.compile(r"[A-Z][0-9][0-9A-Z](\.[0-9A-Z]{1,4})?", re.ASCII)


class _Stored(BaseModel):
    """What is known of a token: its disease and last second, and what it was redeemed for."""

    model_config = ConfigDict(hide_input_in_errors=True)

    disease: str
    expires: int
    log_hash: Hex32 | None = Field(default=None, repr=False)
    permit: Hex129 | None = Field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Issued:
    """A fresh token, to be shown once, and when it expires (unix seconds)."""

    token: str
    expires: int


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

    async def issue(self, disease: str) -> Issued:
        """A new token. FormatError unless the disease is given by a code of ICD-10."""
        if not _ICD_10.fullmatch(disease):
            raise FormatError("disease: this is no disease code of ICD-10, such as U07.1 (COVID-19), J10 or A98.4")
        token = onetime.new_token()
        expires = int(clock.now()) + self._token_seconds
        stored = _Stored(disease=disease, expires=expires).model_dump_json().encode()
        await self._store.put_if_absent_many(
            _TABLE, [Put(onetime.token_hash(token), stored)], keydays.day_at(expires) + KEEP_DAYS
        )
        self._counters.add("tokens_issued")
        return Issued(token, expires)

    async def redeem(self, token: str, log_hash: bytes) -> bytes:
        """The permit (129) for a log. 404: no such token; 410: expired; 409: redeemed for another log. FormatError if
        the token cannot be one, as when it is mistyped."""
        key = onetime.token_hash(token)
        for _ in range(8):
            (value,) = await self._store.get_many(_TABLE, [key])
            if value is None:
                onetime.normalise(token)  # says so where it is mistyped
                self._counters.add("tokens_unknown")
                raise Refused(404, "there is no such token")
            stored = _Stored.model_validate_json(value)
            if stored.permit is not None and stored.log_hash is not None:
                if not equal(stored.log_hash, log_hash):
                    raise Refused(409, "this token was redeemed for another log")
                return stored.permit
            now = int(clock.now())
            if now >= stored.expires:
                raise Refused(410, "this token has expired")
            made = permit.Permit(os.urandom(CASE_ID), stored.disease, log_hash, now, now + self._permit_seconds)
            new = stored.model_copy(update={"log_hash": log_hash, "permit": made.sign(self._signing_key)})
            if await self._store.compare_and_swap(_TABLE, key, value, new.model_dump_json().encode()):
                self._counters.add("tokens_redeemed")
        raise StoreError("a token changed under every attempt to redeem it")
