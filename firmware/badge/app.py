"""The badge: wires the owners of radio, clock, state and log together and turns from slot to slot.

Turning: fall silent, end the interval, seal what was heard, make the next address ahead, overwrite what the memory
still holds of it, and speak again under the new address. Sleeps until something is due or heard.
"""

import asyncio
import gc
import os
import time

import esp32
import machine
from anontrace_primitives import memory
from anontrace_shared import badge_schedule as schedule
from anontrace_shared import challenge, errors, names, slots
from micropython import const

from . import guests, health, sealer, store
from .addresses import Addresses
from .asking import Asking
from .clock import INTERVAL_MS, Clock
from .contacts import Contacts
from .links import Links
from .logbook import Logbook
from .radio import Radio

_REFRESH_MS = const(7000)  # and up to 2.5 s more, drawn each time
_AGAIN_MS = const(2000)
_MINUTE_MS = const(60000)  # the scan interval of the preset `together`
_MAX_REFUSALS = const(30)
_STABLE_MS = const(600000)
_LAST_RESORT_S = const(60)
_DAY_MS = const(86400000)
_SILENCE_MS = const(10000)  # at most, before a turn and after it: half of a third of a minute stays to be heard in
_WAITING_HZ = const(80000000)  # the least that Bluetooth works with; most of a badge's current is the waiting processor
_TALKING_HZ = const(160000000)


