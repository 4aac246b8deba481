"""What MicroPython runs after boot: starts the badge. Everything else is in the package `badge`."""

import gc

# Collect early and often: left to the last moment, what lasts is scattered over the whole heap, and no hole is large
# enough for the next module or frame although a third of the memory is free.
gc.threshold(16384)

from badge import app  # noqa: E402

app.main()
