"""Owner of two sectors of raw flash, the only place of what has to vanish: the badge's state, with its keys.

littlefs overwrites nothing in place. So it lends two of its blocks, the files sector.0 and sector.1 of 4096 bytes, and
they are written beneath it: a file of one block is neither read nor moved by littlefs until it is opened for writing,
which nobody does again. There an erase is an erase, and zeros can be written over anything without one.

Both hold the same. A sector: head (32), 21 places of 192 bytes, proof (32). Integers are little-endian.

    head    "keys" ‖ random number (16) ‖ blocks of sector.0 and sector.1 (2 + 2) ‖ CRC-32 of these (4) ‖ not used (4)
    place   sequence number (4) ‖ length (1) ‖ content (0 to 147) ‖ CRC-32 of all that is before it (4), in 156 bytes,
            ‖ marks (36): 288 bits that are cleared one by one while the content is valid
    proof   256 bits, of which each start clears one, to see whether littlefs then reads it so

A place that was never used is 0xFF, one that is over is zero. The newest whole place counts. It is in both sectors
before the one before it is overwritten, and one sector has it while the other is erased: so a power cut costs nothing.
What a start has to do is in lending.py, a guest.
"""

import binascii
import os
import struct

import flashbdev
from micropython import const

MARKS = 288

_MAGIC = const(b"keys")
_TAG = const(20)  # magic and random number
_FIRST = const(32)
_PLACE = const(192)
_END = const(4064)  # of the last place
_MARKS_AT = const(156)
_ERASE = const(6)
_EIO = const(5)

blocks = (0, 0)  # which they are
sequence = 0  # of the newest place; 0: there is none
newest_at = [0, 0]  # where it begins in each sector
free_at = [_END, _END]  # where the places that were never used begin


def read(sector, at, length):
    """Bytes of a sector, as a bytearray."""
    data = bytearray(length)
    flashbdev.bdev.readblocks(blocks[sector], data, at)
    return data


def write(sector, at, data):
    """Clear the bits of a sector that are clear in `data`."""
    flashbdev.bdev.writeblocks(blocks[sector], data, at)


def write_head(sector, label):
    """Make the head whole."""
    head = struct.pack("<20sHH", label, blocks[0], blocks[1])
    write(sector, 0, head + struct.pack("<I", binascii.crc32(head)))


def erase(sector):
    """Begin a sector anew."""
    if flashbdev.bdev.ioctl(_ERASE, blocks[sector]):
        raise OSError(_EIO)
    write_head(sector, _MAGIC + os.urandom(_TAG - len(_MAGIC)))
    newest_at[sector], free_at[sector] = 0, _FIRST


def add(sector, place):
    """Write a place (192, or 156 without marks) where nothing was; erases the sector if it is full."""
    for _ in range(2):
        while free_at[sector] < _END:
            at = free_at[sector]
            free_at[sector] += _PLACE
            write(sector, at, place)
            if read(sector, at, len(place)) == place:
                newest_at[sector] = at
                return
        erase(sector)
    raise OSError(_EIO)


def end_all(sector):
    """Overwrite every used place but the newest."""
    nothing = bytes(_PLACE)
    for at in range(_FIRST, free_at[sector], _PLACE):
        if at != newest_at[sector] and read(sector, at, _PLACE) != nothing:
            write(sector, at, nothing)


def whole(place):
    """Sequence number of a place, 0 if it is not whole."""
    number, length = struct.unpack_from("<IB", place)
    end = 5 + length
    if end + 4 > _MARKS_AT or binascii.crc32(place[:end]) != struct.unpack_from("<I", place, end)[0]:
        return 0
    return number


def newest():
    """The content last put, None if there is none. OSError."""
    if not sequence:
        return None
    place = read(0, newest_at[0], _MARKS_AT)
    if whole(place) != sequence:  # a cell has gone: the other sector has it too
        place = read(1, newest_at[1], _MARKS_AT)
    return bytes(place[5 : 5 + place[4]])


def put(content):
    """Keep this content (147 bytes at most), unmarked; when this returns, what was before is overwritten. OSError."""
    global sequence
    place = bytearray(_MARKS_AT)
    struct.pack_into("<IB", place, 0, sequence + 1, len(content))
    end = 5 + len(content)
    place[5:end] = content
    struct.pack_into("<I", place, end, binascii.crc32(place[:end]))
    add(0, place)
    sequence += 1
    add(1, place)
    end_all(0)
    end_all(1)


def mark(number):
    """Clear a bit of the marks (0 to 287), durably and without an erase. OSError."""
    for sector in range(2):
        write(sector, newest_at[sector] + _MARKS_AT + (number >> 3), bytes((0xFF ^ 1 << (number & 7),)))
