"""Sleeps for weeks in one boot, waits for an event meanwhile, and prints at which half day each came."""

import asyncio
import time

_HALF_DAY = 43200
event = asyncio.Event()


async def call():
    while True:
        await asyncio.sleep(_HALF_DAY)
        event.set()


async def main():
    task = asyncio.create_task(call())
    for number in range(1, 41):
        await asyncio.wait_for(event.wait(), 2 * _HALF_DAY)
        event.clear()
        late = time.time() - number * _HALF_DAY
        if late:
            print("late", number, late)
    task.cancel()
    print("done", time.time())
    while True:
        await asyncio.sleep(_HALF_DAY)


asyncio.run(main())
