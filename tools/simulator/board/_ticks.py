"""The ticks that asyncio goes by: virtual milliseconds, kept ahead of the machine's real ones.

asyncio's queue is in C and stamps a task that is ready now with the machine's milliseconds, in a ring of 2**30 where
words have 32 bits. Virtual ones are put ahead of those, so that such a task is always due; and since they may run for
months, they are brought back near, with the tasks that wait, before half the ring is between them.
"""

from asyncio import core

import _air
import utime
from micropython import const

_MIN_AHEAD = const(1 << 26)  # how far virtual ticks are ahead; 19 real hours
_LEAD = const(1 << 27)
_MAX_AHEAD = const(1 << 28)  # three days

_origin = utime.ticks_add(utime.ticks_ms(), _LEAD)  # what stands for the virtual millisecond _since
_since = _air.ticks() // 1000


def ticks():
    """Now."""
    return utime.ticks_add(_origin, _air.ticks() // 1000 - _since)


def come_near():
    """Nothing is ready: bring virtual ticks back to where they should be."""
    global _origin, _since
    now = ticks()
    if _MIN_AHEAD < utime.ticks_diff(now, utime.ticks_ms()) < _MAX_AHEAD:
        return
    _origin, _since = utime.ticks_add(utime.ticks_ms(), _LEAD), _air.ticks() // 1000
    shift = utime.ticks_diff(_origin, now)
    queue = core._task_queue
    waiting = []
    while queue.peek():
        waiting.append(queue.pop())
    for task in waiting:
        queue.push(task, utime.ticks_add(task.ph_key, shift))


core.ticks = ticks
core.ticks_add = utime.ticks_add
core.ticks_diff = utime.ticks_diff
