"""The processor's clock: slow while the badge waits, fast while somebody is connected."""

import asyncio
import time

import bluetooth
import machine
import utime  # the real one
from badge.app import Badge

# asyncio's queue of tasks reads the real ticks, so those of the test stay ahead of them.
time.ms = utime.ticks_ms() + 200000 & 0x3FFFFFFF

CONNECTED, GONE = 1, 2


async def test_the_processor_is_fast_only_while_somebody_is_connected():
    running = asyncio.create_task(Badge().run())
    said = []
    for event, connection in ((None, 0), (CONNECTED, 0), (CONNECTED, 1), (GONE, 1), (GONE, 0)):
        if event is not None:
            bluetooth.BLE.last.handler(event, (connection, 1, b"abcdef"))
        for _ in range(20):
            await asyncio.sleep_ms(0)
        said.append(machine.hz // 1000000)
    assert said == [80, 160, 160, 160, 80], said
    running.cancel()
