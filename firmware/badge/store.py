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

_VERSION = const(2)  # 1 was a file on littlefs, see moving.py
# New fields come at the end: a state that an older build has left ends earlier, and what it lacks is as on a new badge.
_LAYOUT = const("<B32sHBBIIIIHHHBBI32s32sHhIBB")  # version, owner key (32), _FIELDS: 139 bytes of 147
_OWNER_KEY = const(32)
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
    "day",  # of the day key; 0: of no day yet
    "day_key",  # by ratchet, the companion's; by list, the badge's own, under which the list is sealed
    "log_key",
    "doubted",  # day on which the clock was moved so far that a later day's sync has to confirm it, 0: none
    "rate",  # of the clock's correction, in tenths of ppm: positive where the crystal is slow
    "synced",  # unix time (s) of the companion's last message, 0: none yet
    "keep_days",  # for which a day's log is kept
    "erasing",  # the badge is being given up, and files of it may be left
)
# Eleven adverts in a row, 500 ms apart, fall on eleven places of the scan interval 100 ms apart, and the window always
# covers one of them: whoever stays in range is heard within 6 seconds.
_DEFAULTS = (0, UNPROVISIONED, 0, 0, 0, 0, 0, 500, 150, 1100, 0, 0, 0, bytes(32), bytes(32), 0, 0, 0, 30, 0)


class Store:
    """The state, as attributes named in _FIELDS; `save()` makes it durable. OSError if the flash fails."""

    def __init__(self):
        from . import lending  # a guest

        lending.start()
        content = sectors.newest()
        self._apply(_DEFAULTS if content is None else _fields(content))
        self._marked_from = self.broadcast  # marks in the flash count the slots since that one
        self.broadcast += lending.marked()

    def reset(self):
        """Forget all but the counters, of which none may come twice."""
        kept = self.boot, self.segment, self.broadcast, self.barred, self.crashes
        self._apply(_DEFAULTS)
        self.boot, self.segment, self.broadcast, self.barred, self.crashes = kept

    def _apply(self, values):
        for at, name in enumerate(_FIELDS):
            setattr(self, name, values[at])

    def save(self, key=None):
        """Make it durable, with another owner key if one is given. What was before is nowhere on the flash then."""
        if key is None:
            key = owner_key() or names.NO_OWNER
        sectors.put(struct.pack(_LAYOUT, _VERSION, key, *[getattr(self, name) for name in _FIELDS]))
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


def _fields(content):
    if content[0] != _VERSION:
        return _DEFAULTS
    fresh = struct.pack(_LAYOUT, _VERSION, names.NO_OWNER, *_DEFAULTS)
    return struct.unpack(_LAYOUT, content[: len(fresh)] + fresh[len(content) :])[2:]


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
