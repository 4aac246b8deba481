"""A small GATT server: echoes, counts down, floods, hangs up and changes its address, as it is told."""

import asyncio

import bluetooth

SERVICE = bluetooth.UUID("a7ce0001-0a7e-4c1d-9a55-5f0a3c7e1b00")
INBOX = (bluetooth.UUID("a7ce0002-0a7e-4c1d-9a55-5f0a3c7e1b00"), 0x0C)
OUTBOX = (bluetooth.UUID("a7ce0003-0a7e-4c1d-9a55-5f0a3c7e1b00"), 0x10)
NAMED = (bluetooth.UUID(0x2A24), 0x02)
CHANGING = bluetooth.UUID(0x181A)
INDICATED = (bluetooth.UUID(0x2A6E), 0x20)
ADVERT = b"\x02\x01\x06\x05\x16\xce\xa7\x01\x03"

ble = bluetooth.BLE()
wake = asyncio.ThreadSafeFlag()
todo = []


def handler(event, data):
    if event in (1, 2):
        print("connect" if event == 1 else "disconnect", data[0])
    elif event == 21:
        print("mtu", data[1])
    elif event == 4:
        print("read request")
    if event in (1, 2, 3):
        todo.append((event, data[0]))
        wake.set()


def advertise():
    ble.gap_advertise(200_000, ADVERT)


def change():
    ble.gap_advertise(None)
    ble.config(addr_mode=3)
    advertise()


async def flood(connection, count):
    """Send `count` notifications of 244 bytes, waiting whenever the port has no buffer."""
    full = 0
    body = bytearray(244)
    for number in range(count):
        body[0] = number & 0xFF
        while True:
            try:
                ble.gatts_notify(connection, outbox, body)
                break
            except OSError as error:
                if error.errno != 12:
                    raise
                full += 1
                await asyncio.sleep_ms(5)
    print("flooded", count, "full", full > 0)


async def obey(connection, order):
    if order == b"hang up":
        ble.gap_disconnect(connection)
    elif order == b"change":
        change()
        ble.gatts_notify(connection, outbox, b"changed")
    elif order == b"update":
        ble.gatts_write(indicated, "new", True)
    elif order.startswith(b"long"):
        ble.gatts_notify(connection, outbox, b"%d bytes" % len(order))
    elif order.startswith(b"flood "):
        await flood(connection, int(order[6:]))
    else:
        ble.gatts_notify(connection, outbox, b"echo " + order)


async def main():
    global inbox, outbox, indicated
    ble.irq(handler)
    ble.active(True)
    ble.config(gap_name="", mtu=247)
    services = ((SERVICE, (INBOX, OUTBOX, NAMED)), (CHANGING, (INDICATED,)))
    ((inbox, outbox, named), (indicated,)) = ble.gatts_register_services(services)
    ble.gatts_set_buffer(inbox, 512)
    ble.gatts_write(named, b"a name of more than twenty bytes")
    change()
    while True:
        await wake.wait()
        while todo:
            event, connection = todo.pop(0)
            if event == 2:
                advertise()
            elif event == 3:
                await obey(connection, ble.gatts_read(inbox))


inbox = outbox = indicated = 0
asyncio.run(main())
