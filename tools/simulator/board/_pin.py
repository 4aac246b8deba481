"""machine.Pin: outputs keep what was written, inputs are moved by the simulator (Badge.set_pin)."""

import _air
from micropython import const

_pins = {}


class Pin:
    """A GPIO; every Pin with one number is the same."""

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
