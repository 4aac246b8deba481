"""What to broadcast in which slot: ratchets the day key, keeps the list (docs/protocol.md, section 1).

A slot is broadcast only below the horizon, and never again once the clock has been behind it. The scalar multiplication
of the coming slot is done ahead, so that addresses change on time.

What it needs of a list is in lists.py, which is loaded only where there is one.
"""

from anontrace_primitives import wipe
from anontrace_shared import badge_schedule as schedule
from anontrace_shared import names, slots

from . import store


class Slot:
    """A slot's address; in ratchet mode also its secret and public key, with which to answer challenges."""

    def __init__(self, number, address, secret=None, public_key=None):
        self.number = number
        self.address = address
        self.secret = secret
        self.public_key = public_key

    def wipe(self):
        """Forget the secret."""
        if self.secret is not None:
            wipe(self.secret)
            self.secret = None


class Addresses:
    """`state` is the badge's Store."""

    def __init__(self, state):
        self.state = state
        self._ready = None  # the Slot made ahead

    def clock_set(self, slot):
        """The clock has been set, to this slot: whatever was broadcast for it or later must not come again."""
        state = self.state
        if slot < state.broadcast and state.barred != state.broadcast:
            state.barred = state.broadcast
            state.save()

    def enter(self, slot):
        """The Slot to broadcast from now on, None if there is none. Durable before it returns: day key, last slot."""
        state = self.state
        self.pass_days(slot, False)
        if not self._allowed(slot):
            return None
        self.prepare(slot)
        ready, self._ready = self._ready, None
        if ready is not None and state.broadcast != slot:
            state.sent(slot)
        return ready

    def prepare(self, slot):
        """Make ahead what `enter(slot)` will need."""
        if self._ready is not None and self._ready.number != slot:
            self.forget()
        if self._ready is None and self._allowed(slot):
            self._ready = self._make(slot)

    def forget(self):
        """Wipe what was made ahead: it does not hold any more."""
        if self._ready is not None:
            self._ready.wipe()
            self._ready = None

    def _allowed(self, slot):
        state = self.state
        return state.mode != store.UNPROVISIONED and max(state.broadcast, state.barred + 1) <= slot < state.horizon

    def pass_days(self, slot, sure):
        """Bring the stored day key to the slot's day; those of the days before are nowhere then.

        Unless the clock is sure, no further than to the day after the last on which anything may be broadcast: keys
        that a wrong clock has run past do not come back.
        """
        state = self.state
        if state.mode == store.UNPROVISIONED or not state.day:
            return
        today = slots.day_of(slot)
        if not sure:
            today = min(today, slots.day_of(state.horizon) + 1)
        if today > state.day:
            state.day_key = schedule.day_key(state.day_key, state.day, today)
            state.day = today
            state.save()
            if state.mode == names.LIST:
                from . import lists

                lists.drop(today)

    def _make(self, slot):
        state = self.state
        day = slots.day_of(slot)
        if day < state.day or not state.day:
            return None
        key = schedule.day_key(state.day_key, state.day, day)
        if state.mode == names.LIST:
            from . import lists

            address = lists.read(key, slot)
            return None if address is None else Slot(slot, address)
        secret = bytearray(schedule.slot_secret(key, slot))
        public_key = schedule.public_key(secret)
        return Slot(slot, schedule.contact_address(public_key), secret, public_key)

    def erase(self):
        """Remove the list and what was made ahead of it."""
        self.forget()
        from . import lists

        lists.drop(None)
