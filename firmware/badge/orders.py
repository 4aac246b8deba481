"""Answers the requests that change what a badge is: provision, addresses, settings, owner, erase, restart.

A guest: a sync needs none of them. Protocol section 4.
"""

import asyncio
import os

import machine
from anontrace_primitives import x25519
from anontrace_shared import badge_commands
from anontrace_shared import badge_schedule as schedule
from micropython import const

from . import store
from .requests import Refusal, require

_MAX_INTERVAL_MS = const(10240)  # Bluetooth's limit for advertising and for scanning
_MIN_ADVERTISING_MS = const(20)
_MIN_SCAN_MS = const(3)
_MINUTE_MS = const(60000)  # between the meetings of badges that sleep
_MAX_KEEP_DAYS = const(30)
_ANSWER_MS = const(1000)  # in which the radio sends an answer
_SCALAR = b"\x08" * 32  # any: to try whether a key is of low order


async def _provision(badge, provision):
    try:
        x25519(_SCALAR, provision.log_key)
    except ValueError:  # nothing could be sealed to it
        raise Refusal(badge_commands.REFUSED) from None
    state = badge.state
    if provision.mode == badge_commands.RATCHET:
        state.day, state.day_key = provision.day, provision.day_key
    elif state.mode != badge_commands.LIST:  # a list that is there stays usable
        state.day, state.day_key = 0, os.urandom(schedule.DAY_KEY)
    state.mode = provision.mode
    state.log_key = provision.log_key
    state.horizon = provision.horizon
    state.save()
    if provision.mode == badge_commands.RATCHET:
        badge.addresses.erase()
    else:
        badge.addresses.forget()
    if badge.hands is not None:
        badge.hands.rest()
    await badge.renew()
    return ()


async def _addresses(badge, first_slot, addresses):
    require(badge.state.mode == badge_commands.LIST, badge_commands.NOT_PROVISIONED)
    from . import lists

    lists.keep(badge.state, first_slot, addresses)
    badge.addresses.forget()
    return ()


async def _set(badge, setting, value):
    require(1 <= setting <= len(store.SETTINGS), badge_commands.NO_SUCH_THING)
    state = badge.state
    if setting == badge_commands.ADVERTISING_INTERVAL_MS:
        allowed = _MIN_ADVERTISING_MS <= value <= _MAX_INTERVAL_MS
    elif setting == badge_commands.SCAN_WINDOW_MS:
        allowed = value == 0 or _MIN_SCAN_MS <= value <= state.scan_ms
    elif setting == badge_commands.SCAN_INTERVAL_MS:
        allowed = max(_MIN_SCAN_MS, state.window_ms) <= value <= _MAX_INTERVAL_MS or value == _MINUTE_MS
    elif setting == badge_commands.PLACE:
        allowed = value <= 1
    else:
        allowed = 1 <= value <= _MAX_KEEP_DAYS
    require(allowed, badge_commands.REFUSED)
    setattr(state, store.SETTINGS[setting - 1], value)
    state.save()
    badge.tune()
    return ()


async def _erase(badge):
    from . import owner  # a guest, as the others that few sessions need

    await owner.erase(badge)
    return ()


async def _own(badge, key):
    require(badge.wants_owner() and key != badge_commands.NO_OWNER, badge_commands.REFUSED)
    badge.state.save(key)
    badge.later = asyncio.create_task(_renew_soon(badge))
    return ()


async def _renew_soon(badge):
    await asyncio.sleep_ms(_ANSWER_MS)
    await badge.renew()


async def _restart(badge):
    badge.later = asyncio.create_task(_restart_soon(badge))
    return ()


async def _restart_soon(badge):
    await asyncio.sleep_ms(_ANSWER_MS)
    await badge.seal()
    machine.reset()


OPERATIONS = {
    badge_commands.PROVISION: _provision,
    badge_commands.ADDRESSES: _addresses,
    badge_commands.SET: _set,
    badge_commands.ERASE: _erase,
    badge_commands.RESTART: _restart,
    badge_commands.OWN: _own,
}
