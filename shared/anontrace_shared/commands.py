"""What companion and badge say to each other in a session (docs/protocol.md, section 4): names, requests, responses.

Turns values into bodies and back, strictly. The badge's half is in `answering` and stands here too. Never does what is
asked.
"""

# ruff: noqa: F403, F405
import struct
from collections import namedtuple

from .answering import *
from .answering import (
    _ADDRESSES,
    _ERASE,
    _PROVISION,
    _PROVISION_DAY,
    _REQUESTS,
    _RESPONSES,
    _SEGMENT,
    _STREAMED,
    _check_addresses,
    _layout,
    _pack,
    _split,
    _unpack,
)
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
        body = _ERASE + _pack("<", values)
    else:
        body = _pack(_layout(_REQUESTS, op), values)
    return bytes((op,)) + body


def decode_response(plaintext: bytes) -> "Response":
    """Response(op, status, values); INFO's only value is an Info. FormatError if malformed or of an unknown status."""
    op, body = _split(plaintext, 2)
    status = plaintext[1]
    if status > MORE or (status == MORE and op not in _STREAMED):
        raise FormatError("unknown status in a response")
    if status not in (DONE, MORE):
        return Response(op, status, _unpack("<", body))
    if op in _STREAMED:
        return Response(op, status, (bytes(body),))
    if op == LOG_LIST:
        return Response(op, status, (_decode_segments(body),))
    values = _unpack(_layout(_RESPONSES, op), body)
    return Response(op, status, (Info(*values),) if op == INFO else values)


def _encode_provision(provision: "Provision") -> bytes:
    head = _pack(_PROVISION, (provision.mode, provision.log_key, provision.horizon))
    if provision.mode == RATCHET:
        return head + _pack(_PROVISION_DAY, (provision.day, provision.day_key))
    if provision.mode == LIST and provision.day is None and provision.day_key is None:
        return head
    raise FormatError("provision by ratchet has a day and its key, by list neither")


def _encode_addresses(first_slot: int, addresses: "list[bytes]") -> bytes:
    if any(len(address) != ADDRESS for address in addresses):
        raise FormatError("a contact address is 20 bytes")
    _check_addresses(first_slot, len(addresses))
    return _pack(_ADDRESSES, (first_slot, len(addresses))) + b"".join(addresses)


def _decode_segments(body: bytes) -> "list[tuple[int, int]]":
    size = struct.calcsize(_SEGMENT)
    if len(body) % size or len(body) > size * MOST_SEGMENTS:
        raise FormatError("a list of segments has whole entries, 100 at most")
    return [_unpack(_SEGMENT, body[at : at + size]) for at in range(0, len(body), size)]
