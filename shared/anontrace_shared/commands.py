"""What companion and badge say to each other in a session (docs/protocol.md, section 4): names, requests, responses.

Turns values into bodies and back, strictly. The badge's half is in `badge_commands` and stands here too. Never does
what is asked.
"""

# ruff: noqa: F403, F405
import struct
from collections import namedtuple

from .badge_commands import *
from .badge_orders import *
from .errors import FormatError

try:
    from typing import Any
except ImportError:  # MicroPython, which does not evaluate annotations
    pass

Info = namedtuple(
    "Info",
    "major minor patch build flags unix_time uptime boot horizon"
    " first_segment open_segment log_bytes dropped battery_mv",
)
"""unix_time: seconds, 0 while unknown; uptime: seconds; dropped: records not logged; battery_mv: 0 when unknown."""


Response = namedtuple("Response", "op status values")
"""values: a tuple as documented at `encode_response`; empty unless status is DONE or MORE."""


def encode_request(op: int, *values: Any) -> bytes:
    """The plaintext of a request. Values by operation, in the order of the protocol's table:

    SET_TIME unix ms; PROVISION a Provision; ADDRESSES first slot, list of K; HORIZON slot; LOG_LIST from segment;
    LOG_READ segment, offset, length; LOG_FREE segment; SET setting, value; OWN owner key; none for the others.
    FormatError if a value does not fit its field.
    """
    if op == PROVISION:
        body = _encode_provision(*values)
    elif op == ADDRESSES:
        body = _encode_addresses(*values)
    elif op == ERASE:
        body = ERASE_WORD + pack("<", values)
    else:
        body = pack(layout_of(REQUEST_LAYOUTS, op), values)
    return bytes((op,)) + body


def decode_response(plaintext: bytes) -> "Response":
    """Response(op, status, values); INFO's only value is an Info. FormatError if malformed or of an unknown status."""
    op, body = split(plaintext, 2)
    status = plaintext[1]
    if status > MORE or (status == MORE and op not in STREAMED):
        raise FormatError("unknown status in a response")
    if status not in (DONE, MORE):
        return Response(op, status, unpack("<", body))
    if op in STREAMED:
        return Response(op, status, (bytes(body),))
    if op == LOG_LIST:
        return Response(op, status, (_decode_segments(body),))
    values = unpack(layout_of(RESPONSE_LAYOUTS, op), body)
    return Response(op, status, (Info(*values),) if op == INFO else values)


def _encode_provision(provision: "Provision") -> bytes:
    head = pack(PROVISION_LAYOUT, (provision.mode, provision.log_key, provision.horizon))
    if provision.mode == RATCHET:
        return head + pack(PROVISION_DAY_LAYOUT, (provision.day, provision.day_key))
    if provision.mode == LIST and provision.day is None and provision.day_key is None:
        return head
    raise FormatError("provision by ratchet has a day and its key, by list neither")


def _encode_addresses(first_slot: int, addresses: "list[bytes]") -> bytes:
    if any(len(address) != ADDRESS for address in addresses):
        raise FormatError("a contact address is 20 bytes")
    check_addresses(first_slot, len(addresses))
    return pack(ADDRESSES_LAYOUT, (first_slot, len(addresses))) + b"".join(addresses)


def _decode_segments(body: bytes) -> "list[tuple[int, int]]":
    size = struct.calcsize(SEGMENT_LAYOUT)
    if len(body) % size or len(body) > size * MAX_SEGMENTS:
        raise FormatError("a list of segments has whole entries, 100 at most")
    return [unpack(SEGMENT_LAYOUT, body[at : at + size]) for at in range(0, len(body), size)]
