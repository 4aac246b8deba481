"""Which firmware this is, as told to the companion (docs/protocol.md, section 4, info)."""

VERSION = (0, 3, 0)  # major, minor, patch
BUILD = 3  # goes up by one with every release, whatever its version
