"""A list of byte strings in one value: for each 4 bytes of length, little-endian, and the bytes. Pure."""

import struct

_LENGTH = struct.Struct("<I")


def join(element: bytes) -> bytes:
    """What is put behind a list to append an element."""
    return _LENGTH.pack(len(element)) + element


def split(value: bytes) -> list[bytes]:
    """The elements, oldest first."""
    elements: list[bytes] = []
    offset = 0
    while offset < len(value):
        (length,) = _LENGTH.unpack_from(value, offset)
        offset += _LENGTH.size
        elements.append(value[offset : offset + length])
        offset += length
    return elements
