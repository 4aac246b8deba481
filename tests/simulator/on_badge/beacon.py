"""Advertises its identity every 500 ms and scans without a pause; prints what it hears."""

import asyncio
import time

import bluetooth
import machine

ble = bluetooth.BLE()


def heard(event, data):
    if event == 5:
        address_type, address, kind, rssi, payload = data
        print("heard", time.ticks_ms(), address_type, bytes(address).hex(), kind, rssi, bytes(payload[7:13]).hex())


ble.irq(heard)
ble.active(True)
ble.config(addr_mode=3)
ble.gap_advertise(500_000, b"\x02\x01\x06\x09\x16\xce\xa7" + machine.unique_id())
ble.gap_scan(0, 100_000, 100_000)


async def main():
    while True:
        await asyncio.sleep(3600)


asyncio.run(main())
