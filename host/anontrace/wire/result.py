"""What became of a test: asked of the health authority with its token, answered in one size whatever the answer is
(docs/protocol.md section 8).

Everybody who is tested gets a token and asks alike. Who has none asks too, with nothing, and is answered as if there
were no result yet.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import sha256

from anontrace_shared.errors import AuthenticationError, FormatError
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from anontrace.mixnet.sizes import DISEASE

from . import commitment, permit

TOKEN_HASH = 32
NO_TOKEN = bytes(TOKEN_HASH)
NO_LOG = bytes(permit.LOG_HASH)
QUESTION = TOKEN_HASH + permit.LOG_HASH
ANSWER = 160
STATEMENT = 93
_SERIAL = 16
_VERSION = 1
_SIGNED = 1 + _SERIAL + DISEASE + 4
_LABEL = b"anontrace/2 statement"


@dataclass(frozen=True, slots=True)
class Question:
    """The hash of a token (32), or nothing; and that of the log (32) for which a permit is wanted, or nothing."""

    token_hash: bytes = field(repr=False)
    log_hash: bytes = field(default=NO_LOG, repr=False)

    def encode(self) -> bytes:
        """64 bytes."""
        if (len(self.token_hash), len(self.log_hash)) != (TOKEN_HASH, permit.LOG_HASH):
            raise FormatError("a question for a result holds two hashes of 32 bytes")
        return self.token_hash + self.log_hash

    @classmethod
    def parse(cls, body: bytes) -> "Question":
        """The question in 64 bytes. FormatError if it is none."""
        if len(body) != QUESTION:
            raise FormatError(f"a question for a result has {QUESTION} bytes, this has {len(body)}")
        return cls(body[:TOKEN_HASH], body[TOKEN_HASH:])


class State(IntEnum):
    """How a test stands, and what the answer holds beside it."""

    NOT_YET = 0  # nothing
    NEGATIVE = 1  # a statement (93)
    POSITIVE = 2  # disease (8), the code that was entered with the test (10; zero: none): no log was named
    PERMIT = 3  # for the log that was named
    REFUSED = 4  # a reason (1)


class Reason(IntEnum):
    """Why there is nothing for a token."""

    UNKNOWN = 1
    EXPIRED = 2
    WITHDRAWN = 3
    ANOTHER_LOG = 4


@dataclass(frozen=True, slots=True)
class Answer:
    """How a test stands. Of the other fields that one is filled which goes with the state."""

    state: State
    statement: bytes = field(default=b"", repr=False)
    disease: str = ""
    commitment: bytes = field(default=commitment.NONE, repr=False)
    permit: bytes = field(default=b"", repr=False)
    reason: Reason | None = None

    def encode(self) -> bytes:
        """160 bytes."""
        content = b""
        if self.state is State.NEGATIVE:
            content = self.statement
        elif self.state is State.POSITIVE:
            content = permit.disease_bytes(self.disease) + self.commitment
        elif self.state is State.PERMIT:
            content = self.permit
        elif self.reason is not None:
            content = bytes((self.reason,))
        return (bytes((self.state,)) + content).ljust(ANSWER, b"\0")

    @classmethod
    def parse(cls, body: bytes) -> "Answer":
        """The answer in 160 bytes. FormatError if it is none. Verifies no signature."""
        if len(body) != ANSWER:
            raise FormatError(f"an answer with a result has {ANSWER} bytes, this has {len(body)}")
        try:
            state = State(body[0])
            reason = Reason(body[1]) if state is State.REFUSED else None
        except ValueError:
            raise FormatError("there is no such result, or no such reason") from None
        end = 1 + DISEASE + commitment.CODE
        if state is State.NEGATIVE:
            made = cls(state, statement=body[1 : 1 + STATEMENT])
        elif state is State.POSITIVE:
            made = cls(state, disease=permit.disease_text(body[1 : 1 + DISEASE]), commitment=body[1 + DISEASE : end])
        elif state is State.PERMIT:
            made = cls(state, permit=body[1 : 1 + permit.size_of(body[1:])])
        else:
            made = cls(state, reason=reason)
        if made.encode() != body:
            raise FormatError("an answer with a result holds more than it should")
        return made


@dataclass(frozen=True, slots=True)
class Statement:
    """That a test for a disease, taken on a day (number since 1970), was negative. The serial (16) is made from the
    test's token: who has the slip can show that it is theirs, and it names nobody."""

    serial: bytes
    disease: str
    day: int

    def sign(self, signing_key: bytes) -> bytes:
        """The statement (93), signed with the authority's Ed25519 seed (32)."""
        if len(self.serial) != _SERIAL:
            raise FormatError(f"the serial of a statement has {_SERIAL} bytes")
        data = bytes((_VERSION,)) + self.serial + permit.disease_bytes(self.disease) + self.day.to_bytes(4, "little")
        return data + SigningKey(signing_key).sign(_LABEL + data).signature


def serial(token_hash: bytes) -> bytes:
    """Of the statement on the test with this token (32)."""
    return sha256(_LABEL + token_hash).digest()[:_SERIAL]


def parse(data: bytes) -> Statement:
    """What a statement (93) says, whoever signed it. FormatError if it is none."""
    if len(data) != STATEMENT:
        raise FormatError(f"a statement has {STATEMENT} bytes, this has {len(data)}")
    if data[0] != _VERSION:
        raise FormatError(f"there is no statement of version {data[0]}")
    at = 1 + _SERIAL
    disease, day = data[at : at + DISEASE], data[at + DISEASE : _SIGNED]
    return Statement(data[1:at], permit.disease_text(disease), int.from_bytes(day, "little"))


def verify(data: bytes, verify_key: bytes) -> Statement:
    """What a statement (93) says. FormatError if it is none, AuthenticationError if the authority did not sign it."""
    found = parse(data)
    try:
        VerifyKey(verify_key).verify(_LABEL + data[:_SIGNED], data[_SIGNED:])
    except BadSignatureError:
        raise AuthenticationError("this statement is not signed by the health authority") from None
    return found
