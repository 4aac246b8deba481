"""Finding and reaching the wearer's own badge: which advertisements are its own, and a session with it.

The badge is known by a contact address that it was to broadcast these days, or by a beacon under its owner key;
nothing static is ever on the air.
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
WRONG_SLOTS = 288  # a day by which the badge's clock may be wrong, because a computer was that set it

Answer = TypeVar("Answer")


def recogniser(state: State, badge: Badge) -> Callable[[bytes], bool]:
    """Whether 20 advertised bytes are this badge's: a K of these days, or a beacon under its owner key."""
    now = slot_of(clock.now())
    addresses = state.addresses.contact_addresses(badge.number, now - WRONG_SLOTS, now + WRONG_SLOTS)
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
