"""Keeping a badge going: set its clock, pull and free its log, extend its horizon (docs/protocol.md, section 4).

A segment is stored durably and completely in the state folder before the badge is allowed to free it; a broken transfer
continues at the byte where it stopped. A sync has limits, however much the badge says that it holds: the rest is left
to the next one. Never looks into the log beyond its framing.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from anontrace_shared import commands
from anontrace_shared.slots import slot_of

from anontrace import clock
from anontrace.companion.badge.link import BadgeLink
from anontrace.companion.errors import BadgeAnswerError, BadgeRefusedError
from anontrace.companion.reports.contact_log import count
from anontrace.companion.store.badges import LIST, Badge
from anontrace.companion.store.state import State

READ_BYTES = 8 * 958  # asked for at once, and made durable together
MAX_SECONDS = 900.0  # for which one sync fetches log; a megabyte takes a minute
MAX_BYTES = 16 << 20  # that one sync fetches; a place badge may hold nearly as much
MAX_KEPT = 64 << 20  # of log in a state folder, however many syncs: a busy place's month has a third of that
MAX_SEGMENT = 1 << 20  # bytes of one segment; the reference badge's have 65432
MAX_LISTED = 10_000  # segments that one sync looks at
_NUMBERS = 1 << 32  # that segments can have

FLAGS = {
    commands.TIME_KNOWN: "time known",
    commands.PROVISIONED: "provisioned",
    commands.LIST_MODE: "list mode",
    commands.PLACE_BADGE: "place badge",
    commands.SAFE_MODE: "safe mode",
    commands.LOG_WAS_FULL: "log was full",
    commands.TOGETHER: "together",
}

Progress = Callable[[int, int], None]  # bytes done, bytes in all


@dataclass
class Synced:
    """What a sync did, added up over the attempts it took."""

    clock_correction_ms: int = 0
    segments: int = 0
    bytes: int = 0
    blocks: int = 0
    records: int = 0
    freed: int = 0
    horizon: int = 0
    log_was_full: bool = False
    info: Any = field(default=None, repr=False)  # commands.Info
    left: list[int] = field(default_factory=list)  # segments that did not come whole, and stay on the badge
    at_limit: bool = False  # there is more log than one sync takes
    room: int = MAX_KEPT  # bytes of log that the state folder has room for still
    began: float = field(default_factory=time.monotonic)
    counted: set[int] = field(default_factory=set)  # segments, each once, in however many attempts it came

    @property
    def unfinished(self) -> str | None:
        """What of the log was not fetched, as the wearer reads it; None if nothing is missing."""
        if self.left:
            some = ", ".join(map(str, self.left[:3])) + (", ..." if len(self.left) > 3 else "")
            return (
                f"a part of the log could not be fetched from the badge, which keeps it (segment {some}); {self.bytes}"
                " bytes were fetched and are kept, and the next sync tries again"
            )
        if self.at_limit and self.room <= 0:
            return (
                f"this computer has {MAX_KEPT >> 20} MiB of log, more than any badge records in a month, and fetches no"
                " more until the oldest of it is forgotten; is a badge broken? what it said can be forgotten with it:"
                " anontrace badge forget N"
            )
        if self.at_limit:
            return (
                f"the badge has more log than one sync fetches; {self.bytes} bytes were fetched and are kept, and the"
                " next sync goes on from there"
            )
        return None

    def may_fetch(self) -> bool:
        """Whether the limits leave room; if not, that is noted."""
        over = time.monotonic() - self.began >= MAX_SECONDS
        self.at_limit = over or self.bytes >= MAX_BYTES or self.room <= 0
        return not self.at_limit


async def set_time(link: BadgeLink) -> int:
    """Set the badge's clock; returns the correction in milliseconds."""
    (correction,) = await link.ask(commands.SET_TIME, round(clock.now() * 1000))
    return int(correction)


async def sync(state: State, link: BadgeLink, badge: Badge, done: Synced, progress: Progress) -> None:
    """All that is due with the badge; `done` is filled in as it goes."""
    done.clock_correction_ms = await set_time(link)
    await _note_full(state, link, badge, done)
    await pull(state, link, badge, done, progress)
    done.horizon = await send_horizon(state, link, badge, badge.mode)
    done.info = await link.info()
    state.badges.set_synced(badge, describe(done.info) | {"log_was_full": done.log_was_full}, int(clock.now()))


async def _note_full(state: State, link: BadgeLink, badge: Badge, done: Synced) -> None:
    """Learn whether the badge had to drop days. It forgets that once its log is freed, so it is made durable before."""
    info = await link.info()
    if info.flags & commands.LOG_WAS_FULL:
        state.badges.set_info(badge, describe(info) | {"log_was_full": True, "unfinished": True})
        done.log_was_full = True
    elif badge.info.get("unfinished"):  # the sync that learned it was broken off before it could say so
        done.log_was_full = True


