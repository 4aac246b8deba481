"""The requests that give a badge its keys or addresses, as it reads them (docs/protocol.md, section 4).

Apart from `badge_commands`, since hardly a session needs them.
"""

import struct

from .badge_commands import LIST, PROVISION, RATCHET, unpack
from .errors import FormatError
from .slots import SLOT_LIMIT

try:
    from typing import Any
except ImportError:  # MicroPython, which does not evaluate annotations
    pass

MAX_ADDRESSES = 46  # in one request
ADDRESS = 20

PROVISION_LAYOUT = "<B32sI"
PROVISION_DAY_LAYOUT = "<I32s"
ADDRESSES_LAYOUT = "<IB"


class Provision:
    """What a badge is provisioned with. day and day_key are None in list mode. Its repr does not show the day key."""

    def __init__(
        self, mode: int, log_key: bytes, horizon: int, day: int | None = None, day_key: bytes | None = None
    ) -> None:
        self.mode = mode
        self.log_key = log_key
        self.horizon = horizon
        self.day = day
        self.day_key = day_key

    def __repr__(self) -> str:
        return "Provision(mode=%d, horizon=%d, day=%r)" % (self.mode, self.horizon, self.day)


def decode(op: int, body: bytes) -> "tuple[Any, ...]":
    """The values of a request PROVISION or ADDRESSES; FormatError if its body is malformed."""
    return (_decode_provision(body),) if op == PROVISION else _decode_addresses(body)


def _decode_provision(body: bytes) -> "Provision":
    head = struct.calcsize(PROVISION_LAYOUT)
    mode, log_key, horizon = unpack(PROVISION_LAYOUT, body[:head])
    if mode == RATCHET:
        day, day_key = unpack(PROVISION_DAY_LAYOUT, body[head:])
        return Provision(mode, log_key, horizon, day, day_key)
    if mode == LIST and len(body) == head:
        return Provision(mode, log_key, horizon)
    raise FormatError("provision with an unknown mode or length")


def _decode_addresses(body: bytes) -> "tuple[int, list[bytes]]":
    head = struct.calcsize(ADDRESSES_LAYOUT)
    first_slot, count = unpack(ADDRESSES_LAYOUT, body[:head])
    check_addresses(first_slot, count)
    if len(body) != head + count * ADDRESS:
        raise FormatError("the number of addresses does not match the length")
    return first_slot, [body[at : at + ADDRESS] for at in range(head, len(body), ADDRESS)]


def check_addresses(first_slot: int, count: int) -> None:
    if not 1 <= count <= MAX_ADDRESSES:
        raise FormatError("one request carries 1 to 46 addresses")
    if first_slot + count > SLOT_LIMIT:
        raise FormatError("addresses for slots beyond the last")
