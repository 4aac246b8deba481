"""The swap: what a client has the nymserver store under a key, and what both compute over it.

docs/protocol.md section 7. Pure; the nymserver compares and stores.
"""

from dataclasses import dataclass, field
from hashlib import sha256

from anontrace_shared.errors import FormatError

from . import kinds
from .kinds import Kind
from .sizes import AUTHENTICATION, BLOB, NYM_KEY
from .sizes import FINGERPRINT as FINGERPRINT

NEW = bytes(AUTHENTICATION)  # the authentication for a key that is not stored yet


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
        return kinds.mark(Kind.SWAP, self.key + self.authentication + self.blob)

    @classmethod
    def decode(cls, payload: bytes) -> "Swap":
        """The swap in a payload (239). FormatError if it is not one."""
        body = kinds.body(Kind.SWAP, payload)
        at = NYM_KEY + AUTHENTICATION
        return cls(body[:NYM_KEY], body[NYM_KEY:at], body[at:])


def authentication(blob: bytes) -> bytes:
    """What a swap must show (32) to replace this stored blob."""
    return sha256(b"anontrace/1 swap" + blob).digest()


def fingerprint(key: bytes, blob: bytes) -> bytes:
    """The 8 bytes by which a stored blob is asked for."""
    return sha256(b"anontrace/1 fingerprint" + key + blob).digest()[:FINGERPRINT]
