"""A flash of blocks of 4096 bytes with the chip's own file system, littlefs, in the memory of the test."""

import os

BLOCK = 4096
MOUNTED = "/chip"


class Flash:
    """A block device as MicroPython wants it; `writes`, if it is a list, gets place and bytes of each write."""

    def __init__(self, blocks):
        self.bytes = bytearray(blocks * BLOCK)
        self.writes = None

    def readblocks(self, block, target, offset=0):
        at = block * BLOCK + offset
        target[:] = memoryview(self.bytes)[at : at + len(target)]

    def writeblocks(self, block, data, offset=0):
        at = block * BLOCK + offset
        memoryview(self.bytes)[at : at + len(data)] = data
        if self.writes is not None:
            self.writes.append((at, bytes(data)))

    def ioctl(self, what, block):
        if what == 4:
            return len(self.bytes) // BLOCK
        if what == 5:
            return BLOCK
        return 0


def switch_on(flash):
    """Mount it, as boot does, and go there."""
    os.mount(os.VfsLfs2(flash), MOUNTED)
    os.chdir(MOUNTED)


def switch_off():
    os.chdir("/")
    os.umount(MOUNTED)


def blank(blocks):
    """A flash with an empty file system, switched on."""
    flash = Flash(blocks)
    os.VfsLfs2.mkfs(flash)
    switch_on(flash)
    return flash
