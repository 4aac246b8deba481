"""What to broadcast in which slot: ratchets the day key, keeps the list (docs/protocol.md, section 1).

A slot is broadcast only below the horizon, and never again once the clock has been behind it. The scalar multiplication
of the coming slot is done ahead, so that addresses change on time.
"""

import binascii
import os

from anontrace_primitives import wipe
from anontrace_shared import names, schedule, slots
from micropython import const

from . import store

_FOLDER = const("list")
_ENTRY = const(24)  # K (20), CRC-32 of slot and K (4)


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
        self._state = state
        self._ready = None  # the Slot made ahead

    def clock_set(self, slot):
        """The clock has been set, to this slot: whatever was broadcast for it or later must not come again."""
        state = self._state
        if slot < state.broadcast and state.barred != state.broadcast:
            state.barred = state.broadcast
            state.save()

    def enter(self, slot):
        """The Slot to broadcast from now on, None if there is none. Durable before it returns: day key, last slot."""
        state = self._state
        self._ratchet(slot)
        if not self._allowed(slot):
            return None
        self.prepare(slot)
        ready, self._ready = self._ready, None
        if ready is not None and state.broadcast != slot:
            state.broadcast = slot
            state.save()
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
        state = self._state
        return state.mode != store.UNPROVISIONED and max(state.broadcast, state.barred + 1) <= slot < state.horizon

    def _ratchet(self, slot):
        """Bring the stored day key to the slot's day and overwrite it; no further than the horizon's day."""
        state = self._state
        if state.mode == names.RATCHET:
            today = slots.day_of(min(slot, state.horizon))
            if today > state.day:
                state.day_key = schedule.day_key(state.day_key, state.day, today)
                state.day = today
                state.save_over()
        elif state.mode == names.LIST:
            self._drop_days(slots.day_of(slot))

    def _make(self, slot):
        state = self._state
        if state.mode == names.LIST:
            address = _read_list(slot)
            return None if address is None else Slot(slot, address)
        day = slots.day_of(slot)
        if day < state.day:
            return None
        secret = bytearray(schedule.slot_secret(schedule.day_key(state.day_key, state.day, day), slot))
        public_key = schedule.public_key(secret)
        return Slot(slot, schedule.contact_address(public_key), secret, public_key)

    def store_list(self, first_slot, addresses):
        """Keep addresses for the slots from first_slot on. OSError if the flash fails."""
        try:
            os.mkdir(_FOLDER)
        except OSError:
            pass
        slot = first_slot
        for address in addresses:
            path = _list_path(slots.day_of(slot))
            try:
                file = open(path, "r+b")
            except OSError:
                file = open(path, "w+b")
                for _ in range(slots.SLOTS_PER_DAY):
                    file.write(bytes(_ENTRY))
            with file:
                file.seek(slot % slots.SLOTS_PER_DAY * _ENTRY)
                file.write(address + _check(slot, address))
            slot += 1
        self.forget()

    def _drop_days(self, today):
        try:
            names = os.listdir(_FOLDER)
        except OSError:
            return
        for name in names:
            if int(name, 16) < today:
                store.remove(_FOLDER + "/" + name)

    def erase(self):
        """Remove the list and what was made ahead of it."""
        self.forget()
        self._drop_days(1 << 32)


def _list_path(day):
    return "%s/%08x" % (_FOLDER, day)


def _check(slot, address):
    return binascii.crc32(slots.slot_bytes(slot) + address).to_bytes(4, "little")


def _read_list(slot):
    try:
        with open(_list_path(slots.day_of(slot)), "rb") as file:
            file.seek(slot % slots.SLOTS_PER_DAY * _ENTRY)
            entry = file.read(_ENTRY)
    except OSError:
        return None
    address = entry[: schedule.ADDRESS]
    return address if len(entry) == _ENTRY and entry[schedule.ADDRESS :] == _check(slot, address) else None
