"""Two months of a badge's life, turn by turn, with every change of its flash written down: months.py LIFE JOURNAL.

The whole app, on the simulator's flash; radio and clock are doubles. LIFE is one of LIVES, at the end. JOURNAL gets of
each change unix time (4), kind (1), place (4), length (2) and the bytes that are there afterwards; kind 1 has the name
of what has happened instead. tests/firmware/test_thief.py knows every key, and reads it.
"""

import asyncio
import hashlib
import os
import struct
import sys
import time
from asyncio import core

import bluetooth
import esp32
import flashbdev
import utime
from anontrace_primitives import x25519_base
from anontrace_shared import advert, commands, schedule

core.ticks, core.ticks_add, core.ticks_diff = utime.ticks_ms, utime.ticks_add, utime.ticks_diff

BLOCK = 4096
FIRST_DAY = 20454
DAYS = 60
SLOTS = 288
AHEAD = 14 * SLOTS
LIST_AHEAD = 4 * SLOTS
LOG_KEY = x25519_base(bytes(range(1, 33)))
EPOCH = 946684800


def secret(*what):
    """32 bytes that the test knows too."""
    return hashlib.sha256(" ".join([str(each) for each in what]).encode()).digest()


class Flash(esp32.Partition):
    """Writes its changes into the journal."""

    journal = None

    def _change(self, at, size, data):
        super()._change(at, size, data)
        if self.journal is not None:
            there = bytearray(size)
            self.readblocks(at // BLOCK, there, at % BLOCK)
            note(0, at, there)


def note(kind, at, data):
    Flash.journal.write(struct.pack("<IBIH", now(), kind, at, len(data)))
    Flash.journal.write(data)


def happened(name):
    print(name)
    note(1, 0, name.encode())


def now():
    return time.rtc + EPOCH


def day_key(who, day):
    return schedule.day_key(secret("day key", who), FIRST_DAY, day)


def to(slot):
    """It is 20 seconds into that slot."""
    seconds = slot * 300 + 20 - now()
    time.rtc += seconds
    time.ms += seconds * 1000


class Life:
    def __init__(self):
        from badge import app

        self.badge = app.Badge()
        self.badge.radio.start()
        self.spoke = 0  # turns after which a contact address was on the air

    async def ask(self, op, *values):
        """Its companion asks for something."""
        from badge import guests, requests

        answers = []

        async def reply(answer):
            answers.append(answer)

        request = commands.encode_request(op, *values)
        await requests.answer(self.badge, request, reply, self.badge.clock.uptime_ms(), True)
        assert answers[-1][1] == commands.DONE, (op, answers)
        guests.leave()

    async def sync(self):
        """The companion sets the clock, confirms slots ahead, brings the list's addresses of them, frees the log."""
        slot = now() // 300
        ahead = AHEAD if self.badge.state.mode == commands.RATCHET else LIST_AHEAD
        await self.ask(commands.SET_TIME, now() * 1000)
        if self.badge.state.mode == commands.LIST:
            for first in range(slot, slot + ahead, commands.MAX_ADDRESSES):
                beyond = min(first + commands.MAX_ADDRESSES, slot + ahead)
                given = [secret("list", each)[: commands.ADDRESS] for each in range(first, beyond)]
                await self.ask(commands.ADDRESSES, first, given)
        await self.ask(commands.HORIZON, slot + ahead)
        await self.ask(commands.LOG_FREE, self.badge.state.segment)

    async def adopt(self, who, mode=commands.RATCHET):
        """The badge gets an owner, and what it needs to broadcast addresses."""
        self.badge.state.save(secret("owner", who))
        today = now() // 86400
        keys = (today, day_key(who, today)) if mode == commands.RATCHET else ()
        await self.ask(commands.PROVISION, commands.Provision(mode, LOG_KEY, 0, *keys))
        await self.sync()

    async def slot(self, slot):
        """Somebody is heard, and the slot turns."""
        badge = self.badge
        for person in range(10):
            bluetooth.BLE.last.handler(
                5, (1, b"abcdef", 0, -66, advert.encode(3, secret("heard", slot - 1, person)[:20]))
            )
        badge.catch_up()
        bluetooth.BLE.last.told.clear()
        to(slot)
        await badge.turn(False)
        self.spoke += badge.broadcasts_below(slot + 1)

    async def days(self, first, last, sync=True):
        """The days from first to before last: a slot each six hours, and those at midnight."""
        for day in range(first, last):
            for slot in (0, 1) + tuple(range(72, SLOTS, 72)) + (SLOTS - 1,):  # noqa: RUF005  (not in MicroPython)
                await self.slot((FIRST_DAY + day) * SLOTS + slot)
                if sync and slot == 72 and day % 3 == 0:
                    await self.sync()


async def give_up(badge):
    from badge import owner

    await owner.give_up(badge)


def fill():
    """Nothing else fits on the flash."""
    for size in (65000, 4000):
        number = 0
        try:
            while True:
                number += 1
                with open(f"full {size} {number}", "wb") as file:
                    for _ in range(0, size, 500):
                        file.write(bytes(500))
        except OSError:
            pass
    assert (os.statvfs("")[3] + 10) & 0xFFFFFFFF < 13  # littlefs counts some blocks twice


def older_build():
    """What firmware of 0.2 has on the flash after a month, written as it did it: state, owner key."""
    import binascii

    with open("owner.key", "wb") as file:
        file.write(secret("owner", "ada"))
    state = "<BIHBBIIIIHHHBBI32s32sHhIB"
    sequence = 0
    for day in range(-30, 1):
        for slot in range(0, SLOTS, 3):
            to((FIRST_DAY + day) * SLOTS + slot)
            sequence += 1
            broadcast, horizon = now() // 300, now() // 300 + AHEAD
            key = secret("older", day) if day else day_key("ada", FIRST_DAY)
            values = (1, commands.RATCHET, 0, horizon, broadcast, 0, 7, 500, 150, 1100, 0, 0, FIRST_DAY + day)
            data = struct.pack(state, 1, sequence, *values, key, LOG_KEY, 0, 0, 0, 30)
            with open(f"state.{sequence & 1}", "wb") as file:
                file.write(data + struct.pack("<I", binascii.crc32(data)))
    happened("older")


def older_list():
    """The same of a badge with a list."""
    import binascii

    older_build()
    for name in ("state.0", "state.1"):
        with open(name, "rb") as file:
            data = bytearray(file.read()[:-4])
        data[7] = commands.LIST
        with open(name, "wb") as file:
            file.write(data + struct.pack("<I", binascii.crc32(data)))
    os.mkdir("list")
    for day in range(14):
        with open("list/%08x" % (FIRST_DAY + day), "wb") as file:
            for slot in range((FIRST_DAY + day) * SLOTS, (FIRST_DAY + day + 1) * SLOTS):
                address = secret("list", slot)[:20]
                file.write(address + binascii.crc32(slot.to_bytes(4, "little") + address).to_bytes(4, "little"))


# What a badge lives through


async def away(life, who, mode=commands.RATCHET):
    """Synced each third day, but for three weeks, when its companion is away."""
    await life.adopt(who, mode)
    await life.days(0, 30)
    await life.days(30, 51, sync=False)
    await life.days(51, DAYS)


async def by_ratchet():
    await away(Life(), "ada")


async def by_list():
    await away(Life(), "ada", commands.LIST)


async def full():
    """With a flash that has no room for anything, log and list included."""
    life = Life()
    await life.adopt("ada")
    fill()
    await life.days(0, 20)


async def erased():
    """After twelve days its wearer holds the button, and it is somebody else's from then on."""
    life = Life()
    await life.adopt("ada")
    await life.days(0, 12)
    await give_up(life.badge)
    happened("erased")
    await life.badge.turn(True)
    await life.adopt("ben")
    await life.days(12, DAYS)


async def updated():
    """It had an older build for a month, and goes on with what that has left."""
    older_build()
    life = Life()
    happened("updated")
    assert life.badge.state.broadcast and life.badge.state.segment >= 7
    await life.days(0, 14)
    assert life.spoke > 14 * 4


async def updated_list():
    older_list()
    life = Life()
    happened("updated")
    await life.days(0, 14, sync=False)
    assert life.spoke > 14 * 4


async def whole_day():
    """Each slot of one day, for the wear."""
    life = Life()
    await life.adopt("ada")
    await life.days(0, 2)
    happened("begins")
    for slot in range(SLOTS):
        await life.slot((FIRST_DAY + 2) * SLOTS + slot)
    await life.sync()
    happened("ends")


LIVES = {
    "ratchet": by_ratchet,
    "list": by_list,
    "full": full,
    "erased": erased,
    "updated": updated,
    "updated_list": updated_list,
    "day": whole_day,
}


def main():
    life, journal = sys.argv[1:]
    Flash.journal = open(journal, "wb")  # noqa: SIM115
    time.rtc = FIRST_DAY * 86400 - EPOCH + 20
    device = flashbdev.bdev = Flash("vfs")
    os.VfsLfs2.mkfs(device)
    os.mount(os.VfsLfs2(device), "/chip")
    os.chdir("/chip")
    time.ms = 1000
    asyncio.run(LIVES[life]())
    Flash.journal.close()


main()
