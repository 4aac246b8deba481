"""machine as the ESP32 port has it, as far as the firmware uses it: reset, watchdog, clock, pins, ADC, identity."""

import time

import _air
from _calendar import seconds
from micropython import const

PWRON_RESET = const(1)
HARD_RESET = const(2)
WDT_RESET = const(3)
DEEPSLEEP_RESET = const(4)
SOFT_RESET = const(5)
SLEEP = const(2)


def reset():
    _air.reset(HARD_RESET)


def soft_reset():
    _air.reset(SOFT_RESET)


def reset_cause():
    return _air.cause


def unique_id():
    return _air.unique_id


_mhz = 160


def freq(hz=None):
    global _mhz
    if hz is None:
        return _mhz * 1000000
    mhz = hz // 1000000
    if mhz not in (20, 40, 80, 160, 240):
        raise ValueError("frequency must be 20MHz, 40MHz, 80Mhz, 160MHz or 240MHz")
    _mhz = mhz


def lightsleep(ms=None):
    """The radio has no power meanwhile, edges of pins go unnoticed, and an RC oscillator keeps the time."""
    _air.sleep(_air.FOREVER if ms is None else ms * 1000)


def idle():
    """Let others run: here a millisecond passes, or whoever waits in a loop would wait for ever."""
    _air.wait(_air.now + 1000)


def disable_irq():
    return 0


def enable_irq(state):
    pass


class RTC:
    """The chip's clock: runs from 2000-01-01 00:00:00 at power-on until it is set."""

    def datetime(self, parts=None):
        if parts is None:
            t = time.gmtime()
            return (t[0], t[1], t[2], t[6], t[3], t[4], t[5], _air.clock() % 1000000)
        year, month, day, _, hour, minute, second, micro = parts
        moved = seconds(year, month, day, hour, minute, second) * 1000000 + micro - _air.clock()
        _air.rtc += moved
        return None


class WDT:
    """The watchdog, in virtual time: it fires when the badge sleeps past it."""

    def __init__(self, id=0, timeout=5000):
        if timeout < 1:
            raise ValueError("WDT timeout too short")
        _air.watchdog = timeout * 1000
        _air.fed = _air.now

    def feed(self):
        _air.fed = _air.now


def __getattr__(name):
    # Loaded when they are asked for: not every firmware has pins, and the heap is small.
    if name == "Pin":
        from _pin import Pin

        return Pin
    if name == "ADC":
        from _adc import ADC

        return ADC
    raise AttributeError(name)
