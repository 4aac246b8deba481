"""Keeps the memoryviews of a scan result beyond the handler, and looks at them afterwards."""

import asyncio

import bluetooth

ble = bluetooth.BLE()
kept = []
done = asyncio.ThreadSafeFlag()


def handler(event, data):
    if event == 5 and not kept:
        kept.append((data[1], data[4]))
        print("inside", bytes(data[4]).hex())
        done.set()


async def main():
    ble.irq(handler)
    ble.active(True)
    ble.gap_scan(0, 100_000, 100_000)
    await done.wait()
    address, payload = kept[0]
    print("outside", bytes(address).hex(), bytes(payload).hex())
    await asyncio.sleep(3600)


asyncio.run(main())
