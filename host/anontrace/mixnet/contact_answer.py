"""What a contact who was told answers the health authority (docs/protocol.md section 7).

A message like any other to the nymserver, which learns of it by which report its sender was told, and passes it on
unread. It holds neither an address nor who its sender is, unless in the number or the words that she types. With it
goes a reply header, by which the authority can write back once (letter.py); its key is never sent. Stores nothing.
"""

import os
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from hashlib import blake2b
from struct import Struct

from anontrace_primitives import x25519, x25519_base
from anontrace_shared.errors import AuthenticationError, FormatError
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from . import kinds, notification, phone, stream
from .header import RandomBytes
from .kinds import Kind
from .sizes import (
    ANSWER_NOTE,
    CASE_ID,
    CONTACT_ANSWER,
    HEADER,
    KEY,
    NEARNESS,
    PHONE,
    REPORT_ID,
    SEALED_OVERHEAD,
    TOLD_TAG,
)

ID = 16
SIV_KEY = 64
_LAYOUT = Struct(f"<BH{PHONE}s{NEARNESS}sB{ANSWER_NOTE}sB{HEADER}s")
NEAR_BINS = (55, 63, 73)  # dB: up to which the first three bins go, the nearest first; the last one takes the rest
MINUTES = (0, 5, 15, 30, 60, 120)  # a class of minutes goes up to these, and the last one beyond


class Said(IntFlag):
    """What an answer says."""

    NOTHING = 0
    TEST = 1  # asks for a test
    CALL = 2  # asks for a call
    POSITIVE = 4  # tested positive
    NEGATIVE = 8  # tested negative
    NEARNESS = 16  # hands over how long and how near, over all of the contact's addresses


class OwnLog(IntEnum):
    """What the contact's own sealed log has of the slots in which she was heard: only whether anybody is in it."""

    UNSAID = 0
    SOMEBODY = 1  # in each slot that it covers
    PARTLY = 2  # in some of them
    NOBODY = 3  # in none


@dataclass(frozen=True, slots=True)
class ContactAnswer:
    """What a contact says. `day`: when she wrote it, days since 1970. `nearness`: a class of minutes (0 to 6) for each
    of four bins of attenuation. `first_mix` and `header` (141): the way back, 0 and empty without one."""

    said: Said
    day: int
    number: str = field(default="", repr=False)
    nearness: tuple[int, ...] = field(default=(0,) * NEARNESS, repr=False)
    own_log: OwnLog = field(default=OwnLog.UNSAID, repr=False)
    note: str = field(default="", repr=False)
    first_mix: int = 0
    header: bytes = field(default=b"", repr=False)

    def encode(self, random_bytes: RandomBytes = os.urandom) -> bytes:
        """The 182 bytes. FormatError names what does not fit. `random_bytes` is asked for 141 without a way back."""
        self._check()
        return _LAYOUT.pack(
            self.said,
            self.day,
            phone.encode(self.number),
            bytes(self.nearness),
            self.own_log,
            notification.padded("note", self.note, "utf-8", ANSWER_NOTE, of="an answer"),
            self.first_mix,
            self.header or random_bytes(HEADER),
        )

    def _check(self) -> None:
        if not self.said & (Said.TEST | Said.CALL | Said.POSITIVE | Said.NEGATIVE):
            raise FormatError("an answer asks for a test or a call, or says how a test came out")
        if Said.POSITIVE in self.said and Said.NEGATIVE in self.said:
            raise FormatError("an answer says that a test came out positive or negative, not both")
        if (Said.CALL in self.said) != bool(self.number):
            raise FormatError("an answer that asks for a call holds a telephone number, and no other does")
        if Said.NEARNESS not in self.said and (any(self.nearness) or self.own_log):
            raise FormatError("an answer holds minutes only where it says so")
        if len(self.nearness) != NEARNESS or not all(0 <= each <= len(MINUTES) for each in self.nearness):
            raise FormatError(f"minutes are of {NEARNESS} classes from 0 to {len(MINUTES)}")
        if not 0 <= self.day < 1 << 16:
            raise FormatError("the day of an answer is out of range")
        if not 0 <= self.first_mix <= 255 or len(self.header) != (HEADER if self.first_mix else 0):
            raise FormatError("the way back of an answer has a field of a wrong size")

    @classmethod
    def decode(cls, content: bytes) -> "ContactAnswer":
        """The answer in 182 bytes. FormatError if it is none."""
        if len(content) != CONTACT_ANSWER:
            raise FormatError(f"an answer has {len(content)} bytes instead of {CONTACT_ANSWER}")
        said, day, number, nearness, own_log, note, first_mix, header = _LAYOUT.unpack(content)
        if said >= 2 * max(Said) or own_log > max(OwnLog):
            raise FormatError("an answer says what there is no meaning for")
        found = cls(
            Said(said),
            day,
            phone.decode(number),
            tuple(nearness),
            OwnLog(own_log),
            notification.unpadded("note", note, of="an answer"),
            first_mix,
            header if first_mix else b"",
        )
        found._check()
        return found


