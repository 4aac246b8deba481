"""Each scan result wakes a task, which looks at the clock, sleeps a little and looks again."""

import asyncio
import time

import bluetooth

ble = bluetooth.BLE()
flag = asyncio.ThreadSafeFlag()
last = 0


def handler(event, data):
    global last
    if event == 5:
        last = data[4][0]
        flag.set()


async def main():
    ble.irq(handler)
    ble.active(True)
    ble.gap_scan(0, 100_000, 100_000)
    while True:
        await flag.wait()
        began = time.ticks_ms()
        await asyncio.sleep_ms(5)
        print(began, last, time.ticks_ms())


asyncio.run(main())
