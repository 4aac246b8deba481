# ruff: noqa: F821 - ptr8, ptr16, ptr32 and uint are words of the viper compiler
"""Byte buffers that hold secrets: comparing them in constant time, and overwriting them.

MicroPython's collector frees memory without clearing it, so what was computed with a secret stays readable in RAM until
something else is allocated there. `scrub` ends that for all that is no longer referenced.
"""

import gc
import struct

import micropython

_BLOCK = 4 * struct.calcsize("P")  # bytes of a block of the heap, the smallest hole there is: a tuple of two fills it


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


def scrub(spare=0):
    """Overwrite the free heap, so that no trace of a wiped context, a scalar or a big integer is left in it.

    `spare`: bytes of gc.mem_free() that the heap does not hold but could grow by; they are left alone. Whether the heap
    held exactly the rest. Takes some ten milliseconds, and all that is free for that time: call it when a slot has
    ended, from no interrupt, while the collector is disabled.
    """
    gc.collect()
    exact = _occupy((gc.mem_free() - spare) // _BLOCK)
    gc.collect()
    return exact


@micropython.native
def _occupy(blocks):
    # Nothing leads to what fills them, and the collector is off. Links of a chain would be kept, from any one on, by
    # live bytes that happen to look like a pointer to it, and little could be allocated then.
    nothing = None
    try:
        for _ in range(blocks):
            _ = (nothing, None)
    except MemoryError:
        return False
    return True
