"""The wire between a badge's MicroPython and the air: binary frames over TCP on loopback.

A frame is length of body (2) ‖ kind (1) ‖ body, integers little-endian, times in microseconds of virtual time (8).

badge to air
    1 HELLO    nonce (16) that the air put into the environment of the process it started
    2 IDLE     until (8): nothing to do before that time
    3 CALL     op (1) ‖ arguments: a function of the bluetooth module
    4 RESET    cause (1) ‖ real-time clock offset (8, signed)
    5 PIN      time (8) ‖ pin (1) ‖ level (1): an output is set to another level
air to badge
    1 WELCOME  now (8) ‖ real-time clock offset (8, signed) ‖ ppm by which the crystal is fast (2, signed) ‖ ppm by
               which the oscillator is that keeps the time in light sleep (2, signed) ‖ reset cause (1) ‖ flags (1) ‖
               unique id (6);
               flag 1: heap locked in IRQ handlers
    2 REPLY    errno (1, 0 = done) ‖ answer; to each CALL, at once
    3 RUN      now (8) ‖ any number of events: length of body (2) ‖ time (8) ‖ IRQ number (1) ‖ body;
               the badge lives through them, each at its own time, up to now

A badge talks only between RUN and IDLE, and the clock moves only when all are idle: they are in lock-step. The body
of an event is the tuple that MicroPython documents for that IRQ number: 16-bit fields in order, then a byte-sized one,
then an address, data or UUID. IRQ 255 is a pin: pin (1) ‖ level (1); IRQ 254: the power fails once so many more bytes
(4) of the flash have been changed. A frame's body is at most 640 bytes.
"""

import enum
import struct

HEADER = struct.Struct("<HB")
EVENT = struct.Struct("<HQB")
TIME = struct.Struct("<Q")
WELCOME = struct.Struct("<QqhhBB6s")
RESET = struct.Struct("<Bq")
PIN = struct.Struct("<QBB")
MAX_BODY = 640  # the badge's buffer
FOREVER = 1 << 60


class FromBadge(enum.IntEnum):
    """Frames that a badge sends."""

    HELLO = 1
    IDLE = 2
    CALL = 3
    RESET = 4
    PIN = 5


class ToBadge(enum.IntEnum):
    """Frames that a badge gets."""

    WELCOME = 1
    REPLY = 2
    RUN = 3


class Irq(enum.IntEnum):
    """MicroPython's numbers of BLE events."""

    CENTRAL_CONNECT = 1
    CENTRAL_DISCONNECT = 2
    GATTS_WRITE = 3
    GATTS_READ_REQUEST = 4
    SCAN_RESULT = 5
    SCAN_DONE = 6
    PERIPHERAL_CONNECT = 7
    PERIPHERAL_DISCONNECT = 8
    GATTC_SERVICE_RESULT = 9
    GATTC_SERVICE_DONE = 10
    GATTC_CHARACTERISTIC_RESULT = 11
    GATTC_CHARACTERISTIC_DONE = 12
    GATTC_DESCRIPTOR_RESULT = 13
    GATTC_DESCRIPTOR_DONE = 14
    GATTC_READ_RESULT = 15
    GATTC_READ_DONE = 16
    GATTC_WRITE_DONE = 17
    GATTC_NOTIFY = 18
    GATTC_INDICATE = 19
    GATTS_INDICATE_DONE = 20
    MTU_EXCHANGED = 21
    GET_SECRET = 29
    CONNECTION_UPDATE = 27
    POWER = 254
    PIN = 255


class Op(enum.IntEnum):
    """Functions that a badge calls: of the radio, and of what else the world around it answers."""

    ACTIVE = 1
    ADDRESS = 2
    NAME = 3
    MTU = 4
    ADVERTISE = 5
    SCAN = 6
    CONNECT = 7
    DISCONNECT = 8
    REGISTER_SERVICES = 9
    NOTIFY = 10
    INDICATE = 11
    READ_ANSWER = 12
    DISCOVER_SERVICES = 13
    DISCOVER_CHARACTERISTICS = 14
    READ = 15
    WRITE = 16
    EXCHANGE_MTU = 17
    UPDATE = 18
    DISCOVER_DESCRIPTORS = 19
    VOLTAGE = 20
    SLEEP = 21


def frame(kind: int, body: bytes = b"") -> bytes:
    """One frame, ready to be sent."""
    return HEADER.pack(len(body), kind) + body


def event(time: int, irq: int, body: bytes) -> bytes:
    """One event of an EVENTS or RUN frame."""
    return EVENT.pack(len(body), time, irq) + body


def run(now: int, events: bytes) -> bytes:
    """The frame that delivers `events` and lets the badge run at time `now`."""
    return frame(ToBadge.RUN, TIME.pack(now) + events)
