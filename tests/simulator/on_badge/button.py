"""A button on pin 9, pulled up, and a light on pin 2."""

import asyncio

import machine

light = machine.Pin(2, machine.Pin.OUT, value=0)
button = machine.Pin(9, machine.Pin.IN, machine.Pin.PULL_UP)


def pressed(pin):
    light.value(not light.value())
    print("pressed", pin.value(), light.value())


button.irq(pressed, machine.Pin.IRQ_FALLING)


async def main():
    await asyncio.sleep(3600)


asyncio.run(main())
