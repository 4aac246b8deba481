"""Answers the companion's requests, one function per operation (docs/protocol.md, section 4).

Runs inside an established session only. Checks what is asked, asks the owners of clock, state, log and addresses to do
it, and turns failures into a status.
"""

from anontrace_primitives import x25519
from anontrace_shared import commands, errors

from . import health, store
from .version import BUILD, VERSION

_MS_OF_2025 = 1735689600000
_MS_OF_2100 = 4102444800000
_MOST_INTERVAL_MS = 10240  # Bluetooth's limit for advertising and for scanning
_LEAST_ADVERTISING_MS = 20
_LEAST_SCAN_MS = 3
_SCALAR = b"\x08" * 32  # any: to try whether a key is of low order


class Refusal(Exception):
    """A status other than done."""

    def __init__(self, status):
        super().__init__(status)
        self.status = status


async def answer(badge, request, reply, uptime_ms):
    """Do what `request` (plaintext) asks and send every response by `await reply(plaintext)`.

    `uptime_ms`: when the request arrived.
    """
    op = request[0]
    try:
        op, values = commands.decode_request(request)
        if op == commands.LOG_READ:
            await _stream(op, _log_read(badge, *values), reply)
            return
        if op == commands.CRASH_LOG:
            await _stream(op, _pieces(health.crash_log()), reply)
            return
        if op == commands.SET_TIME:
            values += (uptime_ms,)
        result = await _OPERATIONS[op](badge, *values)
        response = commands.encode_response(op, commands.DONE, *result)
    except errors.FormatError:
        response = bytes((op, commands.MALFORMED))
    except Refusal as refusal:
        response = bytes((op, refusal.status))
    except OSError:
        response = bytes((op, commands.STORAGE_FAILED))
    await reply(response)


async def _stream(op, pieces, reply):
    """Every piece but the last as MORE."""
    last = b""
    for piece in pieces:
        if last:
            await reply(commands.encode_response(op, commands.MORE, last))
        last = piece
    await reply(commands.encode_response(op, commands.DONE, last))


def _pieces(data):
    for at in range(0, len(data), commands.MOST_DATA):
        yield data[at : at + commands.MOST_DATA]


def _require(condition, status):
    if not condition:
        raise Refusal(status)


async def _info(badge):
    state, clock, logbook = badge.state, badge.clock, badge.logbook
    flags = (
        (commands.TIME_KNOWN if clock.known else 0)
        | (commands.PROVISIONED if state.mode != store.UNPROVISIONED else 0)
        | (commands.LIST_MODE if state.mode == commands.LIST else 0)
        | (commands.PLACE_BADGE if state.place else 0)
        | (commands.SAFE_MODE if badge.safe else 0)
        | (commands.LOG_WAS_FULL if state.log_was_full else 0)
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
        0,  # no battery is measured
    )


async def _set_time(badge, unix_ms, uptime_ms):
    _require(_MS_OF_2025 <= unix_ms < _MS_OF_2100, commands.REFUSED)
    return (await badge.set_time(unix_ms, uptime_ms),)


async def _provision(badge, provision):
    try:
        x25519(_SCALAR, provision.log_key)
    except ValueError:  # nothing could be sealed to it
        raise Refusal(commands.REFUSED) from None
    state = badge.state
    state.mode = provision.mode
    state.log_key = provision.log_key
    state.horizon = provision.horizon
    state.day = provision.day or 0
    state.day_key = provision.day_key or bytes(32)
    state.save_over()
    if provision.mode == commands.RATCHET:
        badge.addresses.erase()
    else:
        badge.addresses.forget()
    await badge.renew()
    return ()


async def _addresses(badge, first_slot, addresses):
    _require(badge.state.mode == commands.LIST, commands.NOT_PROVISIONED)
    badge.addresses.store_list(first_slot, addresses)
    return ()


async def _horizon(badge, slot):
    _require(badge.state.mode != store.UNPROVISIONED, commands.NOT_PROVISIONED)
    badge.state.horizon = slot
    badge.state.save()
    await badge.renew()
    return ()


async def _log_list(badge, first):
    numbers = [number for number in badge.logbook.numbers() if number >= first]
    return ([(number, badge.logbook.size(number)) for number in numbers[: commands.MOST_SEGMENTS]],)


def _log_read(badge, number, offset, length):
    _require(number in badge.logbook.numbers(), commands.NO_SUCH_THING)
    return badge.logbook.read(number, offset, length, commands.MOST_DATA)


async def _log_free(badge, below):
    return (badge.logbook.free(below),)


async def _log_rotate(badge):
    return (await badge.rotate(),)


async def _set(badge, setting, value):
    _require(1 <= setting <= len(store.SETTINGS), commands.NO_SUCH_THING)
    state = badge.state
    if setting == commands.ADVERTISING_INTERVAL_MS:
        allowed = _LEAST_ADVERTISING_MS <= value <= _MOST_INTERVAL_MS
    elif setting == commands.SCAN_WINDOW_MS:
        allowed = value == 0 or _LEAST_SCAN_MS <= value <= state.scan_ms
    elif setting == commands.SCAN_INTERVAL_MS:
        allowed = max(_LEAST_SCAN_MS, state.window_ms) <= value <= _MOST_INTERVAL_MS
    else:
        allowed = value <= 1
    _require(allowed, commands.REFUSED)
    setattr(state, store.SETTINGS[setting - 1], value)
    state.save()
    badge.tune()
    return ()


async def _erase(badge):
    await badge.erase()
    return ()


async def _restart(badge):
    badge.restart_soon()
    return ()


_OPERATIONS = {
    commands.INFO: _info,
    commands.SET_TIME: _set_time,
    commands.PROVISION: _provision,
    commands.ADDRESSES: _addresses,
    commands.HORIZON: _horizon,
    commands.LOG_LIST: _log_list,
    commands.LOG_FREE: _log_free,
    commands.LOG_ROTATE: _log_rotate,
    commands.SET: _set,
    commands.ERASE: _erase,
    commands.RESTART: _restart,
}
