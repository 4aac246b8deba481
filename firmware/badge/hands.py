"""Light, button and service mode: how the badge shows its state to its wearer, and what they do to it by hand.

Loaded where there is a board.json or no owner. A press begins service mode, eight seconds of it erase everything;
docs/badge.md is what a wearer knows of it. The interrupt handler sets a flag and returns; it allocates nothing.
"""

import asyncio
import time

import machine
from micropython import const

from . import store

_SERVICE_MS = const(300000)
_LOOK_MS = const(40)  # between two looks at the button, longer than its contacts bounce
_WARN_MS = const(3000)  # from here on the light flickers, and letting go does nothing
_ERASE_MS = const(8000)
_ERASED_MS = const(2000)
_FLASH_MS = const(30)
_GAP_MS = const(270)
_SECOND_MS = const(1000)
_REST_S = const(8)
_MAX_RSSI = const(20)  # dB by which a board may be said to hear too weakly, or too well

# What the light shows: so many flashes, and a rest; of service mode one flash and hardly a rest.
_SERVICE = const(0)
_BROADCASTING = const(1)
_NOTHING_TO_BROADCAST = const(2)
_NOT_PROVISIONED = const(3)
_SAFE = const(4)

_ANY = const(0x3FFFFFFF)  # beyond every slot


class Hands:
    """`badge` is the app's Badge. Whatever is wrong with board.json, the badge goes on without it."""

    def __init__(self, badge):
        self.serving = False
        self._badge = badge
        self._until = 0  # uptime at which service mode ends
        self._called = asyncio.Event()
        self._edge = asyncio.ThreadSafeFlag()
        self._led = self._button = None
        self._held = False  # the button has the light
        try:
            from . import board  # a guest

            self._take_up(board.load())
        except Exception as error:
            self._led = self._button = None
            print("board.json:", error)

    def _take_up(self, has):
        self._badge.contacts.rssi = min(max(has.get("rssi", 0), -_MAX_RSSI), _MAX_RSSI)
        pin = machine.Pin
        if "led" in has:
            self._on = has["led_on"]
            self._led = pin(has["led"], pin.OUT, value=self._on ^ 1)
        if "button" in has:
            self._pressed = has["pressed"]
            self._button = pin(has["button"], pin.IN, pin.PULL_DOWN if self._pressed else pin.PULL_UP)
            self._button.irq(self._irq, pin.IRQ_RISING if self._pressed else pin.IRQ_FALLING)

    def _irq(self, pin):
        self._edge.set()

    async def begin(self):
        """After boot: finish an erasing that was cut off; without owner and button, serve. The tasks to be run."""
        if self._badge.state.erasing:
            await self._erase()
        if self._button is None and store.owner_key() is None:
            self.serve()
        tasks = [self._serve()]
        if self._led is not None:
            tasks.append(self._shine())
        if self._button is not None:
            tasks.append(self._feel())
        return tasks

    # Service mode

    def serve(self):
        """Be findable for a companion, for five minutes from now."""
        self._until = self._badge.clock.uptime_ms() + _SERVICE_MS
        self._called.set()

    def rest(self):
        """No companion needs the badge in service mode any more."""
        self._until = 0

    async def _serve(self):
        badge = self._badge
        while True:
            await self._called.wait()
            self._called.clear()
            self.serving = True
            await badge.renew()
            while badge.clock.uptime_ms() < self._until:
                await asyncio.sleep_ms(_SECOND_MS)
            self.serving = False
            await badge.renew()

    # Light

    def _status(self):
        badge = self._badge
        if self.serving:
            return _SERVICE
        if badge.safe:
            return _SAFE
        if badge.state.mode == store.UNPROVISIONED:
            return _NOT_PROVISIONED
        return _BROADCASTING if badge.broadcasts_below(_ANY) else _NOTHING_TO_BROADCAST

    def _light(self, on):
        if self._led is not None:
            self._led.value(self._on if on else self._on ^ 1)

    async def _shine(self):
        while True:
            shown = self._status()
            for _ in range(shown or 1):
                if not self._held:
                    self._light(True)
                    await asyncio.sleep_ms(_FLASH_MS)
                if not self._held:
                    self._light(False)
                await asyncio.sleep_ms(_GAP_MS)
            for _ in range(_REST_S if shown else 1):
                await asyncio.sleep_ms(_SECOND_MS)
                if self._status() != shown:
                    break

    # Button

    async def _feel(self):
        while True:
            await self._edge.wait()
            held = await self._hold()
            if 0 < held < _WARN_MS:
                self.serve()

    async def _hold(self):
        """For how many ms the button was pressed, 0 if it was not: it was let go when two looks in a row say so."""
        began = time.ticks_ms()
        held = away = 0
        while away < 2:
            await asyncio.sleep_ms(_LOOK_MS)
            if self._button.value() != self._pressed:
                away += 1
                continue
            away = 0
            before, held = held, time.ticks_diff(time.ticks_ms(), began)
            if held >= _WARN_MS and before < _ERASE_MS:
                self._held = True
                self._light(held >= _ERASE_MS or held // _LOOK_MS & 1)
                if held >= _ERASE_MS:
                    await self._erase()
        if held >= _ERASE_MS:
            await asyncio.sleep_ms(_ERASED_MS)
        self._light(False)
        self._held = False
        return held

    async def _erase(self):
        from . import owner  # a guest

        self.rest()
        try:
            await owner.give_up(self._badge)
        except OSError as error:
            self._badge.report(error)
