"""The badge's small state: counters, settings, day key, log key, owner key. What a name means; sectors.py keeps it.

Never holds a key that opens the log (docs/protocol.md, section 3): the log key is a public one. The owner key is read
afresh each time: it is not kept in memory.
"""

import os
import struct

from anontrace_shared import names
from micropython import const

from . import sectors

UNPROVISIONED = 0  # RATCHET and LIST are anontrace_shared.names'
SETTINGS = ("advertising_ms", "window_ms", "scan_ms", "place", "keep_days")  # in the order of their numbers, from 1

VERSION = const(2)  # 1 was a file on littlefs, see moving.py
# New fields come at the end: a state that an older build has left ends earlier, and what it lacks is as on a new badge.
LAYOUT = const("<B32sHBBIIIIHHHBBI32s32sHhIBB")  # version, owner key (32), FIELDS: 139 bytes of 147
_OWNER_KEY = const(32)
FIELDS = (
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
    "day",  # of the day key; 0: of no day yet
    "day_key",  # by ratchet, the companion's; by list, the badge's own, under which the list is sealed
    "log_key",
    "doubted",  # day on which the clock was moved so far that a later day's sync has to confirm it, 0: none
    "rate",  # of the clock's correction, in tenths of ppm: positive where the crystal is slow
    "synced",  # unix time (s) of the companion's last message, 0: none yet
    "keep_days",  # for which a day's log is kept
    "erasing",  # the badge is being given up, and files of it may be left
)


class Store:
    """The state, as attributes named in FIELDS; `save()` makes it durable. OSError if the flash fails."""

    def __init__(self):
        from . import defaults, lending  # guests

        lending.start()
        defaults.apply(self, sectors.newest())
        self._marked_from = self.broadcast  # marks in the flash count the slots since that one
        self.broadcast += lending.marked()

    def save(self, key=None):
        """Make it durable, with another owner key if one is given. What was before is nowhere on the flash then."""
        if key is None:
            key = owner_key() or names.NO_OWNER
        sectors.put(struct.pack(LAYOUT, VERSION, key, *[getattr(self, name) for name in FIELDS]))
        self._marked_from = self.broadcast

    def sent(self, slot):
        """Make durable that this slot, higher than any before, is the last one broadcast: by clearing a bit."""
        ahead = slot - self._marked_from
        if 0 < ahead <= sectors.MARKS:
            sectors.mark(ahead - 1)
            self.broadcast = slot
        else:
            self.broadcast = slot
            self.save()


def owner_key():
    """The owner key (32), None without one."""
    content = sectors.newest()
    key = names.NO_OWNER if content is None else content[1 : 1 + _OWNER_KEY]
    return None if key == names.NO_OWNER else key


def remove(path):
    """Remove a file, if it is there. It stays readable in the flash: nothing that has to vanish is in one."""
    try:
        os.remove(path)
    except OSError:
        pass
