"""Starts the firmware as the chip does: boot.py if there is one, then main.py, with the air's radio and clock."""

import os
import sys

del sys.path[0]  # this script's folder; the modules beside it come from MICROPYPATH
import _air  # noqa: E402

_air.connect()

from asyncio import core  # noqa: E402  (after the connection: importing it reads the clock)

core.IOQueue = _air.IOQueue
core._io_queue = _air.IOQueue()
# asyncio's queue is in C and stamps a task that is ready now with the machine's real milliseconds. Virtual ones are put
# far above those, so that such a task is always due; differences need not wrap: these ticks never leave asyncio.
core.ticks = lambda: _air.ticks() // 1000 + (1 << 45)
core.ticks_add = lambda ticks, delta: ticks + delta
core.ticks_diff = lambda end, start: end - start

import _mount  # noqa: E402

_mount.switch_on()
main = os.getenv("ANONTRACE_MAIN")
folder = main.rsplit("/", 1)[0]
for script in (folder + "/boot.py", main):
    try:
        os.stat(script)
    except OSError:
        continue
    execfile(script)  # noqa: F821
