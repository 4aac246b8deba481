"""Finding and reaching the wearer's own badge: which advertisements are its own, and a session with it.

The badge is known by the contact address that it must broadcast about now, or by a beacon under its owner key; nothing
static is ever on the air.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from anontrace_shared import schedule
from anontrace_shared.slots import slot_of

from anontrace import clock
from anontrace.companion.badge.link import BadgeLink
from anontrace.companion.badge.radio import Radio
from anontrace.companion.errors import BadgeLinkError
from anontrace.companion.state import State
from anontrace.companion.store.badges import Badge

ATTEMPTS = 4
DRIFT_SLOTS = 1  # the badge's clock may be off by a slot
AHEAD_SLOTS = 12  # a search may last longer than a slot

Answer = TypeVar("Answer")


def recogniser(state: State, badge: Badge) -> Callable[[bytes], bool]:
    """Whether 20 advertised bytes are this badge's: K of about now, or a beacon under its owner key."""
    now = slot_of(clock.now())
    addresses = state.addresses.contact_addresses(badge.number, now - DRIFT_SLOTS, now + AHEAD_SLOTS)
    expected = frozenset(addresses.values())
    key = schedule.beacon_key(badge.owner_key)
    return lambda data: data in expected or schedule.is_beacon(key, data)


async def converse(
    state: State, adapter: str, badge: Badge, task: Callable[[BadgeLink], Awaitable[Answer]], seconds: float
) -> Answer:
    """Find the badge, open a session and do `task`; on a broken link all of it again, a few times.

    A task keeps what it has got so far by itself, so that a repeat goes on from there.
    """
    async with Radio(adapter) as radio:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                device = await radio.find(recogniser(state, badge), seconds)
                async with radio.connect(device) as pipe:
                    link = BadgeLink(pipe, badge.owner_key)
                    await link.open()
                    return await task(link)
            except BadgeLinkError:
                if attempt == ATTEMPTS:
                    raise
                await asyncio.sleep(random.uniform(0.2, 0.6) * attempt)  # noqa: S311 - spreads retries
    raise AssertionError("unreachable")
