"""The permit: the health authority's permission to upload this log in this case (docs/protocol.md section 8).

Bound to the hash of one log, so that a sold permit is of no use with another; and to the log that was committed at the
test, if one was (commitment.py). Whether it is spent is for the nymserver to know.
"""

from dataclasses import dataclass, field

from anontrace_shared.errors import AuthenticationError, FormatError
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from anontrace.mixnet.sizes import CASE_ID as CASE_ID
from anontrace.mixnet.sizes import DISEASE

from . import commitment

PERMIT = 139
LOG_HASH = 32
_SIGNATURE = 64
_VERSION = 2
_SIZES = {1: 129, _VERSION: PERMIT}  # by version; one of version 1 names no commitment, and counts while it lives
_LABELS = {1: b"anontrace/1 permit", _VERSION: b"anontrace/2 permit"}
_TIME_LIMIT = 1 << 32


@dataclass(frozen=True, slots=True)
class Permit:
    """A case (16), its disease code (1 to 8 ASCII characters), the log's SHA-256 (32), unix times, and the code (10) of
    the log that was committed at the test, all zero if none was."""

    case_id: bytes = field(repr=False)
    disease: str
    log_hash: bytes = field(repr=False)
    issued: int
    expires: int
    commitment: bytes = field(default=commitment.NONE, repr=False)

    def sign(self, signing_key: bytes) -> bytes:
        """The permit (139), signed with the authority's Ed25519 seed (32). FormatError if a field does not fit."""
        if (len(self.case_id), len(self.log_hash), len(self.commitment)) != (CASE_ID, LOG_HASH, commitment.CODE):
            raise FormatError(f"a permit names a case-ID of {CASE_ID} bytes, a log hash of {LOG_HASH} and a code of 10")
        if not 0 <= self.issued < self.expires < _TIME_LIMIT:
            raise FormatError("a permit expires later than it is issued, both as unix times of 4 bytes")
        data = b"".join(
            (
                bytes((_VERSION,)),
                self.case_id,
                disease_bytes(self.disease),
                self.log_hash,
                self.issued.to_bytes(4, "little"),
                self.expires.to_bytes(4, "little"),
                self.commitment,
            )
        )
        return data + SigningKey(signing_key).sign(_LABELS[_VERSION] + data).signature

    def is_live(self, unix_seconds: float) -> bool:
        """Whether it can be used at this time."""
        return unix_seconds < self.expires


def size_of(data: bytes) -> int:
    """How many bytes the permit has that begins so: 139, or 129 of an authority up to 0.2. FormatError if none does."""
    if not data or data[0] not in _SIZES:
        raise FormatError("there is no permit of this version")
    return _SIZES[data[0]]


def case_of(data: bytes) -> bytes:
    """The case-ID (16) of a permit that was made here and has not to be verified."""
    return data[1 : 1 + CASE_ID]


def verify(data: bytes, verify_key: bytes) -> Permit:
    """What a permit (139 or 129) says. FormatError if it is none, AuthenticationError if the authority did not sign it.

    Does not look at its times.
    """
    size = size_of(data)
    if len(data) != size:
        raise FormatError(f"a permit has {len(data)} bytes instead of {size}")
    signed, signature = data[:-_SIGNATURE], data[-_SIGNATURE:]
    try:
        VerifyKey(verify_key).verify(_LABELS[data[0]] + signed, signature)
    except BadSignatureError:
        raise AuthenticationError("this permit is not signed by the health authority") from None
    at = 1 + CASE_ID
    disease, rest = signed[at : at + DISEASE], signed[at + DISEASE :]
    end = LOG_HASH + 8
    return Permit(
        signed[1:at],
        disease_text(disease),
        rest[:LOG_HASH],
        int.from_bytes(rest[LOG_HASH : LOG_HASH + 4], "little"),
        int.from_bytes(rest[LOG_HASH + 4 : end], "little"),
        rest[end:] or commitment.NONE,
    )


def disease_bytes(disease: str) -> bytes:
    """A disease code as 8 bytes, zero-padded. FormatError unless it is 1 to 8 printable ASCII characters."""
    if not 1 <= len(disease) <= DISEASE or not disease.isascii() or not disease.isprintable():
        raise FormatError(f"a disease code is 1 to {DISEASE} printable ASCII characters")
    return disease.encode().ljust(DISEASE, b"\0")


def disease_text(data: bytes) -> str:
    """The disease code in 8 bytes. FormatError if it is none."""
    text = data.rstrip(b"\0").decode("latin-1")
    if disease_bytes(text) != data:
        raise FormatError("these bytes are not a disease code")
    return text
