"""Flash images as MicroPython publishes them, small: bootloader, partition table, application."""

import functools
import hashlib
import operator
import struct

BANNER = b"3.4.0; MicroPython v1.25.0 on 2025-04-15"
BOOTLOADER_AT = {0: 0x1000, 5: 0, 9: 0}  # by chip: ESP32, C3, S3


def part(chip_id: int, data: bytes) -> bytes:
    """An application image of one segment, with checksum and hash."""
    data += bytes(-len(data) % 4)
    header = struct.pack("<BBBBI", 0xE9, 1, 2, 0x20, 0x40080000) + struct.pack(
        "<B3xHBHH4xB", 0xEE, chip_id, 0, 0, 99, 1
    )
    image = header + struct.pack("<II", 0x3FFB0000, len(data)) + data
    checksum = functools.reduce(operator.xor, data, 0xEF)
    image += bytes(15 - len(image) % 16) + bytes([checksum])
    return image + hashlib.sha256(image).digest()


def partition(kind: int, subtype: int, offset: int, size: int, label: bytes) -> bytes:
    return struct.pack("<HBBII16sI", 0x50AA, kind, subtype, offset, size, label, 0)


def whole(chip_id: int, banner: bytes = BANNER, *, app_subtype: int = 0) -> bytes:
    """What `make flash` takes."""
    start = BOOTLOADER_AT.get(chip_id, 0)
    table = partition(1, 2, 0x9000, 0x6000, b"nvs") + partition(0, app_subtype, 0x10000, 0x1F0000, b"app")
    image = part(chip_id, b"second stage bootloader" * 50).ljust(0x8000 - start, b"\xff") + table
    return image.ljust(0x10000 - start, b"\xff") + part(chip_id, bytes(5000) + banner + bytes(5000))
