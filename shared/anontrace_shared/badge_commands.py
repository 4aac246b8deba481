"""The badge's half of `commands`: names, requests read, responses written (docs/protocol.md, section 4).

Strict: a body that is a byte too long is malformed. Apart from `commands`, which has the companion's half too, so that
a badge need not hold code that it cannot use. Never does what is asked.
"""

# ruff: noqa: F403
import struct

from .errors import FormatError
from .names import *

try:
    from typing import Any
except ImportError:  # MicroPython, which does not evaluate annotations
    pass

# Operations
INFO = 1
SET_TIME = 2
PROVISION = 3
ADDRESSES = 4
HORIZON = 5
LOG_LIST = 6
LOG_READ = 7
LOG_FREE = 8
LOG_ROTATE = 9
SET = 10
ERASE = 11
CRASH_LOG = 12
RESTART = 13
OWN = 14

# Status
DONE = 0
MALFORMED = 1
NOT_PROVISIONED = 2
REFUSED = 3
NO_SUCH_THING = 4
STORAGE_FAILED = 5
MORE = 6  # done so far, and more frames of this response follow

# Flags of info
TIME_KNOWN = 1
PROVISIONED = 2
LIST_MODE = 4
PLACE_BADGE = 8
SAFE_MODE = 16
LOG_WAS_FULL = 32
TOGETHER = 64

# Settings
ADVERTISING_INTERVAL_MS = 1
SCAN_WINDOW_MS = 2
SCAN_INTERVAL_MS = 3
PLACE = 4
KEEP_DAYS = 5

MAX_PLAINTEXT = 960
MAX_DATA = MAX_PLAINTEXT - 2  # bytes of a log or text in one response
MAX_SEGMENTS = 100  # in one response

INFO_LAYOUT = "<BBBIHIIHIIIIIH"
SEGMENT_LAYOUT = "<II"
ERASE_WORD = b"ERASE"

# Bodies of fixed layout. What else there is (provision, addresses, log list, bytes and text) has code of its own below.
REQUEST_LAYOUTS = {
    INFO: "<",
    SET_TIME: "<Q",  # unix time in ms
    HORIZON: "<I",  # slot
    LOG_LIST: "<I",  # from segment
    LOG_READ: "<III",  # segment, offset, length
    LOG_FREE: "<I",  # segment
    LOG_ROTATE: "<",
    SET: "<BI",  # setting, value
    CRASH_LOG: "<",
    RESTART: "<",
    OWN: "<32s",  # owner key
}
RESPONSE_LAYOUTS = {
    INFO: INFO_LAYOUT,
    SET_TIME: "<i",  # correction in ms
    PROVISION: "<",
    ADDRESSES: "<",
    HORIZON: "<",
    LOG_FREE: "<I",  # segments freed
    LOG_ROTATE: "<I",  # the new open segment
    SET: "<",
    ERASE: "<",
    RESTART: "<",
    OWN: "<",
}
STREAMED = (LOG_READ, CRASH_LOG)

# CPython's struct raises struct.error, MicroPython's has no such name and raises ValueError or TypeError.
_PACK_ERRORS = (getattr(struct, "error", ValueError), TypeError, ValueError)


def decode_request(plaintext: bytes) -> "tuple[int, tuple[Any, ...]]":
    """(op, values) as given to `encode_request`; FormatError for an unknown operation or a malformed body."""
    op, body = split(plaintext, 1)
    if op in (PROVISION, ADDRESSES):
        from . import badge_orders  # a guest on the badge

        return op, badge_orders.decode(op, body)
    if op == ERASE:
        if body != ERASE_WORD:
            raise FormatError("erase without its word")
        return op, ()
    return op, unpack(layout_of(REQUEST_LAYOUTS, op), body)


def encode_response(op: int, status: int, *values: Any) -> bytes:
    """The plaintext of a response. Values, with status DONE (or MORE, for the two in several frames) only:

    INFO the 14 of Info; SET_TIME correction in ms, clamped to 32 bits here; LOG_LIST a list of (segment, size);
    LOG_READ, CRASH_LOG up to MAX_DATA bytes; LOG_FREE number freed; LOG_ROTATE the new open segment; none for the
    others.
    """
    head = bytes((op, status))
    if status not in (DONE, MORE):
        return head + pack("<", values)
    if op in STREAMED:
        (data,) = values
        if not isinstance(data, (bytes, bytearray, memoryview)) or len(data) > MAX_DATA:
            raise FormatError("that is not up to 958 bytes")
        return head + data
    if status == MORE:
        raise FormatError("this response has one frame only")
    if op == LOG_LIST:
        return head + _encode_segments(*values)
    if op == SET_TIME and len(values) == 1 and isinstance(values[0], int):
        values = (min(max(values[0], -(1 << 31)), (1 << 31) - 1),)
    return head + pack(layout_of(RESPONSE_LAYOUTS, op), values)


def _encode_segments(segments: "list[tuple[int, int]]") -> bytes:
    if len(segments) > MAX_SEGMENTS:
        raise FormatError("one response lists 100 segments at most")
    return b"".join([pack(SEGMENT_LAYOUT, segment) for segment in segments])


def split(plaintext: bytes, head: int) -> "tuple[int, bytes]":
    if len(plaintext) < head:
        raise FormatError("a message without operation or status")
    return plaintext[0], plaintext[head:]


def layout_of(layouts: "dict[int, str]", op: int) -> str:
    if op not in layouts:
        raise FormatError("unknown operation %d" % op)
    return layouts[op]


def pack(layout: str, values: "tuple[Any, ...]") -> bytes:
    """struct.pack that takes exactly these values: CPython's pads short bytes, MicroPython's wraps large numbers."""
    values = tuple(values)
    try:
        packed = struct.pack(layout, *values)
    except _PACK_ERRORS:
        raise FormatError("a value does not fit its field") from None
    if struct.unpack(layout, packed) != values:
        raise FormatError("a value does not fit its field")
    return packed


def unpack(layout: str, body: bytes) -> "tuple[Any, ...]":
    if len(body) != struct.calcsize(layout):
        raise FormatError("a body of the wrong length")
    return struct.unpack(layout, body)
