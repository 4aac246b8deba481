"""The firmware's main.py with a fault that hangs it in each of the first three boots: nobody feeds the watchdog."""

import asyncio
import gc

gc.threshold(16384)

from badge import app, store  # noqa: E402


async def hanging(self, watchdog):
    watchdog.feed()
    await asyncio.sleep(100000)


if store.Store().boot < 3:
    app.Badge._tick = hanging
app.main()
