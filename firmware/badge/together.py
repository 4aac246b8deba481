"""The preset `together`: sleeps with the radio off, and wakes once a minute when all others do (shared: beat.py).

Loaded where that preset is set. Whoever is there (a companion, a challenger), service mode, safe mode, and a time that
is not known keep the badge awake, as `balanced`. Where Bluetooth does not come up again it stays with `balanced`.
"""

import asyncio
import gc
import os
import struct
import time

import machine
import micropython
from anontrace_shared import beat
from micropython import const

from . import contacts, store

_INTERVAL_MS = const(300000)
_NAP_MS = const(50000)  # at most; well below the watchdog's patience
_SHORT_MS = const(30)  # a sleep that is not worth it
_AGAIN_MS = const(250)
_ONCE_MS = const(10000)  # an advertising interval of which there is only the beginning
_SCAN_MS = const(1000)  # window and interval: the receiver is always on
_LEAD_MS = const(50)  # beside what the radio took last time to come up
_MAX_FAILURES = const(3)
_MAX_RATE = const(10000)  # of the clock, in tenths of ppm: the oscillator that keeps the time asleep
_SLACK_MS = const(2000)
_LEFT_MS = const(30000)  # of a slot, that a challenge may need: it seeks no longer than a meeting lasts
_DAY_S = const(86400)

# The contacts' table: where its entries begin, where in them the thirds of a minute are (a bit each), their size, each
# in 16-bit words; and how many there are. As in contacts.py.
_ENTRIES = const(516)
_THIRDS = const(10)
_ENTRY = const(16)
_CONTACTS = const(512)
_OLD = const(0x8000)


@micropython.viper
def _fill(table: ptr8, minute: int):  # noqa: F821
    """Who was heard in a minute (the bits of its three thirds) was there for all of it: one meeting stands for it."""
    words = ptr16(table)  # noqa: F821
    at = _ENTRIES + _THIRDS
    end = at + _CONTACTS * _ENTRY
    while at < end:
        heard = int(words[at])
        if heard & minute and not heard & _OLD:
            words[at] = heard | minute
        at += _ENTRY


def begin(badge):
    """Have the badge sleep from now on, until that is no longer its preset."""
    return Together(badge)