@dataclass(frozen=True, slots=True)
class Opened:
    """An answer as the authority has it: what it says, and the key (64) of what is written back."""

    answer: ContactAnswer
    reply_key: bytes = field(repr=False)


def told_tag(case_id: bytes, report_id: bytes) -> bytes:
    """By which the nymserver knows the report of an answer (8): only who was told of it can compute this, besides
    nymserver and authority."""
    if (len(case_id), len(report_id)) != (CASE_ID, REPORT_ID):
        raise FormatError("a case-ID or report-ID has a wrong size")
    return blake2b(digest_size=TOLD_TAG, key=case_id + report_id, person=b"anontrace/2 told").digest()


def seal(
    authority: bytes, tag: bytes, answer: ContactAnswer, random_bytes: RandomBytes = os.urandom
) -> tuple[bytes, bytes]:
    """The payload (239) for the nymserver, and the key (64) of what is written back. `authority`: its key (32) as of
    `words.key_of`. `random_bytes` is asked for a secret (32), then as by `encode`."""
    secret = random_bytes(KEY)
    ephemeral = x25519_base(secret)
    key, reply_key = _keys(x25519(secret, authority), ephemeral, authority)
    sealed = AESSIV(key).encrypt(answer.encode(random_bytes), [tag])
    return kinds.mark(Kind.CONTACT_ANSWER, tag + ephemeral + sealed), reply_key


def split(payload: bytes) -> tuple[bytes, bytes]:
    """What the nymserver sees of a payload (239): the tag (8), and what it passes on (230). FormatError if it is no
    answer."""
    body = kinds.body(Kind.CONTACT_ANSWER, payload)
    return body[:TOLD_TAG], body[TOLD_TAG:]


def identity(sealed: bytes) -> bytes:
    """By which an answer is named (16), from what the nymserver passes on."""
    return blake2b(sealed, digest_size=ID, person=b"anontrace/2 said").digest()


def open(secret: bytes, authority: bytes, tag: bytes, sealed: bytes) -> Opened:
    """What the authority reads, by its secret (32, `words.secret_of`), in what the nymserver passed on (230).

    AuthenticationError if it was not sealed to this authority for this report, FormatError if it makes no sense.
    """
    if len(sealed) != CONTACT_ANSWER + SEALED_OVERHEAD:
        raise FormatError("a sealed answer has a wrong size")
    ephemeral = sealed[:KEY]
    try:
        key, reply_key = _keys(x25519(secret, ephemeral), ephemeral, authority)
        content = AESSIV(key).decrypt(sealed[KEY:], [tag])
    except (InvalidTag, ValueError):  # the latter: a key of low order
        raise AuthenticationError("this answer is not for this authority and report, or was altered") from None
    return Opened(ContactAnswer.decode(content), reply_key)


def minutes_class(minutes: float) -> int:
    """The class (0 to 6) of so many minutes."""
    return sum(minutes > limit for limit in MINUTES)


def _keys(shared: bytes, ephemeral: bytes, authority: bytes) -> tuple[bytes, bytes]:
    seed = blake2b(ephemeral + authority, digest_size=KEY, key=shared, person=b"anontrace/2 answ").digest()
    keys = stream.expand(seed, 2 * SIV_KEY)
    return keys[:SIV_KEY], keys[SIV_KEY:]
