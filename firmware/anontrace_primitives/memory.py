# ruff: noqa: F821 - ptr8, ptr16, ptr32 and uint are words of the viper compiler
"""Byte buffers that hold secrets: comparing them in constant time, and overwriting them.

MicroPython's collector frees memory without clearing it, so what was computed with a secret stays readable in RAM until
something else is allocated there. `scrub` ends that for all that is no longer referenced.
"""

import gc

import micropython


def equal(a, b):
    """Whether a and b are the same bytes; takes the same time wherever they differ. False if the lengths differ."""
    return len(a) == len(b) and not _difference(a, b, len(a))


@micropython.viper
def _difference(a: ptr8, b: ptr8, size: int) -> int:
    found = 0
    for i in range(size):
        found |= int(a[i]) ^ int(b[i])
    return found


def wipe(buffer):
    """Overwrite a bytearray with zeros; its length stays."""
    _fill(buffer, len(buffer))


@micropython.viper
def _fill(buffer: ptr8, size: int):
    for i in range(size):
        buffer[i] = 0


def scrub():
    """Overwrite the free heap, so that no trace of a wiped context, a scalar or a big integer is left in it.

    Takes some milliseconds, and holds all that is free for that time: call it when a slot has ended, from no interrupt.
    """
    gc.collect()
    held = []
    size = 32768
    while size >= 16:
        try:
            held.append(bytearray(size))
        except MemoryError:
            size //= 2
    chain = None
    try:
        while True:  # a tuple of two fills one block of the heap, the smallest hole there is
            chain = (chain, None)
    except MemoryError:
        held = chain = None
    gc.collect()