class Together:
    """`badge` is the app's Badge. `active`: whether the radio is. Settings: what it does that cannot sleep."""

    advertising_ms, window_ms, scan_ms = 500, 150, 1100  # as `balanced`

    def __init__(self, badge):
        self.active = True
        self._badge = badge
        self._beat = beat.Beat()
        self._centre = None  # of the running meeting, in ms from the beginning of the interval
        self._dither = 0
        self._slot = None  # for which that holds
        self._crowd = 0  # how many were heard lately
        self._lonely = 0  # meetings until a search
        self._missed = beat.MISSED + 1  # meetings since there was anybody
        self._synced = None  # by the companion, for the last time that is known here
        self._lead = 4 * _LEAD_MS
        self._failures = 0
        hands = badge.hands
        if hands is not None and hands._button is not None:
            pin = machine.Pin
            try:
                hands._button.irq(trigger=pin.WAKE_HIGH if hands._pressed else pin.WAKE_LOW, wake=machine.SLEEP)
            except ValueError:
                pass  # this pin cannot end a sleep: it has to be held until the badge wakes
        # In place of three of the badge's own, so that other presets do not pay for them.
        badge.clock._learn = self._learn
        self._count = badge._hear
        self._may_ask, badge.asking.idle = badge.asking.idle, self._never
        badge._hear = self._hear
        self._task = asyncio.create_task(self._run())

    def _learn(self, correction, unix):
        """As the clock does of a crystal: its rate, by what it has gone wrong since the last sync."""
        state = self._badge.state
        passed = unix - state.synced
        if self._badge.clock.known and state.synced and 0 < passed and abs(correction) <= 2 * passed + _SLACK_MS:
            rate = state.rate + correction * 10000 // max(passed, _DAY_S)
            state.rate = min(max(rate, -_MAX_RATE), _MAX_RATE)
        state.synced = unix

    @staticmethod
    def _never():
        """Contacts are challenged in the meetings only."""
        return False

    def _hear(self, ring, cell, ticks):
        """Count an advert as the badge does; and who keeps to meetings tells how far off this one is."""
        if not self._count(ring, cell, ticks):
            return False
        if self._centre is not None:
            self._beat.hear(ring, cell, self._badge.clock.since_ms(ticks) - self._centre)
        return True

    async def _run(self):
        badge = self._badge
        try:
            while badge.state.scan_ms == beat.PERIOD_MS:
                if not self._idle():
                    if not self.active:
                        self._start()
                    await asyncio.sleep_ms(_AGAIN_MS)
                    continue
                searching = self._expect()
                centre = await self._sleep(beat.SEARCH_MS if searching else self._reach())
                if self._start(centre is not None) and centre is not None:
                    try:
                        await self._meet(centre, searching)
                        self._failures = 0
                    except MemoryError as error:
                        self._fail(error)
            badge.together = None
            badge._hear, badge.asking.idle = self._count, self._may_ask
            del badge.clock._learn
            badge.state.rate = 0  # of the other oscillator: more than a crystal can do is not unlearned
            badge.state.save()
            badge.tune()
        except Exception as error:
            badge.report(error)
            self._give_up()

    def _idle(self):
        """Whether nobody needs the badge awake."""
        badge = self._badge
        later = badge.later
        return (
            badge.clock.known
            and not badge.safe
            and not badge.serving
            and badge.state.mode != store.UNPROVISIONED
            and not badge.radio.connections
            and not badge.turning.locked()
            and not self._pressed()
            and (later is None or later.done())
        )

    def _pressed(self):
        hands = self._badge.hands
        return hands is not None and hands._button is not None and hands._button.value() == hands._pressed

    def _reach(self):
        """How long before and after the centre it listens, in ms: longer while somebody who was there is missed."""
        missed = self._missed if self._missed <= beat.MISSED else 0
        return beat.half_ms(self._crowd) + beat.GUARD_MS + beat.DRIFT_MS * missed

    def _expect(self):
        """Whether the next meeting is a search: at once after a start, and a sync, which has put the clock right."""
        synced = self._badge.state.synced
        if synced != self._synced:
            self._beat.shift = 0
            self._lonely = 0
            self._synced = synced
        if self._lonely > 0:
            self._lonely -= 1
            return False
        self._draw()
        return True

    def _draw(self):
        self._lonely = beat.LONELY - 5 + os.urandom(1)[0] % 11

    # Asleep

    async def _sleep(self, reach):
        """Sleep until it is time to switch the radio on; the uptime of the centre, None if somebody came first."""
        badge, clock = self._badge, self._badge.clock
        while True:
            if clock.left_ms() == 0 or badge.turning.locked():  # or another task turns: wait for it, asleep
                async with badge.turning:
                    await badge.turn(False)
            left = clock.left_ms()
            into = _INTERVAL_MS - left
            centre = beat.CENTRE_MS + self._beat.shift
            while centre - reach - self._lead < into - _SHORT_MS:
                centre += beat.PERIOD_MS
            nap = min(centre - reach - self._lead - into, left + 1, _NAP_MS)
            last = centre - reach - self._lead - into <= _SHORT_MS
            if last or not self._idle():
                self._centre = centre if last else None
                return clock.uptime_ms() + centre - into if last else None
            if nap < _SHORT_MS:
                await asyncio.sleep_ms(nap)
                continue
            self._stop()
            if badge.hands is not None and not badge.hands._held:
                badge.hands._light(False)
            machine.lightsleep(nap)
            if self._pressed():
                badge.hands._edge.set()
            await asyncio.sleep_ms(1)  # the others have their turn

    def _stop(self):
        if self.active:
            self.active = False
            radio = self._badge.radio
            radio.forget()
            radio.leave()
            radio._ble.active(False)  # here, so that nobody else pays for it
            gc.collect()  # what the stack gave back is in the way otherwise when it comes up again

    def _start(self, meeting=False):
        """Switch the radio on, if it is off, for a meeting or to be as `balanced`; whether it is on."""
        badge = self._badge
        if not self.active:
            began = time.ticks_ms()
            try:
                badge.radio.start()
            except (OSError, MemoryError) as error:
                self._fail(error)
                badge.radio._ble.active(False)
                return False
            self._lead = time.ticks_diff(time.ticks_ms(), began) + _LEAD_MS
            self.active = True
        if meeting:
            badge.radio.tune(0, _SCAN_MS, _SCAN_MS)
        else:
            badge.tune()
        badge._speak()  # not within the silence around a turn, whoever has come
        return True

    def _fail(self, error):
        self._failures += 1
        self._badge.report(error)
        if self._failures >= _MAX_FAILURES:
            self._give_up()

    def _give_up(self):
        """Bluetooth does not come up, or something else is wrong with sleeping: be `balanced`, from a fresh start."""
        badge = self._badge
        state = badge.state
        state.advertising_ms, state.window_ms, state.scan_ms = self.advertising_ms, self.window_ms, self.scan_ms
        state.rate = 0
        state.save()
        badge.report("the preset `together` does not work here: `balanced` from now on")
        machine.reset()

    # Awake

    async def _meet(self, centre, searching):
        badge, radio, crowd = self._badge, self._badge.radio, self._crowd
        slot = badge.clock.unix() // 300
        if slot != self._slot:
            self._slot = slot
            self._dither = self._random(beat.DITHER_MS)
        self._beat.begin(struct.unpack("<H", os.urandom(2))[0], crowd)
        asking = None
        if badge.clock.left_ms() > _LEFT_MS:
            asking = asyncio.create_task(badge.asking.ask())
        half = beat.half_ms(crowd)
        moments = [centre + self._dither + self._random(half) for _ in range(beat.adverts(crowd))]
        moments.sort()
        reach = beat.SEARCH_MS if searching else self._reach()
        for moment in moments:
            await self._until(moment)
            self._send()
        await self._until(centre + reach)
        badge.catch_up()
        _fill(contacts._TABLE, 7 << 3 * (min(max(self._centre, 0), _INTERVAL_MS - 1) // 60000))
        self._centre = None
        heard = badge.contacts.heard
        self._crowd = max(heard, self._crowd * 3 // 4)
        if self._beat.settle(self._crowd, searching, badge.clock.unix() - badge.state.synced):
            self._draw()
            self._missed = 0
        else:
            self._missed += 1
        if self._idle():
            radio.tune(0, 0, 0)
            part = beat.TAIL_MS // (2 * beat.TAIL_ADVERTS)
            for number in range(beat.TAIL_ADVERTS):
                await self._until(centre + reach + part * (2 * number + 1) + self._random(part))
                self._send()
            await self._until(centre + reach + beat.TAIL_MS)
        if self._idle() and asking is not None and not asking.done():
            asking.cancel()  # whoever it sought was not heard
        if not self._idle():
            badge.tune()

    def _send(self):
        try:
            self._badge.radio.advertise(_ONCE_MS)
        except OSError:
            pass  # one advert of ten

    async def _until(self, uptime):
        left = uptime - self._badge.clock.uptime_ms()
        if left > 0:
            await asyncio.sleep_ms(left)

    @staticmethod
    def _random(most):
        """A whole number from -most to most."""
        return struct.unpack("<H", os.urandom(2))[0] % (2 * most + 1) - most
