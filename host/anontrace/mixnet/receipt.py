"""The receipt: a question to the nymserver with the way by which its answer comes (docs/protocol.md section 7).

Whoever asks knows beforehand how each answer about a nym key looks in the mailbox, and to everybody else all are random
bytes. An answer tells nothing that the question does not show knowledge of: of a nym only whether it is the one named,
of an upload only to who knows its ID. One question brings one answer at most.
"""

import os
from dataclasses import dataclass, field
from enum import IntEnum

from anontrace_shared.errors import AuthenticationError, FormatError
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from . import contact_answer, kinds, surb
from .header import RandomBytes
from .kinds import Kind
from .packet import check_payload
from .sizes import (
    ANSWER,
    FINGERPRINT,
    FRAGMENT_NUMBER,
    KEY,
    NYM_KEY,
    QUESTION,
    RECEIPT_PADDING,
    SUBJECT,
    SURB,
    TOLD_TAG,
    UPLOAD_ID,
)
from .surb import Surb, SurbSecrets

_ABOUT_NYM, _ABOUT_UPLOAD, _ABOUT_CONTACT_ANSWER = 0, 1, 2
_NONCE = bytes(12)  # each key has one use
_COUNT = 2
_RANGES_AT = 1 + 1 + _COUNT
_RANGE = 2 * FRAGMENT_NUMBER
MAX_RANGES = (ANSWER - _RANGES_AT) // _RANGE


@dataclass(frozen=True, slots=True)
class NymQuestion:
    """Is the blob with this fingerprint (8, `swap.fingerprint`) stored under this nym key (32)?"""

    key: bytes = field(repr=False)
    fingerprint: bytes = field(repr=False)

    def encode(self) -> bytes:
        """41 bytes: the subject, and 40."""
        if (len(self.key), len(self.fingerprint)) != (NYM_KEY, FINGERPRINT):
            raise FormatError(f"a nym is asked for by a key of {NYM_KEY} bytes and a fingerprint of {FINGERPRINT}")
        return bytes((_ABOUT_NYM,)) + self.key + self.fingerprint


@dataclass(frozen=True, slots=True)
class UploadQuestion:
    """How does the upload with this ID (16) stand, and which fragments from number `first` on are missing?"""

    upload_id: bytes = field(repr=False)
    first: int = 0

    def encode(self) -> bytes:
        """41 bytes: the subject, and 40."""
        if len(self.upload_id) != UPLOAD_ID:
            raise FormatError(f"an upload-ID has {len(self.upload_id)} bytes instead of {UPLOAD_ID}")
        return (bytes((_ABOUT_UPLOAD,)) + self.upload_id + _number(self.first)).ljust(SUBJECT + QUESTION, b"\0")


@dataclass(frozen=True, slots=True)
class ContactAnswerQuestion:
    """Is the contact's answer with this tag (8) and identity (16, `contact_answer.identity`) kept?"""

    tag: bytes = field(repr=False)
    identity: bytes = field(repr=False)

    def encode(self) -> bytes:
        """41 bytes: the subject, and 40."""
        if (len(self.tag), len(self.identity)) != (TOLD_TAG, contact_answer.ID):
            raise FormatError("a contact's answer is asked for by a tag of 8 bytes and an identity of 16")
        return (bytes((_ABOUT_CONTACT_ANSWER,)) + self.tag + self.identity).ljust(SUBJECT + QUESTION, b"\0")


Question = NymQuestion | UploadQuestion | ContactAnswerQuestion


@dataclass(frozen=True, slots=True)
class Receipt:
    """A question, and the reply block (174, `surb.make_reply`) for its answer."""

    question: Question
    reply: bytes = field(repr=False)

    def encode(self, random_bytes: RandomBytes = os.urandom) -> bytes:
        """The payload (239). `random_bytes` is asked for 23."""
        if len(self.reply) != SURB:
            raise FormatError(f"a reply block has {len(self.reply)} bytes instead of {SURB}")
        return kinds.mark(Kind.RECEIPT, self.question.encode() + self.reply + random_bytes(RECEIPT_PADDING))

    @classmethod
    def decode(cls, payload: bytes) -> "Receipt":
        """The receipt in a payload (239). FormatError if it is none."""
        body = kinds.body(Kind.RECEIPT, payload)
        subject, asked = body[0], body[SUBJECT : SUBJECT + QUESTION]
        question: Question
        if subject == _ABOUT_NYM:
            question = NymQuestion(asked[:NYM_KEY], asked[NYM_KEY:])
        elif subject == _ABOUT_UPLOAD:
            at = UPLOAD_ID + FRAGMENT_NUMBER
            if any(asked[at:]):
                raise FormatError("a receipt for an upload has zeros behind the number of a fragment")
            question = UploadQuestion(asked[:UPLOAD_ID], int.from_bytes(asked[UPLOAD_ID:at], "little"))
        elif subject == _ABOUT_CONTACT_ANSWER:
            at = TOLD_TAG + contact_answer.ID
            if any(asked[at:]):
                raise FormatError("a receipt for a contact's answer has zeros behind its identity")
            question = ContactAnswerQuestion(asked[:TOLD_TAG], asked[TOLD_TAG:at])
        else:
            raise FormatError(f"a receipt asks for a nym key, an upload or an answer, 0 to 2, not {subject}")
        reply = body[SUBJECT + QUESTION : SUBJECT + QUESTION + SURB]
        surb.parse(reply)
        return cls(question, reply)

    def parsed(self) -> Surb:
        """The reply block taken apart."""
        return surb.parse(self.reply)


