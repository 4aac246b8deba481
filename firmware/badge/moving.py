"""Takes over what firmware of 0.2 kept on littlefs (state, owner key, list), and washes the flash of it. A guest.

An owner key that somebody copies onto the badge as a file goes the same way. Washing takes half a minute on 4 MB: what
littlefs has in use is written anew, all else is filled once. After a power cut the next boot begins again.
"""

import binascii
import os
import struct

import flashbdev
from anontrace_shared import badge_schedule as schedule
from anontrace_shared import names, slots
from micropython import const

from . import defaults, lists, store

_WASH = const("wash")  # as long as it is there, the washing is not done
_STATES = const(("state.0", "state.1"))
_OWNER = const("owner.key")
_COMING = const("owner.new")
_GOING = const("owner.old")
_LIST = const("list")

_VERSION = const(1)
_FIRST_LAYOUT = const("<BIHBBIIIIHHHBBI32s32s")
_LAYOUT = const("<BIHBBIIIIHHHBBI32s32sHhIB")  # 4 bytes of CRC-32 follow
_LAST = struct.pack("<HhIB", 0, 0, 0, 30)  # what a state by the first layout lacks
_FIELDS = (
    "boot mode crashes horizon broadcast barred segment advertising_ms window_ms scan_ms place log_was_full "
    "day day_key log_key doubted rate synced keep_days"
).split()
_COUNTERS = ("boot", "broadcast", "barred", "segment")
_ENTRY = const(24)  # of a list: K (20), CRC-32 of slot and K (4)

_AT_ONCE = const(96)  # addresses: each time a file of the list is written anew
_ROUNDS = const(128)  # of small writes to a folder, which begin both its blocks anew: 200 bytes each
_FILL = b"\xff" * 512
_SIZE = const(5)
_ERASE = const(6)
_EIO = const(5)


def take_over(state):
    """Move all that there is into the Store, then wash. OSError."""
    with open(_WASH, "wb"):
        pass
    old = _old_state()
    if old is not None:
        for at, name in enumerate(_FIELDS):
            value = old[2 + at]
            setattr(state, name, max(value, getattr(state, name)) if name in _COUNTERS else value)
        if state.mode == names.LIST:
            state.day, state.day_key = 0, os.urandom(schedule.DAY_KEY)
        state.save()
    here = os.listdir()
    if _GOING in here:
        defaults.reset(state)
        state.erasing = 1
        state.save(names.NO_OWNER)
    elif _OWNER in here:
        with open(_OWNER, "rb") as file:
            key = file.read(33)
        if len(key) == 32:
            state.save(key)
    for name in _STATES + (_OWNER, _COMING, _GOING):
        store.remove(name)
    if _LIST in here:
        _take_list(state)
    _wash()
    os.remove(_WASH)


def _old_state():
    newest = None
    for name in _STATES:
        try:
            with open(name, "rb") as file:
                data = file.read()
        except OSError:
            continue
        size = len(data) - 4
        if not struct.calcsize(_FIRST_LAYOUT) <= size <= struct.calcsize(_LAYOUT) or data[0] != _VERSION:
            continue
        if binascii.crc32(data[:size]) != struct.unpack("<I", data[size:])[0]:
            continue
        missing = struct.calcsize(_LAYOUT) - size
        values = struct.unpack(_LAYOUT, data[:size] + (_LAST[-missing:] if missing else b""))
        if newest is None or values[1] > newest[1]:
            newest = values
    return newest


def _take_list(state):
    for name in sorted(os.listdir(_LIST)):
        path = _LIST + "/" + name
        try:
            first = int(name, 16) * slots.SLOTS_PER_DAY
        except ValueError:  # nothing of a badge's
            first = 0
        given = []  # for the slots before this one
        with open(path, "rb") as file:
            for slot in range(first, first + slots.SLOTS_PER_DAY):
                entry = file.read(_ENTRY)
                address = entry[: schedule.ADDRESS]
                check = binascii.crc32(slots.slot_bytes(slot) + address).to_bytes(4, "little")
                is_one = state.mode == names.LIST and len(entry) == _ENTRY and entry[schedule.ADDRESS :] == check
                if given and (not is_one or len(given) == _AT_ONCE):
                    lists.keep(state, slot - len(given), given)
                    given = []
                if is_one:
                    given.append(address)
        if given:
            lists.keep(state, first + slots.SLOTS_PER_DAY - len(given), given)
        os.remove(path)
    os.rmdir(_LIST)


def _wash():
    for round in range(_ROUNDS):
        name = ("owner.x", "state.x")[round & 1]  # among the names that were there, should they be in two pairs
        with open(name, "wb") as file:
            file.write(_FILL[:100])
        os.remove(name)
    _erase_old_half()
    try:
        with open(_WASH, "wb") as file:
            while True:
                file.write(_FILL)
    except OSError:  # full: every block that was free has been erased
        pass


def _erase_old_half():
    """Erase the older of the first two blocks. Once littlefs has moved its root elsewhere it never writes there again.

    Tried first, on a flash that only looks so: nothing may depend on that block.
    """
    bdev = flashbdev.bdev
    revisions = []
    for block in range(2):
        data = bytearray(4)
        bdev.readblocks(block, data, 0)
        revisions.append(struct.unpack("<I", data)[0])
    old = 0 if (revisions[0] - revisions[1]) & 0x80000000 else 1
    try:
        without = os.VfsLfs2(_Without(old))
        same = sorted([entry[0] for entry in without.ilistdir("/")]) == sorted(os.listdir())
    except OSError:
        same = False
    if same and bdev.ioctl(_ERASE, old):
        raise OSError(_EIO)


class _Without:
    """The flash as if one block were erased; to be read only."""

    def __init__(self, block):
        self._block = block

    def readblocks(self, block, data, offset=0):
        flashbdev.bdev.readblocks(block, data, offset)
        if block == self._block:
            for at in range(len(data)):
                data[at] = 0xFF

    def writeblocks(self, block, data, offset=0):
        raise OSError(_EIO)

    def ioctl(self, what, argument):
        return 0 if what < 4 or what > _SIZE else flashbdev.bdev.ioctl(what, argument)
