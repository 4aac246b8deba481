"""What MicroPython runs after boot: starts the badge. Everything else is in the package `badge`."""

import gc

import bluetooth

# Collect early and often: left to the last moment, what lasts is scattered over the whole heap, and no hole is large
# enough for the next module or frame although a third of the memory is free.
gc.threshold(16384)

# The radio first: its stack finds its memory in one piece, and the heap then grows by what is left.
try:
    bluetooth.BLE().active(True)
except OSError:
    pass  # the badge tries again, and knows what to do about it

from badge import app  # noqa: E402

app.main()
