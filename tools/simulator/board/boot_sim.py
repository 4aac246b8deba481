"""Starts the firmware as the chip does: boot.py if there is one, then main.py, with the air's radio and clock."""

import os
import sys

del sys.path[0]  # this script's folder; the modules beside it come from MICROPYPATH
import _air  # noqa: E402

_air.connect()

from asyncio import core  # noqa: E402  (after the connection: importing it reads the clock)

core.IOQueue = _air.IOQueue
core._io_queue = _air.IOQueue()
import _ticks  # noqa: E402

_air.idle = _ticks.come_near

import _heap  # noqa: E402, F401
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
