"""The badge's firmware: broadcasts contact addresses, hears others', seals what it heard, answers its owner.

One module per resource (radio, clock, state, log), `app` wires them. For the ESP32 port of MicroPython 1.22 or newer.
"""
