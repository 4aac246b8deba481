"""Owner of the badge's small state on flash: counters, settings, day key, log key; and of the owner key's file.

Two copies, written in turn, each with a sequence number and a CRC-32: a power cut in a write leaves the other. Never
holds a key that opens the log (docs/protocol.md, section 3): the log key is a public one.
"""

import binascii
import os
import struct

from anontrace_shared import names
from micropython import const

UNPROVISIONED = 0  # RATCHET and LIST are anontrace_shared.names'
SETTINGS = ("advertising_ms", "window_ms", "scan_ms", "place", "keep_days")  # in the order of their numbers, from 1

_COPIES = const(("state.0", "state.1"))
_OWNER_KEY = const("owner.key")
_VERSION = const(1)
# New fields come at the end: a state that an older build has left ends earlier, and what it lacks is as on a new badge.
_FIRST_LAYOUT = const("<BIHBBIIIIHHHBBI32s32s")
_LAYOUT = const("<BIHBBIIIIHHHBBI32s32sHhIB")
_FIELDS = (
    "boot",  # number of this boot, 16 bits
    "mode",  # UNPROVISIONED, RATCHET or LIST
    "crashes",  # in a row
    "horizon",  # first slot that may not be broadcast
    "broadcast",  # last slot broadcast
    "barred",  # no slot up to here is broadcast (again)
    "segment",  # highest segment number ever used
    "advertising_ms",
    "window_ms",
    "scan_ms",
    "place",
    "log_was_full",
    "day",  # of the day key
    "day_key",
    "log_key",
    "doubted",  # day on which the clock was moved so far that a later day's sync has to confirm it, 0: none
    "rate",  # of the clock's correction, in tenths of ppm: positive where the crystal is slow
    "synced",  # unix time (s) of the companion's last message, 0: none yet
    "keep_days",  # for which a day's log is kept
)
# Eleven adverts in a row, 500 ms apart, fall on eleven places of the scan interval 100 ms apart, and the window always
# covers one of them: whoever stays in range is heard within 6 seconds.
_DEFAULTS = (0, UNPROVISIONED, 0, 0, 0, 0, 0, 500, 150, 1100, 0, 0, 0, bytes(32), bytes(32), 0, 0, 0, 30)


class Store:
    """The state, as attributes named in _FIELDS; `save()` makes it durable. OSError if the flash fails."""

    def __init__(self):
        self._sequence = 0
        values = _DEFAULTS
        for name in _COPIES:
            copy = _read_copy(name)
            if copy is not None and copy[1] > self._sequence:
                self._sequence = copy[1]
                values = copy[2:]
        self._apply(values)

    def _apply(self, values):
        for at, name in enumerate(_FIELDS):
            setattr(self, name, values[at])

    def save(self):
        """Write the older copy; the newer one stays until this one is whole."""
        self._sequence += 1
        data = struct.pack(_LAYOUT, _VERSION, self._sequence, *[getattr(self, name) for name in _FIELDS])
        with open(_COPIES[self._sequence & 1], "wb") as file:
            file.write(data + struct.pack("<I", binascii.crc32(data)))

    def save_over(self):
        """Write both copies, so that the key replaced is in neither."""
        self.save()
        self.save()

    def erase(self):
        """Forget keys, schedule and settings; the counters stay, since neither boots nor segments may come twice."""
        kept = self.boot, self.segment, self.broadcast, self.barred, self.crashes
        self._apply(_DEFAULTS)
        self.boot, self.segment, self.broadcast, self.barred, self.crashes = kept
        self.save_over()


def _read_copy(name):
    try:
        with open(name, "rb") as file:
            data = file.read()
    except OSError:
        return None
    size = len(data) - 4
    if not struct.calcsize(_FIRST_LAYOUT) <= size <= struct.calcsize(_LAYOUT) or data[0] != _VERSION:
        return None
    if binascii.crc32(data[:size]) != struct.unpack("<I", data[size:])[0]:
        return None
    return struct.unpack(_LAYOUT, data[:size] + struct.pack(_LAYOUT, _VERSION, 0, *_DEFAULTS)[size:])


def owner_key():
    """The owner key (32), None without one. Read afresh each time: it is not kept in memory."""
    try:
        with open(_OWNER_KEY, "rb") as file:
            key = file.read(33)
    except OSError:
        return None
    return key if len(key) == 32 and key != names.NO_OWNER else None


def remove(path):
    """Overwrite a file with zeros, as far as the file system writes in place, and remove it. Absent is fine."""
    try:
        size = os.stat(path)[6]
        with open(path, "r+b") as file:
            while size > 0:
                size -= file.write(bytes(min(size, 512)))
        os.remove(path)
    except OSError:
        pass