async def pull(state: State, link: BadgeLink, badge: Badge, done: Synced, progress: Progress) -> None:
    """Close the open segment, fetch all closed ones, make them durable, and let the badge free them.

    Freeing takes all below a number, so it ends before the first segment that did not come whole: `done.unfinished`.
    """
    (end,) = await link.ask(commands.LOG_ROTATE)
    listed, is_all = await _list(link)
    segments = [(number, size) for number, size in listed if number < end]
    total, fetched, below = sum(size for _, size in segments if size <= MAX_SEGMENT), 0, 0
    done.left, done.at_limit, done.room = [], False, MAX_KEPT - state.logs.size()

    def have(more: int) -> None:
        nonlocal fetched
        fetched += more
        progress(fetched, total)

    for number, size in segments:
        stored = await _fetch(state, link, badge, number, size, done, have) if size <= MAX_SEGMENT else 0
        if stored == size:
            _count(done, number, state.logs.segment(badge.number, badge.era, number))
            below = below if done.left else number + 1
        elif done.at_limit:
            break
        else:
            done.left.append(number)
    done.at_limit = done.at_limit or not is_all
    if below:
        (freed,) = await link.ask(commands.LOG_FREE, below)
        done.freed += freed


async def _fetch(
    state: State, link: BadgeLink, badge: Badge, number: int, size: int, done: Synced, have: Callable[[int], None]
) -> int:
    """Fetch and store what is not stored yet of a segment. Returns how many bytes are stored then: fewer than `size` if
    the badge's copy ends earlier or cannot be read on, or a limit is reached; more if it contradicts what it said once.
    """
    offset = state.logs.pulled(badge.number, badge.era, number)
    have(offset)
    while offset < size and done.may_fetch():
        piece = bytearray()
        with suppress(BadgeRefusedError):  # what came before is as good as ever
            async for data in link.stream(commands.LOG_READ, number, offset, min(READ_BYTES, size - offset)):
                piece += data
        if not piece:
            break
        state.logs.append(badge.number, badge.era, number, offset, bytes(piece), state.moment())
        offset += len(piece)
        done.bytes += len(piece)
        done.room -= len(piece)
        have(len(piece))
    return offset


def _count(done: Synced, number: int, segment: bytes) -> None:
    """Add a whole segment."""
    if number not in done.counted:
        done.counted.add(number)
        blocks, records = count(segment)
        done.segments += 1
        done.blocks += blocks
        done.records += records


async def _list(link: BadgeLink) -> tuple[list[tuple[int, int]], bool]:
    """Segments of the badge with their sizes, lowest first, and whether these are all; the badge tells 100 at a time.

    BadgeAnswerError unless their numbers rise.
    """
    segments: list[tuple[int, int]] = []
    first = 0
    while len(segments) < MAX_LISTED and first < _NUMBERS:
        (some,) = await link.ask(commands.LOG_LIST, first)
        for number, _ in some:
            if number < first:
                raise BadgeAnswerError("the badge lists its log in a way that makes no sense; update its firmware")
            first = number + 1
        segments += some
        if len(some) < commands.MAX_SEGMENTS:
            return segments, True
    return segments, False


async def send_horizon(state: State, link: BadgeLink, badge: Badge, mode: int | None) -> int:
    """Tell the badge how far its addresses are confirmed without a gap from now on; a list badge gets them too."""
    slot = slot_of(clock.now())
    horizon = state.addresses.confirmed_until(badge.number, slot)
    if mode == LIST:
        addresses = list(state.addresses.contact_addresses(badge.number, slot, horizon).values())
        for at in range(0, len(addresses), commands.MAX_ADDRESSES):
            await link.ask(commands.ADDRESSES, slot + at, addresses[at : at + commands.MAX_ADDRESSES])
    state.badges.set_horizon(badge, horizon)
    await link.ask(commands.HORIZON, horizon)
    return horizon


def describe(info: Any) -> dict[str, Any]:
    """The badge's info as the commands show it."""
    return {
        "firmware": f"{info.major}.{info.minor}.{info.patch}",
        "build": info.build,
        "flags": [name for flag, name in FLAGS.items() if info.flags & flag],
        "time": info.unix_time,
        "uptime": info.uptime,
        "boot": info.boot,
        "horizon": info.horizon,
        "first_segment": info.first_segment,
        "open_segment": info.open_segment,
        "log_bytes": info.log_bytes,
        "records_dropped": info.dropped,
        "battery_mv": info.battery_mv,
    }
