"""A button on pin 9, pulled up, a light on pin 2, a battery on pin 35; and what the port refuses."""

import asyncio

import machine

light = machine.Pin(2, machine.Pin.OUT, value=0)
button = machine.Pin(9, machine.Pin.IN, machine.Pin.PULL_UP)


def pressed(pin):
    light.value(not light.value())
    print("pressed", pin.value(), light.value())


def refused(make):
    try:
        make()
    except ValueError as error:
        print("ValueError", error)


refused(lambda: machine.Pin(20))
refused(lambda: machine.Pin(40))
refused(lambda: machine.Pin(34, machine.Pin.OUT))
refused(lambda: machine.ADC(machine.Pin(5)))
for atten in (machine.ADC.ATTN_11DB, machine.ADC.ATTN_0DB):
    print("uV", machine.ADC(machine.Pin(35), atten=atten).read_uv())

button.irq(pressed, machine.Pin.IRQ_FALLING)


async def main():
    await asyncio.sleep(3600)


asyncio.run(main())
