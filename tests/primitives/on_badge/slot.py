"""Runs on MicroPython: seals a record as in a slot, ends the slot, and waits for a line at each stage to be looked at.

The ephemeral secret is a hash, so that whoever looks knows it without telling it to this process.
"""

import gc
import sys

from anontrace_primitives import memory, sha256
from anontrace_shared import hpke

GROWTH = 60000


def stage(name):
    print(name)
    sys.stdin.readline()


sender = hpke.Sender(bytes(range(32)), b"anontrace/1 log", sha256(b"the ephemeral secret of this slot"))
sender.seal(bytes(24), bytes(5))
stage("sealing")
sender.wipe()
sender = None
gc.disable()
print(memory.scrub())
stage("scrubbed")


class Growing:
    """gc as the ESP32 port has it: mem_free() counts in what the heap could grow by."""

    collect = gc.collect

    def mem_free():
        return gc.mem_free() + GROWTH


memory.gc = Growing
print(memory.scrub(GROWTH), memory.scrub(0))
