"""Owner of the log on flash: append-only segments of whole blocks (docs/protocol.md, section 3).

log/00000001.seg and on; the highest is open. A segment is of one day. A block counts once its CRC is written: what a
power cut leaves half written is cut off at the next boot. Never seals and never opens: bytes in, bytes out. What is
done with whole segments is in segments.py, a guest.
"""

import binascii
import os

from anontrace_shared import badge_log, slots
from micropython import const

_FOLDER = const("log")
_TEMPORARY = const("log/cut")
_MAX_BYTES = const(65432)  # of a segment: what 16 blocks of 4096 hold, since littlefs keeps its pointers in them
_CHUNK = const(512)
_QUOTA = const(2097152)  # bytes of a log; a place badge has as many as its flash
_RESERVE = const(32768)  # bytes of flash that the log leaves for everything else
_DAY_HEAD = const(11)  # bytes of a block that tell its day
_EBUSY = const(16)  # not in MicroPython's errno, as the next
_ENOSPC = const(28)
_ENOMEM = const(12)


def _free_bytes():
    status = os.statvfs(_FOLDER)
    return status[1] * status[4]


def path_of(number):
    """Of a segment."""
    return "%s/%08x.seg" % (_FOLDER, number)


def _size(number):
    try:
        return os.stat(path_of(number))[6]
    except OSError:
        return 0


def _day_of(head):
    """The day of a block that begins with these bytes (11 at least); None if no block begins so.

    Where the time was not known, a number below 0 that stands for a day since a boot: -1 - boot * 256 - days.
    """
    if len(head) < _DAY_HEAD or badge_log.block_length(head) is None:
        return None
    if head[0] == badge_log.CLOCK_ANCHOR:
        return slots.day_of(slots.slot_of(int.from_bytes(head[7:11], "little")))
    if head[0] == badge_log.KNOWN_SLOT:
        return slots.day_of(int.from_bytes(head[1:5], "little"))
    return -1 - (int.from_bytes(head[1:3], "little") << 8 | int.from_bytes(head[3:5], "little") // slots.SLOTS_PER_DAY)


def day_of(number):
    """Of a segment, as of its first block."""
    try:
        with open(path_of(number), "rb") as file:
            return _day_of(file.read(_DAY_HEAD))
    except OSError:
        return None


def _whole(path):
    """Length of a segment up to the end of its last good block."""
    try:
        file = open(path, "rb")
    except OSError:
        return 0
    whole = 0
    with file:
        while True:
            file.seek(whole)
            length = badge_log.block_length(file.read(badge_log.HEAD))
            if length is None:
                return whole
            file.seek(whole)
            crc = 0
            left = length - badge_log.CRC
            while left > 0:
                data = file.read(min(left, _CHUNK))
                if not data:
                    return whole
                crc = binascii.crc32(data, crc)
                left -= len(data)
            if file.read(badge_log.CRC) != crc.to_bytes(badge_log.CRC, "little"):
                return whole
            whole += length


def _copy(source, target, length):
    with open(source, "rb") as reader, open(target, "wb") as writer:
        while length > 0:
            length -= writer.write(reader.read(min(length, _CHUNK)))


class Logbook:
    """`state` is the badge's Store, for the highest segment number; `free_bytes` asks the file system."""

    def __init__(self, state, free_bytes=_free_bytes):
        self.state = state
        self._free_bytes = free_bytes
        self._file = None  # open while a block is being written
        self.day = None  # of the open segment, as _day_of gives it; None while it is empty
        self._size = 0  # of the open segment's whole blocks
        self._total = 0  # of all segments' whole blocks
        try:
            os.mkdir(_FOLDER)
        except OSError:
            pass
        numbers = self.numbers()
        if numbers and numbers[-1] > state.segment:
            state.segment = numbers[-1]
        if state.segment == 0:
            self.advance()
        self._recover()

    def numbers(self):
        """Numbers of the segments that exist as files, lowest first."""
        found = []
        for name in os.listdir(_FOLDER):
            if name.endswith(".seg"):
                try:
                    found.append(int(name[:-4], 16))
                except ValueError:
                    pass
        return sorted(found)

    @property
    def open_segment(self):
        """Number of the segment that grows."""
        return self.state.segment

    def size(self, number):
        """Bytes of a segment's whole blocks, 0 if there is no such segment."""
        return self._size if number == self.state.segment else _size(number)

    def total(self):
        """Bytes of the whole log."""
        return self._total

    def remove(self, number):
        """Remove a segment."""
        size = self.size(number)
        os.remove(path_of(number))
        self._total -= size

    def advance(self):
        """The next number, durable before a file of it can exist."""
        self.state.segment += 1
        self.state.save()
        self.day = None
        self._size = 0

    def rotate(self):
        """Close the open segment unless it is empty; the number of the one open now. OSError(EBUSY) inside a block."""
        if self._file is not None:
            raise OSError(_EBUSY)
        if self._size:
            self.advance()
        return self.state.segment

    # Writing

    def begin(self, head):
        """A block follows that begins with these bytes (11 at least). Makes room, oldest day first. OSError."""
        if self._file is not None:
            raise OSError(_EBUSY)
        length = badge_log.block_length(head)
        day = _day_of(head)
        if self._size and (self._size + length > _MAX_BYTES or self.day != day):
            self.advance()
        self.day = day
        while self._free_bytes() < length + _RESERVE or (not self.state.place and self._total + length > _QUOTA):
            try:
                from . import segments  # a guest
            except MemoryError:
                raise OSError(_ENOMEM) from None
            segments.drop_oldest(self)
        self._file = open(path_of(self.state.segment), "ab")
        self.append(head)

    def append(self, data):
        """More of the block, whole after the last. OSError if the flash fails: then the block is cut off again."""
        try:
            if self._file.write(data) != len(data):
                raise OSError(_ENOSPC)
        except OSError:
            self.abandon()
            raise

    def commit(self):
        """The block is whole."""
        file, self._file = self._file, None
        try:
            file.close()
        except OSError:
            self._recover()
            raise
        size = _size(self.state.segment)
        self._total += size - self._size
        self._size = size

    def abandon(self):
        """Cut off the block that is being written, if there is one."""
        if self._file is not None:
            try:
                self._file.close()
            except OSError:
                pass
            self._file = None
            self._recover()

    def _recover(self):
        """Cut the open segment off after its last whole block; if that cannot be done, leave it and open the next."""
        path = path_of(self.state.segment)
        self._size = _whole(path)
        self.day = day_of(self.state.segment) if self._size else None
        if self._size < _size(self.state.segment):
            try:
                if self._size:
                    _copy(path, _TEMPORARY, self._size)
                    os.rename(_TEMPORARY, path)
                else:
                    os.remove(path)
            except OSError:
                self.advance()
        self._total = sum([self.size(number) for number in self.numbers()])
