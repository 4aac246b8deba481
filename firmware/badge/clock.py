"""Owner of the time: uptime, unix time where it is known, the running interval (docs/protocol.md, sections 1 and 3).

An interval is a slot, or, while the time is unknown, a period of 300 s since boot. The time is unknown after a power
loss until the companion sets it; the RTC carries it over a reset. Once the companion has moved it by more than an hour
it is in doubt, until a sync on a later day finds it right: a computer may be wrong, and what is deleted stays deleted.
"""

import time

import machine
from micropython import const

INTERVAL_MS = 300000
_PORT_EPOCH = 946684800 if time.gmtime(0)[0] == 2000 else 0  # the ESP32 counts from 2000, the Unix port from 1970
_PLAUSIBLE = const(1735689600)  # 2025: an RTC that says less has lost the time
_UNITS = const(10000000)  # of the rate, in one
_MAX_RATE = const(500)  # 50 ppm: a bad crystal in the cold
_SLACK_MS = const(2000)  # by which two of the companion's messages may differ in how long they took
_HOUR_MS = const(3600000)
_DAY_S = const(86400)
_DOUBT_DAYS = const(30)  # by then all that was there when the doubt began has been kept for as long as it should be


class Clock:
    """Everybody asks here what time it is; only the companion's request sets it. `state` is the badge's Store."""

    def __init__(self, state):
        self.state = state
        self._ticks = time.ticks_ms()
        self.uptime = 0
        self._rest = 0  # of the correction, in tenths of ppm of a millisecond
        self._offset = None  # unix time minus uptime, ms; None while the time is unknown
        self._began = 0  # uptime at which the interval last asked for began
        now = time.time_ns() // 1000000 + _PORT_EPOCH * 1000
        if now >= _PLAUSIBLE * 1000:
            self._offset = now

    def uptime_ms(self):
        """Milliseconds since boot, by the crystal and what is known of its error; to be asked every six days at least,
        since the chip's ticks wrap."""
        ticks = time.ticks_ms()
        passed = time.ticks_diff(ticks, self._ticks)
        self._ticks = ticks
        self._rest += passed * self.state.rate
        whole = self._rest // _UNITS
        self._rest -= whole * _UNITS
        self.uptime += passed + whole
        return self.uptime

    @property
    def known(self):
        """Whether unix time is known."""
        return self._offset is not None

    def unix(self):
        """Unix time in seconds, 0 while unknown."""
        return 0 if self._offset is None else (self._offset + self.uptime_ms()) // 1000

    def sure_day(self):
        """Today, None while that is not known, or in doubt."""
        today = self.unix() // _DAY_S
        return today if today > self.state.doubted + _DOUBT_DAYS else None

    def set(self, unix_ms, uptime_ms):
        """Take over the time that the companion told at `uptime_ms`. The correction in ms, 0 if no time was known.

        The state is to be saved after it.
        """
        offset = unix_ms - uptime_ms
        correction = 0 if self._offset is None else offset - self._offset
        state = self.state
        today = unix_ms // 1000 // _DAY_S
        if self._offset is None or abs(correction) > _HOUR_MS:
            state.doubted = today
        elif today > state.doubted:
            state.doubted = 0
        self._learn(correction, unix_ms // 1000)
        self._offset = offset
        self.keep()
        return correction

    def _learn(self, correction, unix):
        """Correct the rate by what the clock has gone wrong since the last sync: by all of it after a day or more, else
        by its part of a day, since a message may be late; by nothing if it is more than a crystal can do."""
        state = self.state
        passed = unix - state.synced
        if self._offset is not None and state.synced and 0 < passed and abs(correction) <= passed // 10 + _SLACK_MS:
            rate = state.rate + correction * 10000 // max(passed, _DAY_S)
            state.rate = min(max(rate, -_MAX_RATE), _MAX_RATE)
        state.synced = unix

    def keep(self):
        """Let the chip's real-time clock have the time: left alone, it comes out of a reset by a coarse oscillator."""
        now = self._offset + self.uptime_ms()
        year, month, day, hour, minute, second, weekday, _ = time.gmtime(now // 1000 - _PORT_EPOCH)
        machine.RTC().datetime((year, month, day, weekday, hour, minute, second, now % 1000 * 1000))

    def interval(self):
        """(known, number): the slot if the time is known, else the period since boot."""
        uptime = self.uptime_ms()
        moment = uptime + (self._offset or 0)
        self._began = uptime - moment % INTERVAL_MS
        return self.known, moment // INTERVAL_MS

    def since_ms(self, ticks):
        """Milliseconds from the beginning of the interval last asked for to these ticks; may lie outside it."""
        return self.uptime + time.ticks_diff(ticks, self._ticks) - self._began

    def left_ms(self):
        """Milliseconds until the interval last asked for ends, 0 if it has."""
        return max(self._began + INTERVAL_MS - self.uptime_ms(), 0)
