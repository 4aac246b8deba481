"""The fragment: a piece of an upload that travels as an ordinary message (docs/protocol.md section 7).

Never knows what an upload holds: the opening, number 0, and the log behind it are cut and put together elsewhere.
"""

from dataclasses import dataclass, field

from anontrace_shared.errors import FormatError

from . import kinds
from .kinds import Kind
from .sizes import FRAGMENT_DATA, FRAGMENT_NUMBER, UPLOAD_ID

OPENING = 0
_MAX_NUMBER = (1 << 8 * FRAGMENT_NUMBER) - 1


@dataclass(frozen=True, slots=True)
class Fragment:
    """Piece `number` of an upload (ID: 16 bytes): 218 bytes, the last one and the opening filled up with zeros."""

    upload_id: bytes = field(repr=False)
    number: int
    data: bytes = field(repr=False)

    def encode(self) -> bytes:
        """The payload (239)."""
        if (len(self.upload_id), len(self.data)) != (UPLOAD_ID, FRAGMENT_DATA):
            raise FormatError("a fragment has a field of a wrong size")
        if not OPENING <= self.number <= _MAX_NUMBER:
            raise FormatError(f"fragments are numbered {OPENING} to {_MAX_NUMBER}, not {self.number}")
        return kinds.mark(Kind.FRAGMENT, self.upload_id + self.number.to_bytes(FRAGMENT_NUMBER, "little") + self.data)

    @classmethod
    def decode(cls, payload: bytes) -> "Fragment":
        """The fragment in a payload (239). FormatError if it is none."""
        body = kinds.body(Kind.FRAGMENT, payload)
        at = UPLOAD_ID + FRAGMENT_NUMBER
        return cls(body[:UPLOAD_ID], int.from_bytes(body[UPLOAD_ID:at], "little"), body[at:])


def count(log_length: int) -> int:
    """How many fragments follow the opening of a log of so many bytes: numbers 1 to this."""
    return -(-log_length // FRAGMENT_DATA)
