"""gc as the port has it: its heap grows by the largest free block of ESP-IDF when it is full, and mem_free() knows."""

import gc
import sys

import esp32


class _Collector:
    def mem_free(self):
        return gc.mem_free() + esp32.LARGEST


_collector = _Collector()
for _name in ("collect", "disable", "enable", "isenabled", "mem_alloc", "threshold"):
    setattr(_collector, _name, getattr(gc, _name))
sys.modules["gc"] = _collector
