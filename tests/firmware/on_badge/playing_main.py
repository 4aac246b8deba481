"""Plays back what badges have sent: each 20 bytes of the file `recorded`, one after the other, and again.

Lets whoever connects write to the badges' inbox. `connected` and `wrote N` go to the file `drawn`, a line each.
"""

import asyncio
import os

import bluetooth
from anontrace_shared import badge_advert as advert
from anontrace_shared import names

DESK = os.getenv("ANONTRACE_FLASH").rsplit("/", 1)[0]  # the folder on the machine, where the test looks
ble = bluetooth.BLE()
happened = []
connected = [None]


def handler(event, data):
    if event in (1, 2):
        connected[0] = event == 1 or None
    if event == 1:
        happened.append("connected")
    elif event == 3:
        happened.append(f"wrote {len(ble.gatts_read(data[1]))}")


async def main():
    ble.irq(handler)
    ble.active(True)
    ble.config(gap_name="", mtu=247)
    inbox, outbox = (bluetooth.UUID(names.INBOX), 0x0C), (bluetooth.UUID(names.OUTBOX), 0x10)
    ((attribute, _),) = ble.gatts_register_services(((bluetooth.UUID(names.SERVICE), (inbox, outbox)),))
    ble.gatts_set_buffer(attribute, 256, True)
    while True:
        try:
            with open(DESK + "/recorded", "rb") as file:
                recorded = file.read()
        except OSError:
            recorded = b""
        for at in range(0, len(recorded), 20):
            ble.gap_advertise(None)
            ble.config(addr_mode=3)
            if connected[0] is None:
                ble.gap_advertise(50000, adv_data=advert.encode(3, recorded[at : at + 20]))
            await asyncio.sleep_ms(200)
        if happened:
            with open(DESK + "/drawn", "a") as file:
                while happened:
                    print(happened.pop(0), file=file)
        if not recorded:
            ble.gap_advertise(None)
            await asyncio.sleep_ms(1000)


asyncio.run(main())
