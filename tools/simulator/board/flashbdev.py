"""The block device that is mounted at boot, as the port's module of this name has it."""

from esp32 import Partition

bdev = Partition.find(Partition.TYPE_DATA, label="vfs")
bdev = bdev[0] if bdev else None
