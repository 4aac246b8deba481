"""Slots and days: the only place that knows how long a slot is (docs/protocol.md, section 1).

Takes the time as an argument; never reads a clock.
"""

from .errors import FormatError

SLOT_SECONDS = 300
SLOTS_PER_DAY = 288
SLOT_LIMIT = 1 << 32  # exclusive: a slot is 4 bytes on the wire


def slot_of(unix_seconds: float) -> int:
    """The slot in which this moment lies. The badge passes whole seconds: its floats have 24 bits."""
    return int(unix_seconds // SLOT_SECONDS)


def slot_start(slot: int) -> int:
    """The first unix second of a slot."""
    return slot * SLOT_SECONDS


def day_of(slot: int) -> int:
    """The day (UTC, counted from 1970) to which a slot belongs."""
    return slot // SLOTS_PER_DAY


def slot_bytes(slot: int) -> bytes:
    """The 4 bytes of a slot as hashed and sent; FormatError if it does not fit."""
    if not 0 <= slot < SLOT_LIMIT:
        raise FormatError("a slot must be at least 0 and fit 4 bytes")
    return slot.to_bytes(4, "little")
