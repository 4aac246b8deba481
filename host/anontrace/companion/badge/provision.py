"""Provisioning a badge in a session (docs/protocol.md, section 4): clock, log key, day key or addresses, horizon."""

from dataclasses import dataclass
from typing import Any

from anontrace_shared import commands
from anontrace_shared.slots import day_of, slot_of

from anontrace import clock
from anontrace.companion.badge.link import BadgeLink
from anontrace.companion.badge.sync import send_horizon, set_time
from anontrace.companion.days import KEPT_DAYS
from anontrace.companion.store.badges import LIST, MODES, RATCHET, Badge
from anontrace.companion.store.state import State


@dataclass(frozen=True)
class Provisioned:
    mode: str
    horizon: int
    clock_correction_ms: int
    info: Any  # commands.Info


async def provision(state: State, link: BadgeLink, badge: Badge, log_key: bytes, mode: int) -> Provisioned:
    """Tell the badge all that it needs. Repeating it is safe; the badge starts a new era of its log.

    The badge gets the day key of today, and no horizon before its time is set.
    """
    correction = await set_time(link)
    slot = slot_of(clock.now())
    horizon = state.addresses.confirmed_until(badge.number, slot)
    state.badges.set_provisioned(badge, mode, slot, horizon, int(clock.now()))
    if mode == RATCHET:
        day = day_of(slot)
        request = commands.Provision(RATCHET, log_key, horizon, day, badge.key_of_day(day))
    else:
        # A list is sent before the horizon that covers it.
        request = commands.Provision(LIST, log_key, 0)
    await link.ask(commands.PROVISION, request)
    if badge.keep_days != KEPT_DAYS:  # it forgot that when it was erased
        await link.ask(commands.SET, commands.KEEP_DAYS, badge.keep_days)
    if mode == LIST:
        await send_horizon(state, link, badge, LIST)
    return Provisioned(MODES[mode], horizon, correction, await link.info())
