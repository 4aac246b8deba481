"""The badge's firmware: broadcasts contact addresses, hears others', seals what it heard, answers its owner.

One module per resource (radio, clock, state, log), `app` wires them. For the ESP32 port of MicroPython 1.22 or newer.
"""

from . import contacts, radio  # noqa: F401  (first: they take the large buffers, while the heap is in one piece)
