"""Runs on MicroPython: the whole firmware in a crowd. Its companion is at the other end of stdin and stdout.

    crowd.mpy SECONDS        to stdout: what the badge notifies, and at last a list of figures in JSON
    crowd.mpy SECONDS 0      nothing looks at the heap or collects on its own account, and no companion comes
    crowd.mpy                to stdout: bytes of heap that this script and the stand-ins take

It has few names of its own, and so its functions are within one and take their arguments unnamed: names share a table
with the firmware's, which grows by doubling, and on the chip there are none of these. Radio, clock and peripherals are
stand-ins; everything else is what runs on the chip. Three slots: 500 people; 700 while the 500 are
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
_SINGLE = const(100)  # of the _PEOPLE
_PEOPLE = const(500)
_CONNECTION = const(1)
_BUFFERS = const(10)  # notifications that the stack takes before some have left


def start():
    measures = len(sys.argv) < 3
    written = memoryview(bytearray(256))
    length = bytearray(1)
    whole = array.array("H", bytes(2 * _SINGLE))
    alone = array.array("H", bytes(2 * _SINGLE))
    most = used = looks = 0  # bytes of heap taken, with garbage; without; how often looked at

    def mark(*closely):
        """Mark what the heap holds; the radio calls it too, so within whatever is being answered or sent."""
        nonlocal most, used, looks
        if measures:
            most = max(most, gc.mem_alloc())
            looks += 1
            if closely and looks % 10 == 0:
                gc.collect()
                used = max(used, gc.mem_alloc())

    def report(*text):
        """Instead of on the serial console, which is where the companion is: nothing should be told there."""
        sys.stderr.write(text[0])
        sys.exit(1)

    def poll():
        """Ask the companion what it writes next and hand it to the badge."""
        bluetooth.room = _BUFFERS
        length[0] = 0
        sys.stdout.buffer.write(length)
        sys.stdin.buffer.readinto(length)
        if length[0]:
            sys.stdin.buffer.readinto(written[: length[0]])
            bluetooth.inbox = written[: length[0]]
            bluetooth.BLE.handler(3, (_CONNECTION, badge.radio.inbox))

    async def sleep(*passed):
        time.ms += 1000 * passed[0]
        badge._changed.set()
        for _ in range(20):
            mark(True)
            await asyncio.sleep_ms(0)

    def hear(handler):
        """Microseconds: from interrupt to counted sighting, median and slowest but one of 100; the handler, median."""
        for number in range(_SINGLE):
            payload[9] = number & 0xFF
            payload[10] = number >> 2 & 0xFF
            payload[11] = number & 3
            payload[12] = 1
            began = utime.ticks_us()
            handler(5, ours)
            alone[number] = min(utime.ticks_diff(utime.ticks_us(), began), 65535)
            badge.radio.drain(badge._hear)
            whole[number] = min(utime.ticks_diff(utime.ticks_us(), began), 65535)
        gc.collect()
        return sorted(whole)[_SINGLE // 2], sorted(whole)[_SINGLE * 99 // 100], sorted(alone)[_SINGLE // 2]

    async def crowd(*who):
        """The handler, how many people, so many seconds of 2,000 adverts a second, who they are, whether the companion
        talks meanwhile. Microseconds that the badge was at work on them, and adverts."""
        handler, people, seconds, base, companion = who
        spent = 0
        number = 0
        rounds = seconds * 2000 // _BATCH
        for _ in range(rounds):
            began = utime.ticks_us()
            micropython.heap_lock()
            for _ in range(_BATCH):
                number += 1
                if number == people:
                    number = 0
                payload[9] = number & 0xFF
                payload[10] = number >> 2 & 0xFF
                payload[11] = number & 3
                payload[12] = base
                handler(5, ours)
            micropython.heap_unlock()
            badge.radio.drain(badge._hear)
            spent += utime.ticks_diff(utime.ticks_us(), began)
            time.ms += 40
            if companion:
                poll()
            mark(True)
            await asyncio.sleep_ms(0)
        return spent, rounds * _BATCH

    async def main():
        nonlocal most, used
        running = asyncio.create_task(badge.run())
        await asyncio.sleep_ms(0)
        handler = bluetooth.BLE.handler
        await sleep(2)
        spent, adverts = await crowd(handler, _PEOPLE, seconds, 1, False)
        median, slowest, handler_us = hear(handler) if measures else (0, 0, 0)
        payload[5] ^= 0xFF  # of another service
        stranger_us = hear(handler)[2] if measures else 0
        payload[5] ^= 0xFF
        await sleep(298 - seconds)
        await sleep(2)
        await crowd(handler, 700, seconds, 2, False)  # while the 500 are being sealed
        await sleep(298 - seconds)
        in_crowd = [used - before, most - before]
        most = used = 0
        await sleep(2)
        await sleep(9)  # the silence after the turn is over
        if measures:
            handler(1, (_CONNECTION, 1, b"abcdef"))
            handler(21, (_CONNECTION, 247))
            length[0] = 20
            sys.stdout.buffer.write(length)
            sys.stdout.buffer.write(badge.radio.sent())
        await crowd(handler, 700, seconds, 3, measures)
        if measures:
            handler(2, (_CONNECTION, 1, b"abcdef"))
        await sleep(289 - seconds)
        await sleep(2)
        while badge.contacts.waiting:
            mark(True)
            await asyncio.sleep_ms(0)
        await sleep(0)
        with_companion = [used - before, most - before]
        if running.done():
            raise RuntimeError("the firmware has ended")
        running.cancel()
        figures = [median, slowest, handler_us, stranger_us, adverts * 1000000 // spent, badge.dropped]
        length[0] = 255
        sys.stdout.buffer.write(length)
        print(json.dumps(figures + in_crowd + with_companion + [before, total]))

    everything = main()
    gc.collect()
    before = gc.mem_alloc()  # this script and the stand-ins
    if len(sys.argv) == 1:
        print(before)
        return
    seconds = int(sys.argv[1])
    total = before + gc.mem_free()
    gc.threshold(16384)  # as main.py

    from anontrace_primitives import x25519_base
    from anontrace_shared import badge_advert as advert
    from badge import health, store
    from badge.app import Badge

    store.Store().save(bytes(range(32)))
    badge = Badge()
    badge.state.mode = 1  # by ratchet
    badge.state.log_key = x25519_base(bytes(range(1, 33)))
    badge.state.horizon = 1 << 31
    badge.state.day = 20833
    badge.clock.set(_SLOT * 300 * 1000, badge.clock.uptime_ms())
    payload = bytearray(advert.encode(3, bytes(20)))
    ours = (1, b"abcdef", 0, -66, memoryview(payload))
    bluetooth.mark = mark
    health.print = report
    asyncio.run(everything)


start()
