"""Answers the companion's requests, one function per operation (docs/protocol.md, section 4).

Runs inside an established session only: the owner's or, of a badge without one, anybody's. Checks what is asked, asks
the owners of clock, state, log and addresses to do it, and turns failures into a status.
"""

import asyncio
import os

import machine
from anontrace_primitives import x25519
from anontrace_shared import badge_commands, badge_log, errors, slots
from anontrace_shared import badge_schedule as schedule
from micropython import const

from . import board, health, store
from .version import BUILD, VERSION

_MS_OF_2025 = 1735689600000
_MS_OF_2100 = 4102444800000
_MAX_INTERVAL_MS = const(10240)  # Bluetooth's limit for advertising and for scanning
_MIN_ADVERTISING_MS = const(20)
_MIN_SCAN_MS = const(3)
_MINUTE_MS = const(60000)  # between the meetings of badges that sleep
_MAX_KEEP_DAYS = const(30)
_ANSWER_MS = const(1000)  # in which the radio sends an answer
_SCALAR = b"\x08" * 32  # any: to try whether a key is of low order


class Refusal(Exception):
    """A status other than done."""

    def __init__(self, status):
        super().__init__(status)
        self.status = status


async def answer(badge, request, reply, uptime_ms, by_owner):
    """Do what `request` (plaintext) asks and send every response by `await reply(plaintext)`.

    `uptime_ms`: when the request arrived; `by_owner`: in a session under the owner key, not under that of nobody.
    """
    op = request[0]
    try:
        _require(by_owner or (op in _FOR_ANYBODY and badge.wants_owner()), badge_commands.REFUSED)
        op, values = badge_commands.decode_request(request)
        if op == badge_commands.LOG_READ:
            await _stream(op, *_log_read(badge, *values), reply)
            return
        if op == badge_commands.CRASH_LOG:
            text = health.crash_log()
            await _stream(op, _pieces(text), len(text), reply)
            return
        if op == badge_commands.SET_TIME:
            values += (uptime_ms,)
        result = await _OPERATIONS[op](badge, *values)
        response = badge_commands.encode_response(op, badge_commands.DONE, *result)
    except errors.FormatError:
        response = bytes((op, badge_commands.MALFORMED))
    except Refusal as refusal:
        response = bytes((op, refusal.status))
    except OSError:
        response = bytes((op, badge_commands.STORAGE_FAILED))
    await reply(response)


async def _stream(op, pieces, left, reply):
    """Pieces of `left` bytes in all, every one but the last as MORE; none is held beside the next.

    The file that they come from is closed at the last piece, and if nobody takes one: a file that is left to the
    collector is in littlefs's list of open ones until then, also when it is to be removed.
    """
    try:
        for piece in pieces:
            left -= len(piece)
            if left <= 0:
                break
            await reply(badge_commands.encode_response(op, badge_commands.MORE, piece))
        else:
            piece = b""  # there was nothing, or less than there should be
    finally:
        pieces.close()
    await reply(badge_commands.encode_response(op, badge_commands.DONE, piece))


def _pieces(data):
    for at in range(0, len(data), badge_commands.MAX_DATA):
        yield data[at : at + badge_commands.MAX_DATA]


def _require(condition, status):
    if not condition:
        raise Refusal(status)


async def _info(badge):
    state, clock, logbook = badge.state, badge.clock, badge.logbook
    flags = (
        (badge_commands.TIME_KNOWN if clock.known else 0)
        | (badge_commands.PROVISIONED if state.mode != store.UNPROVISIONED else 0)
        | (badge_commands.LIST_MODE if state.mode == badge_commands.LIST else 0)
        | (badge_commands.PLACE_BADGE if state.place else 0)
        | (badge_commands.SAFE_MODE if badge.safe else 0)
        | (badge_commands.LOG_WAS_FULL if state.log_was_full else 0)
        | (badge_commands.TOGETHER if badge.together is not None else 0)
    )
    numbers = logbook.numbers()
    return VERSION + (
        BUILD,
        flags,
        clock.unix(),
        clock.uptime_ms() // 1000,
        state.boot,
        state.horizon,
        numbers[0] if numbers else logbook.open_segment,
        logbook.open_segment,
        logbook.total(),
        badge.dropped,
        board.battery_mv(),
    )


async def _set_time(badge, unix_ms, uptime_ms):
    _require(_MS_OF_2025 <= unix_ms < _MS_OF_2100, badge_commands.REFUSED)
    clock = badge.clock
    async with badge.turning:
        badge.catch_up()
        correction = clock.set(unix_ms, uptime_ms)
        badge.state.save()
        badge.addresses.clock_set(slots.slot_of(clock.unix()))
        if not badge.anchored:
            badge.logbook.begin(badge_log.clock_anchor(badge.state.boot, clock.uptime_ms() // 1000, clock.unix()))
            badge.logbook.commit()
            badge.anchored = True
        await badge.turn(False)
    return (correction,)


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
    _require(badge.state.mode == badge_commands.LIST, badge_commands.NOT_PROVISIONED)
    from . import lists

    lists.keep(badge.state, first_slot, addresses)
    badge.addresses.forget()
    return ()


async def _horizon(badge, slot):
    _require(badge.state.mode != store.UNPROVISIONED, badge_commands.NOT_PROVISIONED)
    badge.state.horizon = slot
    badge.state.save()
    if not badge.broadcasts_below(slot):
        await badge.renew()
    return ()


async def _log_list(badge, first):
    numbers = [number for number in badge.logbook.numbers() if number >= first]
    return ([(number, badge.logbook.size(number)) for number in numbers[: badge_commands.MAX_SEGMENTS]],)


def _log_read(badge, number, offset, length):
    _require(number in badge.logbook.numbers(), badge_commands.NO_SUCH_THING)
    from . import segments

    left = min(length, badge.logbook.size(number) - offset)
    return segments.read(badge.logbook, number, offset, length, badge_commands.MAX_DATA), left


async def _log_free(badge, below):
    from . import segments

    return (segments.free(badge.logbook, below),)


async def _log_rotate(badge):
    return (await badge.rotate(),)


async def _set(badge, setting, value):
    _require(1 <= setting <= len(store.SETTINGS), badge_commands.NO_SUCH_THING)
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
    _require(allowed, badge_commands.REFUSED)
    setattr(state, store.SETTINGS[setting - 1], value)
    state.save()
    badge.tune()
    return ()


async def _erase(badge):
    from . import owner  # a guest, as the others that few sessions need

    await owner.erase(badge)
    return ()


async def _own(badge, key):
    _require(badge.wants_owner() and key != badge_commands.NO_OWNER, badge_commands.REFUSED)
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


_OPERATIONS = {
    badge_commands.INFO: _info,
    badge_commands.SET_TIME: _set_time,
    badge_commands.PROVISION: _provision,
    badge_commands.ADDRESSES: _addresses,
    badge_commands.HORIZON: _horizon,
    badge_commands.LOG_LIST: _log_list,
    badge_commands.LOG_FREE: _log_free,
    badge_commands.LOG_ROTATE: _log_rotate,
    badge_commands.SET: _set,
    badge_commands.ERASE: _erase,
    badge_commands.RESTART: _restart,
    badge_commands.OWN: _own,
}
_FOR_ANYBODY = (badge_commands.INFO, badge_commands.OWN)
