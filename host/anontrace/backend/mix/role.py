"""The mix role put together: keys, admission, outbox, publishing. Every nymserver and mailbox server has one too."""

import asyncio
from contextlib import suppress
from typing import Any

from fastapi import APIRouter

from anontrace import clock
from anontrace.backend import keyfiles
from anontrace.backend.roles import Context
from anontrace.mixnet import keydays

from . import publishing, routes
from .admission import Admission
from .keys import MixKeys
from .outbox import Deliver, Outbox
from .publishing import NymserverFacts

_LOOK_SECONDS = 5.0


class MixRole:
    """One mix. `deliver` takes what ends here; `nymserver` is what its key list says of a nymserver."""

    def __init__(self, context: Context, deliver: Deliver, nymserver: NymserverFacts | None) -> None:
        config, folder = context.server.config, context.server.folder
        assert config.number is not None  # checked with the configuration
        self._context = context
        self._nymserver = nymserver
        self._number = config.number
        self._signing_key = keyfiles.read(folder, keyfiles.SIGNING)
        self._keys = MixKeys(context.store, keyfiles.read(folder, keyfiles.STORAGE))
        self._admission = Admission(
            context.store,
            self._keys,
            context.counters,
            config.mix.delay,
            config.mix.queue_limit,
            context.peers.knows,
            self.wake,
        )
        self._outbox = Outbox(
            context.store,
            context.peers,
            context.counters,
            context.background,
            config.number,
            self._admission.accept,
            deliver,
        )
        self.router: APIRouter = routes.router(self._admission)
        self._published = 0.0
        self._published_day: int | None = None
        self._rolled_over = asyncio.Event()
        self._today = 0

    def wake(self, queue: str) -> None:
        """A message was put into a queue of this mix."""
        self._outbox.wake(queue)

    async def start(self) -> None:
        now = clock.now()
        self._today = keydays.day_at(now)
        await self._keys.roll(now)
        await self._outbox.start()
        self._context.background.start("publishing", self._keep_published)

    async def tick(self, now: float) -> None:
        """Roll the keys over at midnight."""
        if keydays.day_at(now) != self._today:
            await self._keys.roll(now)
            self._today = keydays.day_at(now)
            self._rolled_over.set()

    async def _keep_published(self) -> None:
        """Hand the key list to discovery at start, at each rollover, every few hours. PeerError if it is not there."""
        while True:
            self._rolled_over.clear()
            now, today = clock.now(), self._today
            if today != self._published_day or not 0 <= now - self._published < publishing.REFRESH_SECONDS:
                config = self._context.server.config
                envelope = publishing.signed_list(config, self._keys, self._nymserver, self._signing_key, now)
                await self._context.peers.publish(self._number, envelope)
                self._published, self._published_day = now, today
                self._context.counters.add("lists_published")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._rolled_over.wait(), _LOOK_SECONDS)

    def status(self) -> dict[str, Any]:
        days = [key.day for key in self._keys.published()]
        return {
            "published": self._published_day is not None,
            "first_key_day": min(days, default=None),
            "last_key_day": max(days, default=None),
        }
