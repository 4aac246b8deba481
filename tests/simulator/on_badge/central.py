"""Finds the peripheral, connects, discovers, subscribes, writes, and prints what comes of it."""

import asyncio

import bluetooth

ble = bluetooth.BLE()
wake = asyncio.ThreadSafeFlag()
events = []


def handler(event, data):
    if event == 5:
        if bytes(data[4][4:7]) != b"\x16\xce\xa7":
            return
        data = (data[0], bytes(data[1]))
    elif event in (7, 8) or event in (15, 18):
        data = (data[0], data[1], bytes(data[2]))
    else:
        data = tuple(data)
    events.append((event, data))
    wake.set()


async def until(wanted):
    """Wait for an event; returns what came on the way of other kinds, and it."""
    before = []
    while True:
        while events:
            event, data = events.pop(0)
            if event == wanted:
                return before, data
            before.append((event, data))
        await wake.wait()


async def main():
    ble.irq(handler)
    ble.active(True)
    ble.gap_scan(0, 100_000, 100_000)
    _, (kind, address) = await until(5)
    ble.gap_connect(kind, address)
    before, (connection, _, peer) = await until(7)
    print("connected", peer == address, "scan done", any(event == 6 for event, _ in before))
    ble.gattc_exchange_mtu(connection)
    _, mtu = await until(21)
    print("mtu", mtu[1])
    ble.gattc_discover_services(connection, bluetooth.UUID("a7ce0001-0a7e-4c1d-9a55-5f0a3c7e1b00"))
    found, status = await until(10)
    first, last = found[-1][1][1:3]
    print("services", len(found), status[1], found[-1][1][3])
    ble.gattc_discover_characteristics(connection, first, last)
    found, status = await until(12)
    handles = [data[2] for event, data in found if event == 11]
    print("characteristics", len(handles), status[1], [data[3] for event, data in found if event == 11])
    ble.gattc_discover_descriptors(connection, handles[1], handles[1] + 1)
    found, status = await until(14)
    print("descriptors", [data[2] for event, data in found if event == 13][-1])
    ble.gattc_write(connection, handles[1] + 1, b"\x01\x00", 1)
    _, written = await until(17)
    print("written", written[2])
    ble.gattc_write(connection, handles[0], b"hello")
    _, notified = await until(18)
    print("notified", notified[2])
    ble.gattc_read(connection, handles[2])
    _, value = await until(15)
    print("read", value[2])
    await until(16)
    ble.gattc_read(connection, handles[0])
    _, value = await until(16)
    print("refused", value[2])
    print("disconnect", ble.gap_disconnect(connection))
    _, gone = await until(8)
    print("gone", gone[0] == connection)
    ble.gap_connect(1, b"\x01\x02\x03\x04\x05\x06", 1000)
    _, nobody = await until(8)
    print("nobody", nobody)
    await asyncio.sleep(3600)


asyncio.run(main())
