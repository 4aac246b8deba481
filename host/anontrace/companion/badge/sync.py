"""Keeping a badge going: set its clock, pull and free its log, extend its horizon (docs/protocol.md, section 4).

A piece of log is durable in the state folder before the badge is allowed to free it; a broken transfer goes on at the
byte where it stopped. Never looks into the log beyond its framing.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from anontrace_shared import commands
from anontrace_shared.slots import slot_of

from anontrace import clock
from anontrace.companion.badge.link import BadgeLink
from anontrace.companion.contact_log import count
from anontrace.companion.state import State
from anontrace.companion.store.badges import LIST, Badge

READ_BYTES = 8 * 958  # asked for at once, and made durable together

FLAGS = {
    commands.TIME_KNOWN: "time known",
    commands.PROVISIONED: "provisioned",
    commands.LIST_MODE: "list mode",
    commands.PLACE_BADGE: "place badge",
    commands.SAFE_MODE: "safe mode",
    commands.LOG_WAS_FULL: "log was full",
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
    """Close the open segment, fetch all closed ones, make them durable, and let the badge free them."""
    (end,) = await link.ask(commands.LOG_ROTATE)
    segments = [(number, size) for number, size in await _list(link) if number < end]
    total, fetched = sum(size for _, size in segments), 0
    for number, size in segments:
        offset = state.logs.pulled(badge.number, badge.era, number)
        fetched += offset
        while offset < size:
            piece = bytearray()
            async for data in link.stream(commands.LOG_READ, number, offset, min(READ_BYTES, size - offset)):
                piece += data
            if not piece:
                break  # the segment ended earlier than the badge said
            state.logs.append(badge.number, badge.era, number, offset, bytes(piece), int(clock.now()))
            offset += len(piece)
            fetched += len(piece)
            done.bytes += len(piece)
            progress(fetched, total)
        blocks, records = count(state.logs.segment(badge.number, badge.era, number))
        done.segments += 1
        done.blocks += blocks
        done.records += records
    if segments:
        (freed,) = await link.ask(commands.LOG_FREE, end)
        done.freed += freed


async def _list(link: BadgeLink) -> list[tuple[int, int]]:
    """All segments of the badge with their sizes, lowest first; the badge tells 100 at a time."""
    segments: list[tuple[int, int]] = []
    while True:
        (some,) = await link.ask(commands.LOG_LIST, segments[-1][0] + 1 if segments else 0)
        segments += some
        if len(some) < commands.MOST_SEGMENTS:
            return segments


async def send_horizon(state: State, link: BadgeLink, badge: Badge, mode: int | None) -> int:
    """Tell the badge how far its addresses are confirmed without a gap from now on; a list badge gets them too."""
    slot = slot_of(clock.now())
    horizon = state.addresses.confirmed_until(badge.number, slot)
    if mode == LIST:
        addresses = list(state.addresses.contact_addresses(badge.number, slot, horizon).values())
        for at in range(0, len(addresses), commands.MOST_ADDRESSES):
            await link.ask(commands.ADDRESSES, slot + at, addresses[at : at + commands.MOST_ADDRESSES])
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