@dataclass(frozen=True, slots=True)
class NymAnswer:
    """Whether the nymserver holds the blob that was asked for (not, if it holds another under this key, or none), or
    the contact's answer."""

    held: bool

    def encode(self) -> bytes:
        """223 bytes."""
        return bytes((self.held,)).ljust(ANSWER, b"\0")

    @classmethod
    def decode(cls, content: bytes) -> "NymAnswer":
        """The reverse of `encode`; FormatError if it cannot be that."""
        if len(content) != ANSWER or content[0] > 1 or any(content[1:]):
            raise FormatError("there is no such answer about a nym key")
        return cls(bool(content[0]))


class UploadState(IntEnum):
    """How an upload in fragments stands."""

    UNKNOWN = 0  # its opening has not come
    RECEIVING = 1
    ACCEPTED = 2
    REFUSED = 3


@dataclass(frozen=True, slots=True)
class UploadAnswer:
    """How an upload stands, why it was refused (0 unless it was; `wire.upload.Reason`), and the first ranges of missing
    fragments (first one, how many) from the one asked about on: all of them, if there are less than MAX_RANGES."""

    state: UploadState
    reason: int = 0
    missing: tuple[tuple[int, int], ...] = ()

    def encode(self) -> bytes:
        """223 bytes."""
        if len(self.missing) > MAX_RANGES:
            raise FormatError(f"an answer about an upload has room for {MAX_RANGES} ranges, not {len(self.missing)}")
        ranges = b"".join(_number(first) + _number(count) for first, count in self.missing)
        head = bytes((self.state, self.reason)) + len(self.missing).to_bytes(_COUNT, "little")
        return (head + ranges).ljust(ANSWER, b"\0")

    @classmethod
    def decode(cls, content: bytes) -> "UploadAnswer":
        """The reverse of `encode`; FormatError if it cannot be that. The ranges rise and do not touch."""
        if len(content) != ANSWER or content[0] > max(UploadState):
            raise FormatError("there is no such answer about an upload")
        state, reason = UploadState(content[0]), content[1]
        count = int.from_bytes(content[2:_RANGES_AT], "little")
        end = _RANGES_AT + count * _RANGE
        if count > MAX_RANGES or any(content[end:]) or (count and state is not UploadState.RECEIVING):
            raise FormatError("an answer about an upload names missing fragments that cannot be")
        if (state is UploadState.REFUSED) != bool(reason):
            raise FormatError("an answer about an upload gives a reason if it was refused, and only then")
        numbers = [
            int.from_bytes(content[at : at + FRAGMENT_NUMBER], "little")
            for at in range(_RANGES_AT, end, FRAGMENT_NUMBER)
        ]
        missing = tuple(zip(numbers[::2], numbers[1::2], strict=True))
        before = -1
        for first, number in missing:
            if first <= before or not number:
                raise FormatError("an answer about an upload names missing fragments that cannot be")
            before = first + number
        return cls(state, reason, missing)


Answer = NymAnswer | UploadAnswer


def seal(key: bytes, answer: Answer) -> bytes:
    """The payload (239) that goes out by a reply block with this key (32). The same for the same answer."""
    if len(key) != KEY:
        raise FormatError(f"the key of a reply block has {len(key)} bytes instead of {KEY}")
    return ChaCha20Poly1305(key).encrypt(_NONCE, answer.encode(), None)


def expected(secrets: SurbSecrets, answer: Answer) -> bytes:
    """What arrives in the mailbox (239) if this is the answer."""
    return secrets.arrives(seal(secrets.message_secret, answer))


def open(secrets: SurbSecrets, payload: bytes) -> bytes:
    """The content (223) of an answer that arrived in the mailbox, for `decode` of what was asked about.

    AuthenticationError if it does not belong to this reply block, or was altered on the way.
    """
    check_payload(payload)
    try:
        return ChaCha20Poly1305(secrets.message_secret).decrypt(_NONCE, secrets.undo(payload), None)
    except InvalidTag:
        raise AuthenticationError("this answer is not for this receipt, or was altered") from None


def _number(value: int) -> bytes:
    if not 0 <= value < 1 << 8 * FRAGMENT_NUMBER:
        raise FormatError(f"fragments are numbered 0 to {(1 << 8 * FRAGMENT_NUMBER) - 1}, not {value}")
    return value.to_bytes(FRAGMENT_NUMBER, "little")
