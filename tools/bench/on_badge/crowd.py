"""Runs on MicroPython: the whole firmware in a crowd. Prints JSON: microseconds, adverts a second, bytes of heap.

Radio, clock and peripherals are stand-ins; everything else is what runs on the chip, with its heap.
"""

import array
import asyncio
import gc
import json
import sys
import time

import bluetooth
import machine  # noqa: F401  (as all of these: its memory is not the firmware's)
import micropython
import utime  # the real one

gc.collect()
BASE = gc.mem_alloc()  # this script and the stand-ins
gc.threshold(16384)  # as main.py

from anontrace_primitives import x25519_base  # noqa: E402
from anontrace_shared import advert  # noqa: E402
from badge.app import Badge  # noqa: E402

SLOT = 6000000
BATCH = 80  # adverts between two turns of the event loop: 40 ms of a crowd that sends 2,000 a second
SINGLE = 100
SECONDS = int(sys.argv[1])
PEOPLE = 500

badge = Badge()
badge.state.mode = 1  # by ratchet
badge.state.log_key = x25519_base(bytes(range(1, 33)))
badge.state.horizon = 1 << 31
badge.state.day = 20833
badge.clock.set(SLOT * 300 * 1000, badge.clock.uptime_ms())
payload = bytearray(advert.encode(3, bytes(20)))
stranger = bytearray(payload)
stranger[5] ^= 0xFF  # of another service
ours = (1, b"abcdef", 0, -66, memoryview(payload))
theirs = (1, b"abcdef", 0, -66, memoryview(stranger))
most = used = looks = 0  # bytes of heap taken, with garbage; without; how often looked at


def look():
    global most, used, looks
    most = max(most, gc.mem_alloc())
    looks += 1
    if looks % 10 == 0:
        gc.collect()
        used = max(used, gc.mem_alloc())


def person(number, base):
    payload[9] = number & 0xFF
    payload[10] = number >> 2 & 0xFF
    payload[11] = number & 3
    payload[12] = base


async def quiet(seconds):
    time.ms += 1000 * seconds
    badge._changed.set()
    for _ in range(20):
        look()
        await asyncio.sleep_ms(0)


def latency(handler, advert):
    """Sorted microseconds from the interrupt to the counted sighting, and those of the handler alone."""
    whole = array.array("H", bytes(2 * SINGLE))
    alone = array.array("H", bytes(2 * SINGLE))
    for number in range(SINGLE):
        person(number % PEOPLE, 1)
        start = utime.ticks_us()
        handler(5, advert)
        alone[number] = min(utime.ticks_diff(utime.ticks_us(), start), 65535)
        badge.radio.drain(badge._hear)
        whole[number] = min(utime.ticks_diff(utime.ticks_us(), start), 65535)
    return sorted(whole), sorted(alone)


async def crowd(handler, people, seconds, base):
    """So many seconds of 2,000 adverts a second; microseconds that the badge was at work on them, and adverts."""
    spent = 0
    number = 0
    rounds = seconds * 2000 // BATCH
    for _ in range(rounds):
        start = utime.ticks_us()
        micropython.heap_lock()
        for _ in range(BATCH):
            number += 1
            if number == people:
                number = 0
            person(number, base)
            handler(5, ours)
        micropython.heap_unlock()
        badge.radio.drain(badge._hear)
        spent += utime.ticks_diff(utime.ticks_us(), start)
        time.ms += 40
        look()
        await asyncio.sleep_ms(0)
    return spent, rounds * BATCH


async def main():
    running = asyncio.create_task(badge.run())
    await asyncio.sleep_ms(0)
    handler = bluetooth.BLE.handler
    await quiet(2)
    spent, adverts = await crowd(handler, PEOPLE, SECONDS, 1)
    heard = badge.contacts.heard
    await quiet(296 - SECONDS)
    time.ms += 4000
    badge._changed.set()
    await crowd(handler, 700, SECONDS, 2)  # while the 500 are being sealed
    await quiet(290 - SECONDS)
    await quiet(20)
    while badge.contacts.waiting:
        look()
        await asyncio.sleep_ms(0)
    for _ in range(200):
        await asyncio.sleep_ms(0)
    whole, alone = latency(handler, ours)
    _, passed = latency(handler, theirs)
    running.cancel()
    figures = {
        "handler_us": alone[SINGLE // 2],
        "stranger_us": passed[SINGLE // 2],
        "recorded_us": whole[SINGLE // 2],
        "recorded_slow_us": whole[SINGLE * 99 // 100],
        "adverts_per_second": adverts * 1000000 // spent,
        "heap_high": most - BASE,
        "heap_used": used - BASE,
        "heard": heard,
        "dropped": badge.dropped,
    }
    print(json.dumps(figures))


asyncio.run(main())
