"""The processor's clock: slow while the badge waits, fast while somebody is connected."""

import asyncio

import bluetooth
import machine
from badge.app import Badge

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
