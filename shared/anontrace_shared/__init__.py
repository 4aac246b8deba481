"""Formats, schedule, sealing and the badge session, unchanged under MicroPython and CPython.

Pure: bytes in, bytes out; no I/O, no clock, no radio. Primitives come from `anontrace_primitives`, of which there are
two with one interface: firmware/ (Python and viper, for the chip) and host/ (libsodium and OpenSSL).
"""
