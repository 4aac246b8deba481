"""What a contact is told, sealed to the message key of a SURB (docs/protocol.md section 7).

A notification, a retraction and a client's dummy are of one size and look alike to everybody but the maker of the SURB.
"""

import os
import unicodedata
from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import blake2b
from struct import Struct

from anontrace_primitives import x25519_base
from anontrace_shared import hpke
from anontrace_shared.errors import FormatError

from . import lioness
from .header import RandomBytes
from .sizes import CASE_ID, CHAIN_TOKEN, DISEASE, KEY, MOST_PARTS, NOTE, NOTIFICATION, REPORT_ID
from .surb import SurbSecrets

INFO = b"anontrace/1 notification"
_UNSEEN = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))  # categories of characters that move a cursor, or do not show


class Kind(IntEnum):
    """What a notification is."""

    DUMMY = 0
    NOTIFICATION = 1
    RETRACTION = 2


_LAYOUT = Struct(f"<B{CASE_ID}s{REPORT_ID}s{CHAIN_TOKEN}s{DISEASE}sBBH{NOTE}s")
_OF_PLACE = 3  # a notification whose log was recorded by a place


@dataclass(frozen=True, slots=True)
class Notification:
    """The content of a notification (191). A dummy has only its kind; the rest of it is random and not looked at."""

    kind: Kind
    case_id: bytes = field(default=bytes(CASE_ID), repr=False)
    report_id: bytes = field(default=bytes(REPORT_ID), repr=False)
    chain_token: bytes = field(default=bytes(CHAIN_TOKEN), repr=False)
    disease: str = ""
    present: int = 0  # thirds of a minute in this slot
    attenuation: int = 0  # dB
    rule_minutes: int = 0
    message: str = ""
    of_place: bool = False  # a notification alone: the log in which its contact was found is a place's
    words: bytes = field(default=b"", repr=False)  # 58: the message as it travels (words.py), or a part (parts.py)

    def encode(self, random_bytes: RandomBytes = os.urandom) -> bytes:
        """The 191 bytes. FormatError names the field that does not fit."""
        if self.kind is Kind.DUMMY:
            return bytes((Kind.DUMMY,)) + random_bytes(NOTIFICATION - 1)
        return b"".join(
            (
                bytes((_OF_PLACE if self._is_of_place() else self.kind,)),
                _exactly("case-ID", self.case_id, CASE_ID),
                _exactly("report-ID", self.report_id, REPORT_ID),
                _exactly("chain token", self.chain_token, CHAIN_TOKEN),
                padded("disease code", self.disease, "ascii", DISEASE),
                _number("present", self.present, 1),
                _number("attenuation", self.attenuation, 1),
                _number("rule", self.rule_minutes, 2),
                _exactly("message", self.words, NOTE) if self.words else padded("message", self.message, "utf-8", NOTE),
            )
        )

    def _is_of_place(self) -> bool:
        if self.of_place and self.kind is not Kind.NOTIFICATION:
            raise FormatError("only a notification can be of a place")
        return self.of_place

    @classmethod
    def decode(cls, content: bytes, kept: bool = False) -> "Notification":
        """The notification in 191 bytes, as it travels: its words are sealed. FormatError if it is none.

        `kept`: as a companion keeps it, with the message open, or with a part of it in `words`. One that was taken
        before it had to be plain is made so.
        """
        if len(content) != NOTIFICATION:
            raise FormatError(f"a notification has {len(content)} bytes instead of {NOTIFICATION}")
        try:
            of_place = content[0] == _OF_PLACE
            kind = Kind.NOTIFICATION if of_place else Kind(content[0])
        except ValueError:
            raise FormatError(f"there is no notification of kind {content[0]}") from None
        if kind is Kind.DUMMY:
            return cls(kind)
        _, case_id, report_id, chain_token, disease, present, attenuation, rule_minutes, message = _LAYOUT.unpack(
            content
        )
        is_open = kept and not 2 <= message[0] <= MOST_PARTS
        return cls(
            kind,
            case_id,
            report_id,
            chain_token,
            _text("disease code", disease, "ascii", kept),
            present,
            attenuation,
            rule_minutes,
            _text("message", message, "utf-8", kept) if is_open else "",
            of_place,
            b"" if is_open else message,
        )


def seal(
    message_key: bytes,
    notification: Notification,
    random_bytes: RandomBytes = os.urandom,
    ephemeral: bytes | None = None,
) -> bytes:
    """The payload (239) that only the maker of the SURB with this message key opens. `ephemeral`: for vectors only."""
    sender = hpke.Sender(message_key, INFO, ephemeral)
    sealed = sender.seal(notification.encode(random_bytes))
    sender.wipe()
    return lioness.encrypt(_mask(message_key), sender.enc + sealed)


def open(secrets: SurbSecrets, payload: bytes) -> Notification:
    """The notification in a payload (239) as the mailbox had it.

    AuthenticationError if it is not for this SURB or was altered on the way, FormatError if what was sealed makes no
    sense.
    """
    sealed = lioness.decrypt(_mask(x25519_base(secrets.message_secret)), secrets.undo(payload))
    recipient = hpke.Recipient(secrets.message_secret, sealed[: hpke.ENC], INFO)
    try:
        return Notification.decode(recipient.open(sealed[hpke.ENC :]))
    finally:
        recipient.wipe()


def _mask(message_key: bytes) -> bytes:
    """LIONESS keys that make the sealed bytes look random: an X25519 public key in front does not."""
    return lioness.keys_from(blake2b(digest_size=KEY, key=message_key, person=b"anontrace/1 note").digest())


def _exactly(name: str, value: bytes, size: int) -> bytes:
    if len(value) != size:
        raise FormatError(f"the {name} of a notification has {len(value)} bytes instead of {size}")
    return value


def _number(name: str, value: int, size: int) -> bytes:
    if not 0 <= value < 1 << 8 * size:
        raise FormatError(f"the {name} of a notification is from 0 to {(1 << 8 * size) - 1}, not {value}")
    return value.to_bytes(size, "little")


def padded(name: str, text: str, encoding: str, size: int, of: str = "a notification") -> bytes:
    """A text, encoded, with zeros up to a size. FormatError if it does not fit, or holds what does not show. `of`: what
    the text is a part of."""
    try:
        data = text.encode(encoding)
    except UnicodeEncodeError:
        raise FormatError(f"the {name} of {of} is not {encoding.upper()}") from None
    if len(data) > size:
        raise FormatError(f"the {name} of {of} takes at most {size} bytes")
    _check_words(name, text, of)
    return data.ljust(size, b"\0")


def _check_words(name: str, text: str, of: str) -> None:
    """FormatError for what could change the terminal, or the words around it, where it is shown."""
    if any(unicodedata.category(each) in _UNSEEN for each in text):
        raise FormatError(f"the {name} of {of} holds a control or invisible character")


def unpadded(name: str, data: bytes, of: str = "a notification") -> str:
    """The text in UTF-8 that `padded` has filled up. FormatError if it cannot be that."""
    return _text(name, data, "utf-8", False, of)


def _text(name: str, data: bytes, encoding: str, kept: bool, of: str = "a notification") -> str:
    stripped = data.rstrip(b"\0")
    if b"\0" in stripped:
        raise FormatError(f"the {name} of {of} has a zero byte inside")
    try:
        text = stripped.decode(encoding)
    except UnicodeDecodeError:
        raise FormatError(f"the {name} of {of} is not {encoding.upper()}") from None
    if kept:
        return "".join("?" if unicodedata.category(each) in _UNSEEN else each for each in text)
    _check_words(name, text, of)
    return text
