"""A flash as the ESP32's, with the chip's own file system, littlefs, in the memory of the test.

Erased is 0xFF, a write only clears bits, and an erase takes a sector of 4096 bytes, as with the port's esp32.Partition.
"""

import os

import flashbdev

BLOCK = 4096
MOUNTED = "/chip"
_BLANK = b"\xff" * BLOCK


@micropython.viper  # noqa: F821
def _program(cells: ptr8, at: int, data: ptr8, size: int):  # noqa: F821
    for i in range(size):
        cells[at + i] = int(cells[at + i]) & int(data[i])


class Flash:
    """A block device as MicroPython wants it.

    `writes`, if it is a list, gets the place of each change and what is there afterwards; for an erase, 4096 of 0xFF.
    """

    def __init__(self, blocks):
        self.bytes = bytearray(blocks * BLOCK)
        for block in range(blocks):
            self.bytes[block * BLOCK : (block + 1) * BLOCK] = _BLANK
        self.writes = None
        self.erases = 0

    def readblocks(self, block, target, offset=0):
        at = block * BLOCK + offset
        memoryview(target)[:] = memoryview(self.bytes)[at : at + len(target)]

    def writeblocks(self, block, data, offset=None):
        if offset is None:  # as the port: a write of whole blocks erases them first
            self.ioctl(6, block)
            offset = 0
        at = block * BLOCK + offset
        _program(self.bytes, at, data, len(data))
        self.changed(at, len(data))

    def ioctl(self, what, block):
        if what == 4:
            return len(self.bytes) // BLOCK
        if what == 5:
            return BLOCK
        if what == 6:
            self.erases += 1
            self.bytes[block * BLOCK : (block + 1) * BLOCK] = _BLANK
            self.changed(block * BLOCK, BLOCK)
        return 0

    def changed(self, at, size):
        if self.writes is not None:
            self.writes.append((at, bytes(memoryview(self.bytes)[at : at + size])))


def switch_on(flash):
    """Mount it, as boot does, and go there."""
    flashbdev.bdev = flash
    os.mount(os.VfsLfs2(flash), MOUNTED)
    os.chdir(MOUNTED)


def switch_off():
    os.chdir("/")
    os.umount(MOUNTED)


def blank(blocks):
    """A flash with an empty file system, switched on in place of the one before."""
    if MOUNTED[1:] in os.listdir("/"):  # noqa: PTH208
        switch_off()
    flash = Flash(blocks)
    os.VfsLfs2.mkfs(flash)
    switch_on(flash)
    return flash
