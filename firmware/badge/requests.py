"""Answers the companion's requests, one function per operation (docs/protocol.md, section 4): here what a sync needs.

Runs inside an established session only: the owner's or, of a badge without one, anybody's. Checks what is asked, asks
the owners of clock, state, log and addresses to do it, and turns failures into a status.
"""

from anontrace_shared import badge_commands, badge_log, errors, slots
from micropython import const

from . import board, health, store
from .version import BUILD, VERSION

_PIECE = const(468)  # bytes of a log or text in a response: its frame is two notifications, and small gaps are found
_MS_OF_2025 = 1735689600000
_MS_OF_2100 = 4102444800000


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
        require(by_owner or (op in _FOR_ANYBODY and badge.wants_owner()), badge_commands.REFUSED)
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
        operation = _OPERATIONS.get(op)
        if operation is None:
            from . import orders  # a guest, as few sessions need it

            operation = orders.OPERATIONS[op]
        result = await operation(badge, *values)
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
    for at in range(0, len(data), _PIECE):
        yield data[at : at + _PIECE]


def require(condition, status):
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
    require(_MS_OF_2025 <= unix_ms < _MS_OF_2100, badge_commands.REFUSED)
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


async def _horizon(badge, slot):
    require(badge.state.mode != store.UNPROVISIONED, badge_commands.NOT_PROVISIONED)
    badge.state.horizon = slot
    badge.state.save()
    if not badge.broadcasts_below(slot):
        await badge.renew()
    return ()


async def _log_list(badge, first):
    numbers = [number for number in badge.logbook.numbers() if number >= first]
    return ([(number, badge.logbook.size(number)) for number in numbers[: badge_commands.MAX_SEGMENTS]],)


def _log_read(badge, number, offset, length):
    require(number in badge.logbook.numbers(), badge_commands.NO_SUCH_THING)
    from . import segments

    left = min(length, badge.logbook.size(number) - offset)
    return segments.read(badge.logbook, number, offset, length, _PIECE), left


async def _log_free(badge, below):
    from . import segments

    return (segments.free(badge.logbook, below),)


async def _log_rotate(badge):
    return (await badge.rotate(),)


_OPERATIONS = {
    badge_commands.INFO: _info,
    badge_commands.SET_TIME: _set_time,
    badge_commands.HORIZON: _horizon,
    badge_commands.LOG_LIST: _log_list,
    badge_commands.LOG_FREE: _log_free,
    badge_commands.LOG_ROTATE: _log_rotate,
}
_FOR_ANYBODY = (badge_commands.INFO, badge_commands.OWN)
