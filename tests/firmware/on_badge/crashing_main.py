"""The firmware's main.py with a fault that strikes five seconds after each of the first three boots."""

import asyncio
import gc

gc.threshold(16384)

from badge import app, store  # noqa: E402


async def broken(self, watchdog):
    await self.turn_once()
    await asyncio.sleep(5)
    raise ValueError("broken on purpose")


async def turn_once(self):
    async with self.turning:
        await self.turn(False)


if store.Store().boot < 3:
    app.Badge.turn_once = turn_once
    app.Badge._tick = broken
app.main()
