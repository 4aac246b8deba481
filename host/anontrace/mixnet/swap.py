"""The swap: what a client has the nymserver store under a key, and what both compute over it.

docs/protocol.md section 7. Pure; the nymserver compares and stores.
"""

from dataclasses import dataclass, field
from hashlib import sha256

from anontrace_shared.errors import FormatError

from .sizes import AUTHENTICATION, BLOB, NYM_KEY, PAYLOAD

NEW = bytes(AUTHENTICATION)  # the authentication for a key that is not stored yet
FINGERPRINT = 8
MOST_BUCKET_BITS = 32


@dataclass(frozen=True, slots=True)
class Swap:
    """Store `blob` (174) under `key` (32) if `authentication` (32) names what is stored there; NEW: nothing."""

    key: bytes = field(repr=False)
    authentication: bytes = field(repr=False)
    blob: bytes = field(repr=False)

    def encode(self) -> bytes:
        """The payload (239)."""
        if (len(self.key), len(self.authentication), len(self.blob)) != (NYM_KEY, AUTHENTICATION, BLOB):
            raise FormatError("a swap has a field of a wrong size")
        return self.key + self.authentication + self.blob + b"\x00"

    @classmethod
    def decode(cls, payload: bytes) -> "Swap":
        """The swap in a payload (239). FormatError if it is not one."""
        if len(payload) != PAYLOAD:
            raise FormatError(f"a payload has {len(payload)} bytes instead of {PAYLOAD}")
        if payload[-1] != 0:
            raise FormatError("not a swap: its last byte is not zero")
        at = NYM_KEY + AUTHENTICATION
        return cls(payload[:NYM_KEY], payload[NYM_KEY:at], payload[at:-1])


def authentication(blob: bytes) -> bytes:
    """What a swap must show (32) to replace this stored blob."""
    return sha256(b"anontrace/1 swap" + blob).digest()


def fingerprint(key: bytes, blob: bytes) -> bytes:
    """The 8 bytes by which a client recognises in a bucket that its swap is stored."""
    return sha256(b"anontrace/1 fingerprint" + key + blob).digest()[:FINGERPRINT]


def bucket_index(key: bytes, bits: int) -> int:
    """The bucket of a nym key (32) at a nymserver with 2**bits buckets."""
    if len(key) != NYM_KEY or not 0 <= bits <= MOST_BUCKET_BITS:
        raise FormatError(f"a bucket is found by a nym key of {NYM_KEY} bytes and at most {MOST_BUCKET_BITS} bits")
    return int.from_bytes(key[:4], "big") >> (32 - bits)
