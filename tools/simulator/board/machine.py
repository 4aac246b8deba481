"""machine as the ESP32 port has it, as far as the firmware uses it: reset, watchdog, clock, pins, identity."""

import _air
from micropython import const

PWRON_RESET = const(1)
HARD_RESET = const(2)
WDT_RESET = const(3)
DEEPSLEEP_RESET = const(4)
SOFT_RESET = const(5)

_pins = {}


def reset():
    _air.reset(HARD_RESET)


def soft_reset():
    _air.reset(SOFT_RESET)


def reset_cause():
    return _air.cause


def unique_id():
    return _air.unique_id


def freq(hz=None):
    return None if hz else 160000000


def idle():
    pass


def disable_irq():
    return 0


def enable_irq(state):
    pass


def _days(year, month, day):
    """Days from 2000-01-01 (proleptic Gregorian, years counted from March)."""
    if month < 3:
        year -= 1
        month += 12
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * month - 457) // 5 + day - 730426


def _seconds(year, month, day, hour, minute, second):
    return ((_days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second


class RTC:
    """The chip's clock: runs from 2000-01-01 00:00:00 at power-on until it is set."""

    def datetime(self, parts=None):
        import time

        if parts is None:
            t = time.gmtime()
            return (t[0], t[1], t[2], t[6], t[3], t[4], t[5], (_air.now + _air.rtc) % 1000000)
        year, month, day, _, hour, minute, second, micro = parts
        _air.rtc = _seconds(year, month, day, hour, minute, second) * 1000000 + micro - _air.now
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


class Pin:
    """A GPIO. Outputs keep what was written; inputs are moved by the simulator (Badge.set_pin)."""

    IN = const(1)
    OUT = const(3)
    OPEN_DRAIN = const(7)
    PULL_DOWN = const(1)
    PULL_UP = const(2)
    IRQ_RISING = const(1)
    IRQ_FALLING = const(2)

    def __init__(self, id, mode=-1, pull=-1, *, value=None):
        self.id = id
        self._state = _pins.setdefault(id, [0, None, 0])  # level, handler, trigger
        self.init(mode, pull, value=value)

    def init(self, mode=-1, pull=-1, *, value=None):
        if pull == 2:
            self._state[0] = 1
        if value is not None:
            self.value(value)

    def value(self, level=None):
        if level is None:
            return self._state[0]
        self._state[0] = 1 if level else 0
        return None

    __call__ = value

    def on(self):
        self.value(1)

    def off(self):
        self.value(0)

    def irq(self, handler=None, trigger=3):
        self._state[1:] = [handler, trigger]


def _pin_changed(pin, level):
    state = _pins.setdefault(pin, [level, None, 0])
    edge = 0 if state[0] == level else 1 if level else 2
    state[0] = level
    if edge & state[2] and state[1]:
        state[1](Pin(pin))


_air.pin_changed = _pin_changed
