"""esp32 as the port has it: ESP-IDF's memory, and the partition of the file system, an image file that acts like NOR.

An erase takes a sector of 4096 bytes and leaves 0xFF; a write only clears bits; both are of any length and place else.
The port's own source, ports/esp32/esp32_partition.c, says what its arguments mean. The power fails when as many bytes
have been written and erased as _air.fails_after says.
"""

import os

import _air
from micropython import const

HEAP_DATA = const(4)
HEAP_EXEC = const(1)
LARGEST = 61440  # bytes of the largest block that Bluetooth leaves to ESP-IDF
BLOCKS = const(512)  # of a board with 4 MB
_BLOCK = const(4096)
_CHUNK = const(128)

_cells = memoryview(bytearray(_CHUNK))
_BLANK = memoryview(b"\xff" * _CHUNK)


@micropython.viper  # noqa: F821
def _program(cells: ptr8, data: ptr8, at: int, size: int):  # noqa: F821
    """Clear the bits that are clear in `data`."""
    for i in range(size):
        cells[i] = int(cells[i]) & int(data[at + i])


def _open():
    """The image, which is blank where it is new."""
    path = os.getenv("ANONTRACE_FLASH")
    try:
        return open(path, "r+b")
    except OSError:
        with open(path, "wb") as file:
            for _ in range(BLOCKS * _BLOCK // _CHUNK):
                file.write(_BLANK)
        return open(path, "r+b")


def idf_heap_info(capabilities):
    """(bytes in all, free, of the largest free block, least ever free) of each area."""
    return [(7288, 0, 0, 0), (15072, 4212, 3840, 3840), (113840, LARGEST + 2100, LARGEST, LARGEST)]


class Partition:
    TYPE_APP = 0
    TYPE_DATA = 1

    def __init__(self, label):
        if label != "vfs":
            raise OSError(2)
        self._file = _open()

    @staticmethod
    def find(type=TYPE_APP, subtype=255, label=None, block_size=_BLOCK):
        return [Partition("vfs")] if type == Partition.TYPE_DATA and label in (None, "vfs") else []

    def info(self):
        return (self.TYPE_DATA, 0x81, 0x200000, BLOCKS * _BLOCK, "vfs", False)

    def readblocks(self, block, data, offset=0):
        self._file.seek(block * _BLOCK + offset)
        if self._file.readinto(data) != len(data):
            raise OSError(5)

    def writeblocks(self, block, data, offset=None):
        if offset is None:
            for more in range(0, len(data), _BLOCK):
                self.ioctl(6, block + more // _BLOCK)
            offset = 0
        self._change(block * _BLOCK + offset, len(data), data)

    def ioctl(self, what, argument):
        if what in (1, 2, 3):
            return 0
        if what == 4:
            return BLOCKS
        if what == 5:
            return _BLOCK
        if what == 6:
            self._change(argument * _BLOCK, _BLOCK, None)
            return 0
        return None

    def _change(self, at, size, data):
        if not 0 <= at <= at + size <= BLOCKS * _BLOCK:
            raise OSError(-258, "ESP_ERR_INVALID_SIZE")
        stop = size if _air.fails_after is None else min(size, _air.fails_after)
        for done in range(0, stop, _CHUNK):
            piece = (_BLANK if data is None else _cells)[: min(_CHUNK, stop - done)]
            if data is not None:
                self._file.seek(at + done)
                self._file.readinto(piece)
                _program(piece, data, done, len(piece))
            self._file.seek(at + done)
            self._file.write(piece)
        if _air.fails_after is not None:
            _air.fails_after -= stop
            if stop < size:
                _air.power_fails()
