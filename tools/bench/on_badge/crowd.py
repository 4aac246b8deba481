"""Runs on MicroPython: the whole firmware in a crowd. Its companion is at the other end of stdin and stdout.

    crowd.mpy SECONDS        to stdout: what the badge notifies, and at last a list of figures in JSON
    crowd.mpy SECONDS 0      nothing looks at the heap or collects on its own account, and no companion comes

It has few names of its own: they share a table with the firmware's, which grows by doubling. Radio, clock and
peripherals are stand-ins; everything else is what runs on the chip. Three slots: 500 people; 700 while the 500 are
sealed; 700 again while those 512 are sealed, and while the companion pulls the log.
"""

import array
import asyncio
import gc
import json
import sys
import time

import bluetooth
import flashbdev  # noqa: F401
import machine  # noqa: F401  (as all of these: its memory is not the firmware's)
import micropython
import utime  # the real one
from micropython import const

_SLOT = const(6000000)
_BATCH = const(80)  # adverts between two turns of the event loop: 40 ms of a crowd that sends 2,000 a second
_SINGLE = const(100)
MEASURE = len(sys.argv) == 2
_PEOPLE = const(500)
_CONNECTION = const(1)

written = memoryview(bytearray(256))
length = bytearray(1)
whole = array.array("H", bytes(2 * _SINGLE))
alone = array.array("H", bytes(2 * _SINGLE))
most = used = looks = 0  # bytes of heap taken, with garbage; without; how often looked at

gc.collect()
BASE = gc.mem_alloc()  # this script and the stand-ins
TOTAL = BASE + gc.mem_free()
gc.threshold(16384)  # as main.py

from anontrace_primitives import x25519_base  # noqa: E402
from anontrace_shared import advert  # noqa: E402
from badge import store  # noqa: E402
from badge.app import Badge  # noqa: E402

store.Store().save(bytes(range(32)))
badge = Badge()
badge.state.mode = 1  # by ratchet
badge.state.log_key = x25519_base(bytes(range(1, 33)))
badge.state.horizon = 1 << 31
badge.state.day = 20833
badge.clock.set(_SLOT * 300 * 1000, badge.clock.uptime_ms())
payload = bytearray(advert.encode(3, bytes(20)))
ours = (1, b"abcdef", 0, -66, memoryview(payload))


def look():
    """Note what the heap holds; the radio calls it too, so within whatever is being answered or sent."""
    global most, looks
    if MEASURE:
        most = max(most, gc.mem_alloc())
        looks += 1


def look_closely():
    global used
    look()
    if MEASURE and looks % 10 == 0:
        gc.collect()
        used = max(used, gc.mem_alloc())


bluetooth.look = look


def person(number, base):
    payload[9] = number & 0xFF
    payload[10] = number >> 2 & 0xFF
    payload[11] = number & 3
    payload[12] = base


def exchange():
    """Ask the companion what it writes next and hand it to the badge."""
    bluetooth.room = bluetooth.BUFFERS
    length[0] = 0
    sys.stdout.buffer.write(length)
    sys.stdin.buffer.readinto(length)
    if length[0]:
        sys.stdin.buffer.readinto(written[: length[0]])
        bluetooth.inbox = written[: length[0]]
        bluetooth.BLE.handler(3, (_CONNECTION, badge.radio.inbox))


async def quiet(seconds):
    time.ms += 1000 * seconds
    badge._changed.set()
    for _ in range(20):
        look_closely()
        await asyncio.sleep_ms(0)


def latency(handler):
    """Microseconds: from interrupt to counted sighting, median and slowest but one of 100; the handler, median."""
    for number in range(_SINGLE):
        person(number % _PEOPLE, 1)
        start = utime.ticks_us()
        handler(5, ours)
        alone[number] = min(utime.ticks_diff(utime.ticks_us(), start), 65535)
        badge.radio.drain(badge._hear)
        whole[number] = min(utime.ticks_diff(utime.ticks_us(), start), 65535)
    gc.collect()
    return sorted(whole)[_SINGLE // 2], sorted(whole)[_SINGLE * 99 // 100], sorted(alone)[_SINGLE // 2]


async def crowd(handler, people, seconds, base, companion=False):
    """So many seconds of 2,000 adverts a second; microseconds that the badge was at work on them, and adverts."""
    spent = 0
    number = 0
    rounds = seconds * 2000 // _BATCH
    for _ in range(rounds):
        start = utime.ticks_us()
        micropython.heap_lock()
        for _ in range(_BATCH):
            number += 1
            if number == people:
                number = 0
            person(number, base)
            handler(5, ours)
        micropython.heap_unlock()
        badge.radio.drain(badge._hear)
        spent += utime.ticks_diff(utime.ticks_us(), start)
        time.ms += 40
        if companion:
            exchange()
        look_closely()
        await asyncio.sleep_ms(0)
    return spent, rounds * _BATCH


async def main():
    global most, used
    seconds = int(sys.argv[1])
    running = asyncio.create_task(badge.run())
    await asyncio.sleep_ms(0)
    handler = bluetooth.BLE.handler
    await quiet(2)
    spent, adverts = await crowd(handler, _PEOPLE, seconds, 1)
    median, slowest, handler_us = latency(handler) if MEASURE else (0, 0, 0)
    payload[5] ^= 0xFF  # of another service
    stranger_us = latency(handler)[2] if MEASURE else 0
    payload[5] ^= 0xFF
    await quiet(298 - seconds)
    await quiet(2)
    await crowd(handler, 700, seconds, 2)  # while the 500 are being sealed
    await quiet(298 - seconds)
    in_crowd = [used - BASE, most - BASE]
    most = used = 0
    await quiet(2)
    if MEASURE:
        handler(1, (_CONNECTION, 1, b"abcdef"))
        handler(21, (_CONNECTION, 247))
    await crowd(handler, 700, seconds, 3, MEASURE)
    if MEASURE:
        handler(2, (_CONNECTION, 1, b"abcdef"))
    await quiet(298 - seconds)
    await quiet(2)
    while badge.contacts.waiting:
        look_closely()
        await asyncio.sleep_ms(0)
    await quiet(0)
    with_companion = [used - BASE, most - BASE]
    if running.done():
        raise RuntimeError("the firmware has ended")
    running.cancel()
    figures = [median, slowest, handler_us, stranger_us, adverts * 1000000 // spent, badge.dropped]
    length[0] = 255
    sys.stdout.buffer.write(length)
    print(json.dumps(figures + in_crowd + with_companion + [BASE, TOTAL]))


asyncio.run(main())
