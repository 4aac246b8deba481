"""time as the ESP32 port has it, on the virtual clock: epoch 2000, zero at power-on, ticks of 30 bits."""

import _air
import utime
from _calendar import seconds
from micropython import const

_EPOCH = const(946684800)
_MASK = const(0x3FFFFFFF)
_HALF = const(0x20000000)


def ticks_ms():
    return _air.held[0] if _air.held else _air.ticks() // 1000 & _MASK


def ticks_us():
    return _air.held[1] if _air.held else _air.ticks() & _MASK


ticks_cpu = ticks_us


def ticks_add(ticks, delta):
    if not -_HALF < delta < _HALF:
        raise OverflowError("ticks interval overflow")
    return ticks + delta & _MASK


def ticks_diff(end, start):
    return (end - start + _HALF & _MASK) - _HALF


def time():
    return _air.clock() // 1000000


def time_ns():
    return _air.clock() * 1000


def gmtime(when=None):
    # slice: the Unix port adds a ninth field that the ESP32 port has not
    return utime.gmtime((time() if when is None else when) + _EPOCH)[:8]


localtime = gmtime


def mktime(parts):
    return seconds(parts[0], parts[1], parts[2], parts[3], parts[4], parts[5])


def sleep_us(us):
    until = _air.when(_air.ticks() + us)
    while _air.now < until:
        _air.wait(until)


def sleep_ms(ms):
    sleep_us(int(ms) * 1000)


def sleep(duration):
    sleep_us(int(duration * 1000000))