class Badge:
    """Everything that runs on one badge."""

    def __init__(self):
        from . import lending  # a guest

        self.state = store.Store()
        lending.take_over(self.state)
        self.state.boot = (self.state.boot + 1) & 0xFFFF
        if health.hung():
            self.state.crashes = min(self.state.crashes + 1, 255)
            health.record("the watchdog struck: the badge hung", 0)
        self.state.save()
        self.safe = self.state.crashes >= health.SAFE_AFTER
        self.dropped = 0  # contacts that were not logged, since boot
        self.clock = Clock(self.state)
        self.logbook = Logbook(self.state)
        guests.leave()  # those of a start
        self.addresses = Addresses(self.state)
        self.contacts = Contacts()
        self.radio = Radio()
        self.links = Links(self.radio, self.clock, self._answer, self._answer_challenge, self.wants_owner, self.report)
        self.interval = None
        self.slot = None  # the Slot being broadcast; None: a beacon
        self.address = None  # what is sent
        self._until = 0, 0  # with so many ms of the interval left it is silent no longer, and again
        self._refusals = 0  # in a row, of the radio to send it
        self._expired = None  # the day (or that since the boot) on which the log was expired last
        self.anchored = self.clock.known  # whether the log tells what the periods since this boot were
        self.turning = asyncio.Lock()
        self.asking = Asking(self.radio, self.clock, self.contacts, self._may_ask, self.turning)
        self._changed = asyncio.Event()
        self.later = None  # the task that a request leaves behind
        self.together = None  # where the badge sleeps between its meetings
        self.hands = None
        if store.owner_key() is None or "board.json" in os.listdir():
            from .hands import Hands

            self.hands = Hands(self)

    async def run(self):
        """Start the radio, then go from slot to slot; never returns."""
        self.tune()
        self.radio.start()
        tasks = [] if self.hands is None else await self.hands.begin()
        watchdog = health.Watchdog()
        await asyncio.gather(self._listen(), self._tick(watchdog), self.asking.run(), *tasks)

    def tune(self):
        """Take over the radio's settings from the state."""
        state = self.state
        if state.scan_ms == _MINUTE_MS:
            if self.together is None:
                from . import together

                self.together = together.begin(self)
            state = self.together
        self.radio.tune(state.advertising_ms, 0 if self.safe else state.window_ms, state.scan_ms)

    async def _listen(self):
        radio = self.radio
        while True:
            hz = _TALKING_HZ if radio.connections else _WAITING_HZ  # who is connected waits for the processor
            if machine.freq() != hz:
                machine.freq(hz)
            await radio.activity.wait()
            self.catch_up()
            if radio.lost:
                radio.lost = False
                self.links.end_all()
            event = radio.next_event()
            while event is not None:
                self.links.handle(*event)
                self.asking.handle(*event[:3])
                event = radio.next_event()

    def _hear(self, ring, cell, ticks):
        """Count an advert, unless it belongs to the next interval: the turn comes in a moment."""
        since_ms = self.clock.since_ms(ticks)
        if since_ms >= INTERVAL_MS:
            return False
        self.contacts.hear(ring, cell, since_ms)
        return True

    def catch_up(self):
        """Count the adverts that wait in the radio."""
        self.radio.drain(self._hear)

    async def _tick(self, watchdog):
        while True:
            watchdog.feed()
            async with self.turning:
                await self.turn(False)
                left = self._speak()
            if self.state.crashes and self.clock.uptime_ms() > _STABLE_MS:
                self.state.crashes = 0
                self.state.save()
            self._changed.clear()
            pause = _AGAIN_MS if self._refusals else _REFRESH_MS + os.urandom(1)[0] * 10
            try:
                await asyncio.wait_for_ms(self._changed.wait(), max(min(left, pause), 1))
            except asyncio.TimeoutError:
                if pause < left and not self._refusals and not self.turning.locked():
                    self._refresh()

    async def turn(self, renew):
        """Go over to the interval that it is now, if it is another; with `renew`, at least take a new address."""
        self._changed.set()
        self.catch_up()
        ended, self.interval = self.interval, self.clock.interval()
        if ended == self.interval and not renew:
            return
        known, number = self.interval
        if ended != self.interval:
            self.dropped += self.contacts.close()
            if known:
                self.clock.keep()
        if known:
            self._try(self.addresses.pass_days, number, self.clock.sure_day() is not None)
        self._broadcast(known, number)
        # Clocks differ, and would tell by the moment of turning which old address goes with which new one. So each
        # silence is drawn anew. Whoever asks for another address has it at once: its moment tells nothing of the clock.
        self._until = INTERVAL_MS if renew or ended is None else INTERVAL_MS - _rest(), _rest()
        self._speak()
        self.catch_up()
        if ended is not None and ended != self.interval:
            await self._seal(ended)
        day = known, slots.day_of(number)
        if self._expired != day:
            try:
                from . import segments  # a guest
            except MemoryError:  # in a crowd: at a later turn, then
                pass
            else:
                self._expired = day
                self._try(segments.expire, self.logbook, self.clock.sure_day(), self.clock.uptime_ms() // _DAY_MS)
        if known and not self.safe:
            self._try(self.addresses.prepare, number + 1)
        if not self.links.in_session:
            guests.leave()
        gc.disable()
        gc.collect()
        # What ESP-IDF has is its own: were the heap to grow by it now, NimBLE would find nothing.
        memory.scrub(max([area[2] for area in esp32.idf_heap_info(esp32.HEAP_DATA)]))
        gc.enable()

    def _try(self, function, *arguments):
        try:
            return function(*arguments)
        except (OSError, errors.FormatError) as error:
            self.report(error)
            return None

    def _broadcast(self, known, number):
        if self.slot is not None:
            self.slot.wipe()
        speaks = known and not self.safe and not self.serving
        self.slot = self._try(self.addresses.enter, number) if speaks else None
        self._hush()
        self.address = self._beacon() if self.slot is None else self.slot.address

    def _speak(self):
        """Speak or be silent, as it is time to; milliseconds until the next that is to be done."""
        left = self.clock.left_ms()
        first, last = self._until
        if left > first:
            return left - first
        if left > last:
            if not self.radio.sent():
                self.change()
            return left - last
        if self.radio.sent():
            self._hush()
        return left

    def _hush(self):
        """End what strangers hold and send nothing more. Listens on."""
        self.links.new_address()
        self.asking.new_address()
        self.radio.leave()

    def change(self):
        """Send what is to be sent now. Where the radio refuses that is tried again soon, and noted once."""
        if self.together is not None and not self.together.active:
            return
        try:
            self.radio.change(self.address)
            self._refusals = 0
        except OSError as error:
            self._refusals += 1
            if self._refusals == 1:
                self.report(error)
            elif self._refusals > _MAX_REFUSALS:  # a reset may help
                raise

    def _refresh(self):
        """Advertise again: after a connection that never came up some chips send nothing of ours, and do not say so."""
        try:
            self.radio.advertise()
        except OSError:
            self.change()

    def _beacon(self):
        key = store.owner_key()
        if key is None:
            if not self.serving:
                return os.urandom(schedule.ADDRESS)
            return schedule.beacon(schedule.beacon_key(names.NO_OWNER), os.urandom(schedule.CONTENT))
        _, number = self.interval
        if self.serving:  # its wearer has just asked for it: it is to be found though its clock is wrong
            number = self.clock.uptime_ms() // INTERVAL_MS
        data = number.to_bytes(4, "little") + self.state.boot.to_bytes(2, "little") + os.urandom(2)
        return schedule.beacon(schedule.beacon_key(key), data)

    async def _seal(self, interval):
        state = self.state
        if state.mode == store.UNPROVISIONED:
            self.contacts.discard()
        else:
            self.dropped += await sealer.seal(
                self.contacts,
                self.logbook,
                state.log_key,
                state.boot,
                *interval,
                self._speak,  # a crowd's takes seconds
            )

    def report(self, error):
        """Note an exception in the crash log."""
        health.record(error, self.clock.uptime_ms() // 1000)

    def _answer(self, request, reply, uptime_ms, by_owner):
        from . import requests  # a guest

        return requests.answer(self, request, reply, uptime_ms, by_owner)

    def _may_ask(self):
        return self.state.mode != store.UNPROVISIONED and not self.safe and not self.links.in_session

    def _answer_challenge(self, question):
        slot = self.slot
        if slot is None or slot.secret is None:
            return None
        return challenge.answer(slot.secret, slot.public_key, question, slot.number)

    @property
    def serving(self):
        """Whether the badge is in service mode."""
        return self.hands is not None and self.hands.serving

    def wants_owner(self):
        """Whether a companion may make this badge its own."""
        return self.serving and store.owner_key() is None

    # What the companion and the wearer ask for

    def broadcasts_below(self, horizon):
        """Whether a contact address is on the air whose slot is below `horizon`."""
        return self.slot is not None and self.slot.number < horizon

    async def renew(self):
        """What is to be broadcast has changed."""
        async with self.turning:
            await self.turn(True)

    async def rotate(self):
        """Close the open segment, unless it is empty; the number of the one open now."""
        async with self.turning:
            return self.logbook.rotate()

    async def seal(self):
        """Seal what was heard in this interval up to now."""
        async with self.turning:
            self.catch_up()
            self.dropped += self.contacts.close()
            await self._seal(self.interval)


def _rest():
    return int.from_bytes(os.urandom(2), "little") * _SILENCE_MS >> 16


def main():
    """Run the badge; restart it if it fails."""
    badge = None
    try:
        badge = Badge()
        asyncio.run(badge.run())
    except KeyboardInterrupt:  # from the serial console, which now wants the chip to itself
        health.Watchdog.relax()
    except Exception as error:
        health.record(error, 0 if badge is None else badge.clock.uptime_ms() // 1000)
        try:
            state = store.Store() if badge is None else badge.state
            state.crashes = min(state.crashes + 1, 255)
            state.save()
            hopeless = state.crashes > health.SAFE_AFTER
        except OSError:
            hopeless = True  # the flash is gone: there is no hurry
        if hopeless:
            time.sleep(_LAST_RESORT_S)  # not even safe mode stands: spare battery and flash
        machine.reset()
