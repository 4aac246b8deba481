"""machine.Pin of an ESP32: levels of outputs go to the air, inputs are moved by the simulator (Badge.set_pin)."""

import _air
from micropython import const

_FIRST_INPUT_ONLY = const(34)
_MISSING = (20, 24, 28, 29, 30, 31)  # of the chip's numbers 0 to 39
_RTC = (0, 2, 4, 12, 13, 14, 15, 25, 26, 27, 32, 33, 34, 35, 36, 37, 38, 39)  # that can end a sleep
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
    WAKE_LOW = const(4)
    WAKE_HIGH = const(5)

    def __new__(cls, id, *arguments, **settings):
        if isinstance(id, Pin):
            return id
        if not isinstance(id, int) or not 0 <= id < 40 or id in _MISSING:
            raise ValueError("invalid pin")
        pin = _pins.get(id)
        if pin is None:
            pin = _pins[id] = object.__new__(cls)
            pin.id = id
            pin._level = 0
            pin._out = False
            pin._handler = None
            pin._trigger = 0
        return pin

    def __init__(self, id, mode=-1, pull=-1, *, value=None):
        self.init(mode, pull, value=value)

    def init(self, mode=-1, pull=-1, *, value=None):
        if mode != -1:
            if mode & 2 and self.id >= _FIRST_INPUT_ONLY:
                raise ValueError("pin can only be input")
            self._out = bool(mode & 2)
        if pull == 2 and not self._out:
            self._level = 1
        if value is not None:
            self.value(value)

    def value(self, level=None):
        if level is None:
            return self._level
        level = 1 if level else 0
        if self._out and level != self._level:
            _air.write_pin(self.id, level)
        self._level = level
        return None

    __call__ = value

    def on(self):
        self.value(1)

    def off(self):
        self.value(0)

    def irq(self, handler=None, trigger=3, wake=None):
        if trigger >= Pin.WAKE_LOW and wake is not None:  # what the pin called before it still calls
            if self.id not in _RTC:
                raise ValueError("invalid pin for wake")
            _air.wakes = lambda: self._level == trigger - Pin.WAKE_LOW
            return
        self._handler = handler
        self._trigger = trigger


def _pin_changed(id, level):
    pin = Pin(id)
    edge = 0 if pin._level == level else 1 if level else 2
    pin._level = level
    if edge & pin._trigger and pin._handler and not _air.asleep:
        _air.enter_handler()
        try:
            pin._handler(pin)
        finally:
            _air.leave_handler()


_air.pin_changed = _pin_changed
