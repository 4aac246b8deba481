"""The list of addresses: a file for each day, sealed. Loaded where there is a list, and for who brings one.

A list is sealed under a key of its day, which comes from a day key as slot secrets do; the badge has drawn that itself,
and ratchets it alike. So what opens the addresses of a day that is over is gone, although littlefs keeps its blocks.

A file has 288 entries of 32 bytes: salt (8), and under a pad of it K (20) and CRC-32 of slot and K (4).
"""

import binascii
import os

from anontrace_primitives import hmac_sha256
from anontrace_shared import badge_schedule as schedule
from anontrace_shared import slots
from micropython import const

from . import store

_FOLDER = const("sealed")
_ENTRY = const(32)
_SALT = const(8)


def keep(state, slot, addresses):
    """Keep addresses for the slots from this one on; those of days before the key's are over. OSError."""
    if not state.day:
        state.day = slots.day_of(slot)
        state.save()
    try:
        os.mkdir(_FOLDER)
    except OSError:
        pass
    while addresses:
        day = slots.day_of(slot)
        count = min(len(addresses), (day + 1) * slots.SLOTS_PER_DAY - slot)
        if day >= state.day:
            _keep_day(schedule.day_key(state.day_key, state.day, day), slot, addresses[:count])
        addresses = addresses[count:]
        slot += count


def _keep_day(key, slot, addresses):
    """Seal addresses for the slots from this one on, all of one day, under the key of that day."""
    path = _path(slots.day_of(slot))
    try:
        os.stat(path)
        mode = "r+b"
    except OSError:
        mode = "w+b"
    with open(path, mode) as file:
        if mode == "w+b":
            for _ in range(slots.SLOTS_PER_DAY):
                file.write(bytes(_ENTRY))
        file.seek(slot % slots.SLOTS_PER_DAY * _ENTRY)
        for address in addresses:
            salt = os.urandom(_SALT)
            file.write(salt + _mask(address + _check(slot, address), key, slot, salt))
            slot += 1


def read(key, slot):
    """The address for a slot by the key of its day, None if there is none."""
    try:
        with open(_path(slots.day_of(slot)), "rb") as file:
            file.seek(slot % slots.SLOTS_PER_DAY * _ENTRY)
            entry = file.read(_ENTRY)
    except OSError:
        return None
    if len(entry) != _ENTRY:
        return None
    entry = _mask(entry[_SALT:], key, slot, entry[:_SALT])
    address = entry[: schedule.ADDRESS]
    return address if entry[schedule.ADDRESS :] == _check(slot, address) else None


def drop(today):
    """Remove the files of the days before today; of all days without one."""
    try:
        days = os.listdir(_FOLDER)
    except OSError:
        return
    for day in days:
        if today is None or int(day, 16) < today:
            store.remove(_FOLDER + "/" + day)


def _path(day):
    return "%s/%08x" % (_FOLDER, day)


def _mask(data, key, slot, salt):
    """Address and check, XORed with what nobody knows without the day's key; the same way back."""
    pad = hmac_sha256(key, b"anontrace/1 list" + slots.slot_bytes(slot) + salt)
    return bytes([one ^ other for one, other in zip(data, pad)])  # noqa: B905  (MicroPython's has no strict)


def _check(slot, address):
    return binascii.crc32(slots.slot_bytes(slot) + address).to_bytes(4, "little")
