"""Connects to the peripheral and asks for things twice, for too much, and for two at once; prints what comes of it."""

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
    elif event in (15, 18, 19):
        data = (data[0], data[1], bytes(data[2]))
    else:
        data = tuple(data)
    events.append((event, data))
    wake.set()


async def until(wanted):
    """Wait for an event; returns those that came up to it."""
    came = []
    while True:
        while events:
            came.append(events.pop(0))
            if came[-1][0] == wanted:
                return came
        await wake.wait()


def attempt(name, function, *arguments):
    try:
        print(name, "returned", function(*arguments))
    except OSError as error:
        print(name, "errno", error.errno)


async def characteristics(connection):
    ble.gattc_discover_characteristics(connection, 1, 0xFFFF)
    return {data[4]: data[2] for event, data in await until(12) if event == 11}


async def main():
    ble.irq(handler)
    ble.active(True)
    ble.config(mtu=247)
    ble.gap_scan(0, 100_000, 100_000)
    kind, address = (await until(5))[-1][1]
    ble.gap_connect(kind, address)
    print("scan", [event for event, data in events if event == 6])
    connection = (await until(7))[-1][1][0]
    attempt("connect again", ble.gap_connect, kind, address)
    ble.gattc_exchange_mtu(connection)
    attempt("exchange at once", ble.gattc_exchange_mtu, connection)
    await until(21)
    attempt("exchange again", ble.gattc_exchange_mtu, connection)
    ble.gattc_discover_services(connection)
    attempt("discover at once", ble.gattc_discover_characteristics, connection, 1, 0xFFFF)
    await until(10)
    found = await characteristics(connection)
    inbox = found[bluetooth.UUID("a7ce0002-0a7e-4c1d-9a55-5f0a3c7e1b00")]
    for mode in (0, 1):
        ble.gattc_write(connection, inbox, b"long" + bytes(400), mode)
        print("wrote", (await until(18))[-1][1][2])
    ble.gattc_write(connection, found[bluetooth.UUID(0x2A6E)] + 1, b"\x02\x00", 1)
    await until(17)
    ble.gattc_write(connection, inbox, b"update")
    print("indicated", (await until(19))[-1][1][2])
    attempt("disconnect", ble.gap_disconnect, connection)
    attempt("disconnect again", ble.gap_disconnect, connection)
    await until(8)
    attempt("disconnect at last", ble.gap_disconnect, connection)
    await asyncio.sleep(3600)


asyncio.run(main())
