"""Its interrupt handler allocates: with the heap locked the port switches the handler off."""

import asyncio

import bluetooth

ble = bluetooth.BLE()
count = 0


def handler(event, data):
    global count
    count += 1
    print("called", count)
    bytearray(100)


async def main():
    ble.irq(handler)
    ble.active(True)
    ble.gap_scan(0, 100_000, 100_000)
    await asyncio.sleep(3600)


asyncio.run(main())
