"""Finding and reaching the wearer's own badge: recognising its advertisements, and a session with it.

The badge is known by a contact address that it was to broadcast in these days, or by a beacon under its owner key;
nothing static is ever on the air.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from anontrace_shared import schedule
from anontrace_shared.slots import slot_of

from anontrace import clock
from anontrace.companion.badge.link import BadgeLink
from anontrace.companion.badge.radio import Radio
from anontrace.companion.errors import BadgeAnswerError, BadgeLinkError
from anontrace.companion.store.badges import Badge
from anontrace.companion.store.state import State

ATTEMPTS = 4
TOGETHER_SECONDS = 65.0  # in which a badge is on the air that is so once a minute
MAX_SECONDS = 1200.0  # for all that one command has to say to a badge; a sync ends before that by itself
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
    """Find the badge, open a session and do `task`; on a broken link all of it again, a few times, within the time.

    A task keeps what it has got so far by itself, so that a repeat goes on from there.
    """
    async with in_time(seconds), Radio(adapter) as radio:
        return await _converse(state, radio, badge, task, seconds)


@asynccontextmanager
async def in_time(scan_seconds: float) -> AsyncIterator[None]:
    """Around all that has to do with a badge: whatever it does, this ends. BadgeLinkError when the time is over."""
    try:
        async with asyncio.timeout(MAX_SECONDS + ATTEMPTS * max(scan_seconds, TOGETHER_SECONDS)):
            yield
    except TimeoutError as error:
        raise BadgeLinkError("the badge takes too long; what was done is kept, try again") from error


async def _converse(
    state: State, radio: Radio, badge: Badge, task: Callable[[BadgeLink], Awaitable[Answer]], seconds: float
) -> Answer:
    if "together" in badge.info.get("flags", ()):
        seconds = max(seconds, TOGETHER_SECONDS)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            found = await radio.find(recogniser(state, badge), seconds)
            async with radio.connect(found) as pipe:
                link = BadgeLink(pipe, badge.owner_key)
                await link.open()
                return await task(link)
        except BadgeAnswerError:
            raise
        except BadgeLinkError:
            if attempt == ATTEMPTS:
                raise
            await asyncio.sleep(random.uniform(0.2, 0.6) * attempt)  # noqa: S311 - spreads retries
    raise AssertionError("unreachable")
