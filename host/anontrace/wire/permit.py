"""The permit: the health authority's permission to upload this log in this case (docs/protocol.md section 8).

Bound to the hash of one log, so that a sold permit is of no use with another. Whether it is spent is for the nymserver
to know.
"""

from dataclasses import dataclass, field

from anontrace_shared.errors import AuthenticationError, FormatError
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from anontrace.mixnet.sizes import CASE_ID as CASE_ID
from anontrace.mixnet.sizes import DISEASE

PERMIT = 129
LOG_HASH = 32
_SIGNED = 65
_VERSION = 1
_LABEL = b"anontrace/1 permit"
_TIME_LIMIT = 1 << 32


@dataclass(frozen=True, slots=True)
class Permit:
    """A case (16), its disease code (1 to 8 ASCII characters), the log's SHA-256 (32), and unix times."""

    case_id: bytes = field(repr=False)
    disease: str
    log_hash: bytes = field(repr=False)
    issued: int
    expires: int

    def sign(self, signing_key: bytes) -> bytes:
        """The permit (129), signed with the authority's Ed25519 seed (32). FormatError if a field does not fit."""
        if (len(self.case_id), len(self.log_hash)) != (CASE_ID, LOG_HASH):
            raise FormatError(f"a permit names a case-ID of {CASE_ID} bytes and a log hash of {LOG_HASH}")
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
            )
        )
        return data + SigningKey(signing_key).sign(_LABEL + data).signature

    def is_live(self, unix_seconds: float) -> bool:
        """Whether it can be used at this time."""
        return unix_seconds < self.expires


def case_of(data: bytes) -> bytes:
    """The case-ID (16) of a permit (129) that was made here and has not to be verified."""
    return data[1 : 1 + CASE_ID]


def verify(data: bytes, verify_key: bytes) -> Permit:
    """What a permit (129) says. FormatError if it is none, AuthenticationError if the authority did not sign it.

    Does not look at its times.
    """
    if len(data) != PERMIT:
        raise FormatError(f"a permit has {len(data)} bytes instead of {PERMIT}")
    if data[0] != _VERSION:
        raise FormatError(f"there is no permit of version {data[0]}")
    try:
        VerifyKey(verify_key).verify(_LABEL + data[:_SIGNED], data[_SIGNED:])
    except BadSignatureError:
        raise AuthenticationError("this permit is not signed by the health authority") from None
    at = 1 + CASE_ID
    disease, rest = data[at : at + DISEASE], data[at + DISEASE : _SIGNED]
    return Permit(
        data[1:at],
        disease_text(disease),
        rest[:LOG_HASH],
        int.from_bytes(rest[LOG_HASH : LOG_HASH + 4], "little"),
        int.from_bytes(rest[LOG_HASH + 4 :], "little"),
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
