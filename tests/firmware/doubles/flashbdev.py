"""The port's module that holds the block device mounted at boot; `flash` puts one in."""

bdev = None
