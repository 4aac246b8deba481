"""Challenges contacts: is the badge heard the one whose slot this is (docs/protocol.md, section 5, side B)?

One contact at a time, each once in a slot, the nearest first. Seeks its BLE address, connects, asks, verifies, ends the
connection; one that could not be reached is tried once more. Scanning rests only while connecting. Never while the
owner is there, and not near the end of a slot.
"""

import asyncio
import os

from anontrace_primitives import wipe
from anontrace_shared import challenge, errors, slots
from micropython import const

from . import radio as air

_THIRDS = const(3)  # a minute of being near: whoever passes by is not asked
_NEAR_DBM = const(-75)
_MAX_ASKED = const(6)  # asked in one slot: three seconds of computing, and ten without scanning if nobody answers
_PAUSE_MS = const(8000)
_LEFT_MS = const(36000)  # of the slot, that a challenge may need, and the silence before the turn
_SEEK_MS = const(12000)  # `balanced` hears an advert in one scan window of three, `saver` in one of seven
_REACH_MS = const(2000)
_GIVE_UP_MS = const(1000)
_STEP_MS = const(4000)


class ConnectionGone(OSError):
    """The connection ended, or never came up."""


class Asking:
    """`idle()`: whether the badge is free to ask. `turning`: its lock, under which the address on the air stays."""

    def __init__(self, radio, clock, contacts, idle, turning):
        self.radio = radio
        self.clock = clock
        self.contacts = contacts
        self.idle = idle
        self.turning = turning
        self.wake = asyncio.Event()
        self.connection = None
        self.events = {}  # event: value, of the running challenge
        self.asked = 0  # in this slot
        self._missed = None  # the contact that could not be reached last time: two may have tried each other at once
        self.put = False  # whether the question has gone out

    def handle(self, event, connection, value):
        """Take an event from the radio; those of other connections are none of ours."""
        if event == air.IRQ_PERIPHERAL_CONNECT:
            self.connection = connection
        elif event == air.IRQ_PERIPHERAL_DISCONNECT:
            self.connection = None
        elif connection != self.connection:
            return
        self.events[event] = value
        self.wake.set()

    def new_address(self):
        """The badge takes a new address now: the connection made from the old one ends."""
        self.asked = 0
        self._missed = None
        if self.connection is not None:
            self.radio.disconnect(self.connection)

    async def run(self):
        """Challenge whom there is to challenge; never returns."""
        while True:
            await asyncio.sleep_ms(_PAUSE_MS + os.urandom(1)[0] * 32)  # so that two badges do not try at one time
            if self.idle() and self.clock.known and self.clock.left_ms() > _LEFT_MS:
                await self.ask()

    async def ask(self):
        """Challenge the next contact, if there is one to be asked."""
        # A function of its own: its frame, which knows the contact's address, does not outlive the challenge.
        address = self.contacts.candidate(_THIRDS, _NEAR_DBM) if self.asked < _MAX_ASKED else None
        if address is None:
            return
        self.asked += 1
        last = address == self._missed
        self._missed = None
        passed = self.put = False
        try:
            passed = await self._passes(address)
        except (OSError, asyncio.TimeoutError, errors.AnontraceError):
            pass  # it has gone, does not answer, or answers wrong
        finally:
            self.events.clear()
            self.radio.forget()
        if self.put or last:
            self.contacts.mark(address, passed)
        elif self.asked:  # else the slot has ended meanwhile
            self._missed = address

    async def _until(self, events, ms):
        """Wait for one of these events. TimeoutError, and ConnectionGone."""
        deadline = self.clock.uptime_ms() + ms
        while True:
            for event in events:
                if event in self.events:
                    return event
            if air.IRQ_PERIPHERAL_DISCONNECT in self.events:
                raise ConnectionGone
            self.wake.clear()
            await asyncio.wait_for_ms(self.wake.wait(), max(deadline - self.clock.uptime_ms(), 1))

    async def _passes(self, address):
        radio = self.radio
        radio.seek(address)
        deadline = self.clock.uptime_ms() + _SEEK_MS
        while radio.found() is None:
            if self.clock.uptime_ms() > deadline:
                return False
            await asyncio.sleep_ms(200)
        secret = bytearray(os.urandom(32))
        asked = challenge.question(secret)
        self.events.clear()
        try:
            async with self.turning:
                await self._reach(*radio.found())
            connection = self.connection
            if connection is None:
                return False
            radio.exchange_mtu(connection)
            await self._until((air.IRQ_MTU_EXCHANGED,), _STEP_MS)
            radio.find_challenge(connection)
            await self._until((air.IRQ_GATTC_CHARACTERISTIC_DONE,), _STEP_MS)
            if air.IRQ_GATTC_CHARACTERISTIC_RESULT not in self.events:
                return False
            radio.write(connection, self.events[air.IRQ_GATTC_CHARACTERISTIC_RESULT], asked)
            self.put = True
            await self._until((air.IRQ_GATTC_NOTIFY,), _STEP_MS)
            answer = radio.told()
        finally:
            if self.connection is not None:
                radio.disconnect(self.connection)
        try:
            challenge.verify(secret, asked, answer, address, slots.slot_of(self.clock.unix()))
        finally:
            wipe(secret)
        return True

    async def _reach(self, peer_type, peer):
        """Connect or fail; the badge scans again after it."""
        radio = self.radio
        try:
            radio.reach(peer_type, peer, _REACH_MS)
            try:
                await self._until((air.IRQ_PERIPHERAL_CONNECT, air.IRQ_PERIPHERAL_DISCONNECT), _REACH_MS + _GIVE_UP_MS)
            except asyncio.TimeoutError:
                radio.give_up()
                await self._until((air.IRQ_PERIPHERAL_CONNECT, air.IRQ_PERIPHERAL_DISCONNECT), _GIVE_UP_MS)
        finally:
            radio.resume()
