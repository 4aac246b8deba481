"""machine.ADC of an ESP32, calibrated: measures what the simulator puts on a pin (Badge.set_voltage)."""

import _air
from _pin import Pin
from micropython import const

_CHANNELS = (0, 2, 4, 12, 13, 14, 15, 25, 26, 27, 32, 33, 34, 35, 36, 37, 38, 39)
_HIGHEST_UV = (950000, 1250000, 1750000, 2450000)  # by attenuation; it sees no more


class ADC:
    """An analogue input."""

    ATTN_0DB = const(0)
    ATTN_2_5DB = const(1)
    ATTN_6DB = const(2)
    ATTN_11DB = const(3)

    def __init__(self, pin, *, atten=ATTN_0DB):
        self._id = Pin(pin).id
        if self._id not in _CHANNELS:
            raise ValueError("invalid pin")
        self.atten(atten)

    def atten(self, atten):
        if not 0 <= atten <= 3:
            raise ValueError("invalid atten")
        self._highest = _HIGHEST_UV[atten]

    def read_uv(self):
        return min(_air.voltage(self._id), self._highest)
