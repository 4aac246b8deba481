"""What a start does with the two sectors: finds them, makes them, finishes what a power cut left half done. A guest.

sectors.py has their layout.
"""

import binascii
import os
import struct

import flashbdev
from micropython import const

from . import sectors

_SECTOR = const(4096)
_MAGIC = const(b"keys")
_TAG = const(20)
_HEAD = const(28)
_FIRST = const(32)
_PLACE = const(192)
_END = const(4064)
_MARKS_AT = const(156)
_CHUNK = const(128)
_COUNT = const(4)  # of a block device's ioctl, as the next
_SIZE = const(5)
_MOVED = const(("state.0", "state.1", "owner.key", "owner.new", "owner.old", "list", "wash"))  # what moving.py takes
_EIO = const(5)
_ENODEV = const(19)


def start():
    """Make sectors.py ready. OSError."""
    if flashbdev.bdev.ioctl(_SIZE, 0) != _SECTOR:
        raise OSError(_ENODEV)  # FAT, of images that this firmware is not for
    if not _find():
        _make()
    _recover()


def _name(sector):
    return "sector.%d" % sector


def _blocks_of(head):
    """The blocks that a head names, None if it is not whole."""
    tag, one, other, crc = struct.unpack("<20sHHI", head)
    return (one, other) if tag[:4] == _MAGIC and crc == binascii.crc32(head[: _HEAD - 4]) else None


def _find():
    """Whether the sectors are there. One whose head is not whole is known by the other's, and by being the file's."""
    found = None
    for sector in range(2):
        try:
            if os.stat(_name(sector))[6] != _SECTOR:
                return False
            with open(_name(sector), "rb") as file:
                named = _blocks_of(file.read(_HEAD))
        except OSError:
            return False
        if named is not None and max(named) < flashbdev.bdev.ioctl(_COUNT, 0):
            found = named
    if found is None:
        return False
    sectors.blocks = found
    proven = [_is(sector) for sector in range(2)]
    if not all(proven):
        for sector in range(2):
            if proven[sector]:
                sectors.erase(sector)  # littlefs gets it back without a key in it
        return False
    return True


def _is(sector):
    """Whether the block is the file's: all that is in it is, and so is a bit that is cleared now. For files may have
    been copied, from another badge or from this one."""
    with open(_name(sector), "rb") as file:
        for at in range(0, _SECTOR, _CHUNK):
            if file.read(_CHUNK) != sectors.read(sector, at, _CHUNK):
                return False
    proof = sectors.read(sector, _END, _SECTOR - _END)
    for at in range(len(proof)):
        if proof[at]:
            proof[at] &= proof[at] - 1
            sectors.write(sector, _END, proof)
            break
    with open(_name(sector), "rb") as file:
        file.seek(_END)
        return file.read() == proof


def _make():
    found = []
    tags = []
    blank = b"\xff" * _CHUNK
    for sector in range(2):
        tag = _MAGIC + os.urandom(_TAG - len(_MAGIC))
        with open(_name(sector), "wb") as file:
            file.write(tag + blank[_TAG:])
            for _ in range(_CHUNK, _SECTOR, _CHUNK):
                file.write(blank)
        found.append(_block_with(tag))
        tags.append(tag)
    sectors.blocks = tuple(found)
    for sector in range(2):
        sectors.write_head(sector, tags[sector])


def _block_with(tag):
    begin = bytearray(_TAG)
    for block in range(flashbdev.bdev.ioctl(_COUNT, 0)):
        flashbdev.bdev.readblocks(block, begin, 0)
        if begin == tag:
            return block
    raise OSError(_EIO)


def _recover():
    blank = b"\xff" * _PLACE
    highest = [0, 0]
    for sector in range(2):
        sectors.newest_at[sector], sectors.free_at[sector] = 0, _END
        if _blocks_of(sectors.read(sector, 0, _HEAD)) != sectors.blocks:
            continue  # its erasing was cut off: it is erased again
        end = _END
        while end > _FIRST and sectors.read(sector, end - _PLACE, _PLACE) == blank:
            end -= _PLACE
        sectors.free_at[sector] = end
        for at in range(_FIRST, end, _PLACE):
            number = sectors.whole(sectors.read(sector, at, _PLACE))
            if number > highest[sector]:
                highest[sector], sectors.newest_at[sector] = number, at
    sectors.sequence = max(highest)
    good = highest.index(sectors.sequence)
    for sector in (good, 1 - good):
        if highest[sector] != sectors.sequence:
            sectors.add(sector, sectors.read(good, sectors.newest_at[good], _PLACE))
        elif not sectors.sequence and sectors.free_at[sector] == _END:
            sectors.erase(sector)
        sectors.end_all(sector)


def marked():
    """How many marks there are up to the last that is cleared."""
    most = 0
    for sector in range(2 if sectors.sequence else 0):
        marks = sectors.read(sector, sectors.newest_at[sector] + _MARKS_AT, _PLACE - _MARKS_AT)
        for number in range(sectors.MARKS - 1, most - 1, -1):
            if not marks[number >> 3] & 1 << (number & 7):
                most = number + 1
                break
    return most


def take_over(state):
    """Have moving.py take over what there is for it on littlefs, if anything is. OSError."""
    if any(name in _MOVED for name in os.listdir()):
        from . import moving

        moving.take_over(state)
