"""Finding and reaching the wearer's own badge, and a session with it. By what it is known: see recognising."""

import asyncio
import dataclasses
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from anontrace.companion.badge.link import BadgeLink
from anontrace.companion.badge.radio import Found, Radio
from anontrace.companion.badge.recognising import Recogniser, meeting
from anontrace.companion.errors import BadgeAnswerError, BadgeLinkError, BadgeNotFoundError
from anontrace.companion.store.badges import Badge
from anontrace.companion.store.state import State

ATTEMPTS = 4
TOGETHER_SECONDS = 65.0  # in which a badge is on the air that is so once a minute
MAX_SECONDS = 1200.0  # for all that one command has to say to a badge; a sync ends before that by itself

Answer = TypeVar("Answer")


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


async def _find(radio: Radio, recognise: Recogniser, seconds: float) -> Found:
    try:
        return await radio.find(recognise, seconds)
    except BadgeNotFoundError as error:
        raise recognise.problem() or error from error


async def _converse(
    state: State, radio: Radio, badge: Badge, task: Callable[[BadgeLink], Awaitable[Answer]], seconds: float
) -> Answer:
    if "together" in badge.info.get("flags", ()):
        seconds = max(seconds, TOGETHER_SECONDS)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            found = await _find(radio, Recogniser(state, badge), seconds)
            async with radio.connect(found) as pipe:
                link = BadgeLink(pipe, badge.owner_key)
                await link.open()
                met = meeting(await link.info())
                state.badges.set_met(badge, met)
                badge = dataclasses.replace(badge, met=met)
                return await task(link)
        except BadgeAnswerError:
            raise
        except BadgeLinkError:
            if attempt == ATTEMPTS:
                raise
            await asyncio.sleep(random.uniform(0.2, 0.6) * attempt)  # noqa: S311 - spreads retries
    raise AssertionError("unreachable")
