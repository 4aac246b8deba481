"""The whole badge in a crowd, with the heap of an ESP32: 500 badges and 2,000 adverts a second, then 700 badges.

Prints what the firmware itself takes of the heap: what this test and its doubles take is measured first and left out.
"""

import gc

gc.threshold(16384)  # as main.py

import asyncio  # noqa: E402  (doubles and runtime first: they are no part of the figure)
import time  # noqa: E402

import bluetooth  # noqa: E402
import machine  # noqa: E402, F401
import micropython  # noqa: E402
import utime  # noqa: E402  (the real one)

gc.collect()
BEFORE = gc.mem_alloc()

from anontrace_primitives import x25519_base  # noqa: E402
from anontrace_shared import advert, names, sealing  # noqa: E402
from badge.app import Badge  # noqa: E402

HEAP = 165008
COMPILED = True  # the firmware as the chip loads it
HIGH_WATER = 100 * 1024

STEP_MS = 40

# asyncio's queue of tasks reads the real ticks, so those of the test stay ahead of them.
time.ms = utime.ticks_ms() + 200000 & 0x3FFFFFFF


def provisioned():
    badge = Badge()
    badge.state.mode = names.RATCHET
    badge.state.log_key = x25519_base(bytes(range(1, 33)))
    badge.state.horizon = 1 << 31
    badge.state.day = 20833
    badge.clock.set(6000000 * 300 * 1000, badge.clock.uptime_ms())  # the beginning of a slot
    return badge


def blocks():
    found = []
    with open("log/00000001.seg", "rb") as file:
        while head := file.read(sealing.HEAD):
            found.append((int.from_bytes(head[1:5], "little"), head[5] | head[6] << 8))
            file.seek(sealing.block_length(head) - sealing.HEAD, 1)
    return found


async def test_in_a_crowd_every_address_up_to_512_is_logged_and_memory_suffices():
    badge = provisioned()
    payload = bytearray(advert.encode(3, bytes(20)))
    data = (1, b"abcdef", 0, -66, memoryview(payload))
    running = asyncio.create_task(badge.run())
    await asyncio.sleep_ms(0)
    handler = bluetooth.BLE.last.handler
    most = used = 0  # bytes of heap taken, garbage included; the same after a collection

    async def crowd(people, seconds, base):
        nonlocal most, used
        number = 0
        for _ in range(seconds * 1000 // STEP_MS):
            micropython.heap_lock()
            for _ in range(2000 * STEP_MS // 1000):
                number = (number + 1) % people
                payload[9] = number & 0xFF
                payload[10] = number >> 2 & 0xFF
                payload[11] = number & 3
                payload[12] = base
                handler(5, data)
            micropython.heap_unlock()
            time.ms += STEP_MS
            most = max(most, gc.mem_alloc())
            await asyncio.sleep_ms(0)
        most = max(most, gc.mem_alloc())
        gc.collect()
        used = max(used, gc.mem_alloc())

    async def quiet(seconds):
        time.ms += 1000 * seconds
        badge._changed.set()
        for _ in range(20):
            await asyncio.sleep_ms(0)

    await quiet(2)
    await crowd(500, 60, 1)
    assert badge.contacts.heard == 500 and badge.dropped == 0
    await quiet(238)
    await crowd(700, 30, 2)  # while the 500 are being sealed
    await quiet(270)
    while badge.contacts.waiting:
        await asyncio.sleep_ms(0)
    await quiet(1)
    assert badge.dropped == 700 - 512, badge.dropped
    assert blocks() == [(6000000, 500), (6000001, 512)], blocks()
    print("heap in a crowd:", used - BEFORE, "bytes in use at most,", most - BEFORE, "with garbage")
    assert used - BEFORE <= HIGH_WATER
    running.cancel()
