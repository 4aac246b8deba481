"""The whole badge in a crowd, with the heap of an ESP32: 500 badges and 2,000 adverts a second, then 700 badges."""

import gc

gc.threshold(16384)  # as main.py

from badge.app import Badge  # noqa: E402  (before anything else takes memory)

HEAP = 165008

import asyncio  # noqa: E402
import time  # noqa: E402

import micropython  # noqa: E402
import utime  # noqa: E402  (the real one)
from anontrace_primitives import x25519_base  # noqa: E402
from anontrace_shared import advert, answering, sealing  # noqa: E402
from bluetooth import BLE  # noqa: E402

STEP_MS = 40

# asyncio's queue of tasks reads the real ticks, so those of the test stay ahead of them.
time.ms = utime.ticks_ms() + 200000 & 0x3FFFFFFF


def provisioned():
    badge = Badge()
    badge.state.mode = answering.RATCHET
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
    handler = BLE.last.handler
    least = 1 << 30

    async def crowd(people, seconds, base):
        nonlocal least
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
            least = min(least, gc.mem_free())
            await asyncio.sleep_ms(0)

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
    gc.collect()
    print("free", gc.mem_free(), "least", least)
    assert gc.mem_free() > 16384
    running.cancel()
