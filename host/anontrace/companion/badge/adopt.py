"""Adopting a badge that has no owner over Bluetooth, while it is in service mode (docs/protocol.md, section 4).

Trust on first use: whoever is near in those minutes can do the same, and the companion refuses to choose between two.
"""

import asyncio
import random

from anontrace_shared import commands, schedule

from anontrace.companion.badge.link import BadgeLink
from anontrace.companion.badge.own import ATTEMPTS, in_time
from anontrace.companion.badge.radio import Radio
from anontrace.companion.errors import BadgeAnswerError, BadgeLinkError, BadgeRefusedError
from anontrace.companion.store.badges import Badge
from anontrace.companion.store.state import State


async def adopt(state: State, adapter: str, badge: Badge, seconds: float) -> None:
    """Put the owner key of `badge` onto the one new badge that is heard. Repeating it is safe."""
    nobodys, own = schedule.beacon_key(commands.NO_OWNER), schedule.beacon_key(badge.owner_key)
    found_own = False

    def is_new(data: bytes) -> bool:
        # A badge that took the key, whose answer was lost, is no new one any more.
        nonlocal found_own
        found_own = found_own or schedule.is_beacon(own, data)
        return found_own or schedule.is_beacon(nobodys, data)

    async with in_time(seconds), Radio(adapter) as radio:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                found = await radio.find_new(is_new, seconds)
                if found_own:
                    return
                async with radio.connect(found) as pipe:
                    link = BadgeLink(pipe, commands.NO_OWNER)
                    await link.open()
                    state.badges.set_keyed(badge)
                    await link.ask(commands.OWN, badge.owner_key)
                    return
            except BadgeRefusedError as error:
                raise BadgeRefusedError(
                    "the badge has just got another owner; empty it by eight seconds on its button,"
                    " press it again, and try again"
                ) from error
            except BadgeAnswerError:
                raise
            except BadgeLinkError:
                if attempt == ATTEMPTS:
                    raise
                await asyncio.sleep(random.uniform(0.2, 0.6) * attempt)  # noqa: S311 - spreads retries
