"""Owner of the log on flash: append-only segments of whole blocks, read, freed, expired (docs/protocol.md, section 3).

log/00000001.seg and on; the highest is open. A block counts once its CRC is written: what a power cut leaves half
written is cut off at the next boot. Never seals and never opens: bytes in, bytes out.
"""

import binascii
import os

from anontrace_shared import sealing, slots
from micropython import const

_FOLDER = const("log")
_TEMPORARY = const("log/cut")
_MOST_BYTES = const(65536)  # a segment that has them is closed
_CHUNK = const(512)
_KEEP_DAYS = const(30)
_RESERVE = const(65536)  # bytes of flash that the log leaves for everything else
_EBUSY = const(16)  # not in MicroPython's errno, as the next
_ENOSPC = const(28)


def _free_bytes():
    status = os.statvfs(_FOLDER)
    return status[1] * status[4]


def _path(number):
    return "%s/%08x.seg" % (_FOLDER, number)


def _size(number):
    try:
        return os.stat(_path(number))[6]
    except OSError:
        return 0


def _day_of(head):
    """The day that the first bytes of a block (ANCHOR at least) tell, None if they tell none."""
    if head[0] == sealing.KNOWN_SLOT:
        return slots.day_of(int.from_bytes(head[1:5], "little"))
    if head[0] == sealing.CLOCK_ANCHOR:
        return slots.day_of(slots.slot_of(int.from_bytes(head[7:11], "little")))
    return None


def _segment_day(number):
    """The day of the first block of a segment that tells one, by walking over the blocks' heads."""
    at = 0
    try:
        with open(_path(number), "rb") as file:
            while True:
                file.seek(at)
                head = file.read(sealing.ANCHOR)
                length = sealing.block_length(head)
                if length is None or len(head) < sealing.ANCHOR:
                    return None
                day = _day_of(head)
                if day is not None:
                    return day
                at += length
    except OSError:
        return None


def _copy(source, target, length):
    with open(source, "rb") as reader, open(target, "wb") as writer:
        while length > 0:
            length -= writer.write(reader.read(min(length, _CHUNK)))


class Logbook:
    """`state` is the badge's Store, for the highest segment number; `free_bytes` asks the file system."""

    def __init__(self, state, free_bytes=_free_bytes):
        self._state = state
        self._free_bytes = free_bytes
        self._file = None  # open while a block is being written
        self._day = None  # of the open segment, None while nothing in it tells
        self._size = 0  # of the open segment's whole blocks
        try:
            os.mkdir(_FOLDER)
        except OSError:
            pass
        numbers = self.numbers()
        if numbers and numbers[-1] > state.segment:
            state.segment = numbers[-1]
        if state.segment == 0:
            self._advance()
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
        return self._state.segment

    def size(self, number):
        """Bytes of a segment's whole blocks, 0 if there is no such segment."""
        return self._size if number == self._state.segment else _size(number)

    def total(self):
        """Bytes of the whole log."""
        return sum([self.size(number) for number in self.numbers()])

    def _advance(self):
        """The next number, durable before a file of it can exist."""
        self._state.segment += 1
        self._state.save()
        self._day = None
        self._size = 0

    def rotate(self):
        """Close the open segment unless it is empty; the number of the one open now. OSError(EBUSY) inside a block."""
        if self._file is not None:
            raise OSError(_EBUSY)
        if self._size:
            self._advance()
        return self._state.segment

    def free(self, below):
        """Remove all segments below this number; the open one stays. The number removed."""
        freed = 0
        for number in self.numbers():
            if number < below and number != self._state.segment:
                os.remove(_path(number))
                freed += 1
        if self._state.log_was_full:
            self._state.log_was_full = 0
            self._state.save()
        return freed

    def erase(self):
        """Remove everything."""
        self._abandon()
        self.rotate()
        self.free(self._state.segment)

    # Writing

    def begin(self, length, day):
        """A block of `length` bytes follows, of this day (None: not known). Makes room, oldest day first. OSError."""
        if self._file is not None:
            raise OSError(_EBUSY)
        if self._size >= _MOST_BYTES or (self._size and day is not None and self._day not in (None, day)):
            self._advance()
        while self._free_bytes() < length + _RESERVE:
            self._drop_oldest_day()
        if day is not None:
            self._day = day
        self._file = open(_path(self._state.segment), "ab")

    def append(self, data):
        """Bytes of the block, whole after the last. OSError if the flash fails: then the block is cut off again."""
        try:
            if self._file.write(data) != len(data):
                raise OSError(_ENOSPC)
        except OSError:
            self._abandon()
            raise

    def commit(self):
        """The block is whole."""
        file, self._file = self._file, None
        try:
            file.close()
        except OSError:
            self._recover()
            raise
        self._size = _size(self._state.segment)

    def _abandon(self):
        if self._file is not None:
            try:
                self._file.close()
            except OSError:
                pass
            self._file = None
            self._recover()

    def _recover(self):
        """Cut the open segment off after its last whole block; if that cannot be done, leave it and open the next."""
        self._day = None
        path = _path(self._state.segment)
        whole = self._whole(path)
        if whole < _size(self._state.segment):
            try:
                if whole:
                    _copy(path, _TEMPORARY, whole)
                    os.rename(_TEMPORARY, path)
                else:
                    os.remove(path)
            except OSError:
                self._advance()
                return
        self._size = whole

    def _whole(self, path):
        """Length of a segment up to the end of its last good block; notes the day of what it finds."""
        try:
            file = open(path, "rb")
        except OSError:
            return 0
        whole = 0
        with file:
            while True:
                file.seek(whole)
                length = sealing.block_length(file.read(sealing.HEAD))
                if length is None:
                    return whole
                file.seek(whole)
                crc = 0
                left = length - sealing.CRC
                head = b""
                while left > 0:
                    data = file.read(min(left, _CHUNK))
                    if not data:
                        return whole
                    head = head or data[: sealing.ANCHOR]
                    crc = binascii.crc32(data, crc)
                    left -= len(data)
                if file.read(sealing.CRC) != crc.to_bytes(sealing.CRC, "little"):
                    return whole
                day = _day_of(head)
                self._day = self._day if day is None else day
                whole += length

    # Age and room

    def expire(self, today):
        """Remove the segments of more than 30 days ago, and undated ones older than such a segment."""
        last = 0
        numbers = self.numbers()
        for number in numbers:
            day = self._day if number == self._state.segment else _segment_day(number)
            if day is not None and day < today - _KEEP_DAYS:
                last = number
        if last == self._state.segment:
            self._advance()
        for number in numbers:
            if number <= last:
                os.remove(_path(number))

    def _drop_oldest_day(self):
        """Remove the oldest segments up to the end of their day. OSError(ENOSPC) if only the open one is left."""
        numbers = [number for number in self.numbers() if number != self._state.segment]
        if not numbers:
            raise OSError(_ENOSPC)
        day = _segment_day(numbers[0])
        for number in numbers:
            other = _segment_day(number)
            if number != numbers[0] and other is not None and other != day:
                break
            os.remove(_path(number))
        if not self._state.log_was_full:
            self._state.log_was_full = 1
            self._state.save()

    # Reading

    def read(self, number, offset, length, chunk):
        """Iterate over `length` bytes of a segment from `offset`, `chunk` at a time; stops at the segment's end."""
        left = min(length, self.size(number) - offset)
        with open(_path(number), "rb") as file:
            file.seek(offset)
            while left > 0:
                data = file.read(min(left, chunk))
                if not data:
                    return
                left -= len(data)
                yield data
