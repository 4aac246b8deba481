"""A badge that sends a contact address of somebody else's choice, and answers challenges as the file `way` (JSON) says.

`address` is what it sends. `answer` is told to whoever asks; or `public_key` with a MAC for `slot`, made with `secret`,
or of `shared`, what a multiplication with a point of low order would give; `tail` follows. With `relay` it tells what
the file `answer` holds, once that is there. With none of them it is silent. Each question goes to the file `asked`.
"""

import asyncio
import binascii
import json
import os

import bluetooth
from anontrace_primitives import hmac_sha256
from anontrace_shared import advert, challenge, hkdf, names, slots

with open("way") as file:
    way = json.load(file)
DESK = os.getenv("ANONTRACE_FLASH").rsplit("/", 1)[0]  # the folder on the machine, where the test looks
ble = bluetooth.BLE()
wake = asyncio.ThreadSafeFlag()
todo = []


def given(key):
    return binascii.unhexlify(way[key]) if key in way else b""


def handler(event, data):
    if event in (2, 3):
        todo.append((event, data[0]))
        wake.set()


def advertise():
    ble.gap_advertise(250000, adv_data=advert.encode(3, given("address")))


async def answer(question):
    slot = way.get("slot", 0)
    if "secret" in way:
        return challenge.answer(given("secret"), given("public_key"), question, slot)
    if "shared" in way:
        mac = hmac_sha256(
            hkdf.extract(b"anontrace/1 challenge", given("shared")),
            question + given("public_key") + slots.slot_bytes(slot),
        )
        return given("public_key") + mac[:16]
    while "relay" in way:
        try:
            os.stat(DESK + "/answer")
            with open(DESK + "/answer", "rb") as file:
                return file.read()
        except OSError:
            await asyncio.sleep_ms(100)
    return given("answer")


async def main():
    ble.irq(handler)
    ble.active(True)
    ble.config(gap_name="", mtu=247, addr_mode=3)
    characteristic = (bluetooth.UUID(names.CHALLENGE), 0x18)
    ((attribute,),) = ble.gatts_register_services(((bluetooth.UUID(names.SERVICE), (characteristic,)),))
    ble.gatts_set_buffer(attribute, 64)
    advertise()
    while True:
        await wake.wait()
        while todo:
            event, connection = todo.pop(0)
            if event == 2:
                advertise()
                continue
            question = ble.gatts_read(attribute)
            with open(DESK + "/asked", "wb") as file:
                file.write(question)
            told = await answer(question) + given("tail")
            if told:
                try:
                    ble.gatts_notify(connection, attribute, told)
                except OSError as error:
                    print("too late:", error)


asyncio.run(main())
