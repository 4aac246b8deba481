"""The log on a flash as the chip has it, with its file system: its cost, what fits, what gives way when it is full.

MicroPython gives an ESP32 of 4 MB a file system of 512 blocks of 4096 bytes; the firmware lies there too.
"""

import binascii
import os
import sys

import flash
from anontrace_shared import badge_log, log
from badge import segments
from badge.logbook import Logbook
from badge.store import Store

COMPILED = True
HEAP = 8388608
BLOCKS = 512
QUOTA = 2097152
DAY = 20000
CONTACTS = 10  # in each slot
COPIED = 4096


def block(slot, count=CONTACTS):
    data = bytes((log.KNOWN_SLOT,)) + slot.to_bytes(4, "little") + count.to_bytes(2, "little")
    data += bytes(32) + b"\xaa" * (40 * count)
    return data + binascii.crc32(data).to_bytes(4, "little")


def write(logbook, data):
    logbook.begin(data[:39])
    for at in range(39, len(data), 400):
        logbook.append(data[at : at + 400])
    logbook.commit()


def install(source, target):
    """Copy the firmware as make flash does; every folder and file of it."""
    os.mkdir(target)
    for name, kind, *_ in os.ilistdir(source):
        if kind & 0x4000:
            install(source + "/" + name, target + "/" + name)
        else:
            with open(source + "/" + name, "rb") as reader, open(target + "/" + name, "wb") as writer:
                data = reader.read(COPIED)
                while data:
                    writer.write(data)
                    data = reader.read(COPIED)


def free_bytes():
    status = os.statvfs("log")
    return status[1] * status[4]


def fill(state, count=CONTACTS, plenty=0):
    """Write slot after slot until the oldest day gives way; the log, and the most bytes that were in it.

    The file system is asked for its room only after `plenty` blocks: counting takes it long here.
    """
    slot = DAY * 288 + 100
    asked = slot + plenty
    logbook = Logbook(state, lambda: free_bytes() if slot >= asked else 1 << 30)
    total = 0
    while not state.log_was_full:
        total = logbook.total()
        write(logbook, block(slot, count))
        slot += 1
    return logbook, total


def test_a_sealed_contact_costs_less_than_48_bytes():
    data = block(1)
    sealer = badge_log.Sealer(b"\x09" + bytes(31), badge_log.KNOWN_SLOT, 1)
    sealed = [sealer.begin(CONTACTS)]
    sealed += [sealer.record(bytes(20), bytes(4)) for _ in range(CONTACTS)]
    sealed.append(sealer.end())
    assert len(b"".join(sealed)) == len(data) <= 48 * CONTACTS


def test_2_megabytes_hold_40000_records_and_beside_the_firmware_13_days():
    flash.blank(BLOCKS)
    empty = os.statvfs("")[3]
    for package in ("badge", "anontrace_primitives", "anontrace_shared"):
        install(sys.path[-1] + "/" + package, package)
    free = os.statvfs("")[3]
    state = Store()
    state.place = 1  # so that nothing but the flash ends it
    records = fill(state, plenty=3700)[1] // len(block(1)) * CONTACTS
    print(empty - free, "blocks of firmware,", records, "records")
    assert records >= 13 * 288 * CONTACTS
    cost = free * flash.BLOCK / records  # whole blocks, the file system's own and the reserve
    assert cost <= 48 and BLOCKS * flash.BLOCK / cost >= 40000


def test_a_full_flash_goes_on_with_the_newest_days_and_room_for_the_rest():
    flash.blank(80)
    state = Store()
    logbook, _ = fill(state)
    first = logbook.numbers()[0]
    with open(f"log/{first:08x}.seg", "rb") as file:
        assert int.from_bytes(file.read(5)[1:], "little") == (DAY + 1) * 288, "the whole of the oldest day has gone"
    newest = 0
    for slot in range((DAY + 5) * 288, (DAY + 9) * 288, 2):
        write(logbook, block(slot))
        newest = slot
        assert os.statvfs("")[3] * flash.BLOCK >= 32768 - 2 * flash.BLOCK
    state.horizon = 5
    state.save()
    assert Store().horizon == 5 and Store().log_was_full
    last = list(log.blocks(b"".join(segments.read(logbook, logbook.open_segment, 0, 1 << 20, 958))))[-1]
    assert last.slot == newest
    assert segments.free(logbook, logbook.open_segment) > 0 and not Store().log_was_full


def test_a_badge_keeps_to_its_quota_and_a_place_badge_to_its_flash():
    crowd = 100
    day = 288 * len(block(1, crowd))
    flash.blank(2 * BLOCKS)
    state = Store()
    logbook, total = fill(state, crowd, 500)
    assert QUOTA - len(block(1, crowd)) < total <= QUOTA
    segments.erase(logbook)
    state.place, state.log_was_full = 1, 0
    logbook, total = fill(state, crowd, 900)
    assert total > 1.9 * QUOTA
    state.place = 0  # a place no more: the oldest days go
    write(logbook, block((DAY + 60) * 288))
    assert QUOTA - day <= logbook.total() <= QUOTA
