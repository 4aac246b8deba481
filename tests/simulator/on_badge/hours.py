"""Looks at the clocks, sets the real-time clock, and prints what time it is."""

import asyncio
import time

import machine

print("cause", machine.reset_cause(), "time", time.time(), time.gmtime(0), time.ticks_ms())
print("wrap", time.ticks_add(0x3FFFFFFF, 2), time.ticks_diff(5, 0x3FFFFFFE), time.ticks_diff(0x3FFFFFFE, 5))
moment = (2026, 3, 1, 12, 30, 15, 0, 0)
print("back", time.gmtime(time.mktime(moment))[:6])
started = time.ticks_ms()
time.sleep_ms(1500)
print("slept", time.ticks_diff(time.ticks_ms(), started))
if machine.reset_cause() == machine.PWRON_RESET:
    machine.RTC().datetime((2026, 3, 1, 6, 12, 30, 15, 250000))
print("now", time.gmtime()[:6], machine.RTC().datetime())


async def main():
    await asyncio.sleep(10)
    if machine.reset_cause() == machine.PWRON_RESET:
        machine.reset()
    dog = machine.WDT(timeout=2000)
    for _ in range(5):
        await asyncio.sleep(1)
        dog.feed()
    if machine.reset_cause() == machine.HARD_RESET:
        await asyncio.sleep(60)
    print("fed")
    while True:
        await asyncio.sleep(1)
        dog.feed()


asyncio.run(main())
