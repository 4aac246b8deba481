"""The mix role put together: keys, admission, outbox, publishing. Every nymserver and mailbox server has one too."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from fastapi import APIRouter

from anontrace import clock
from anontrace.backend import keyfiles
from anontrace.backend.roles import Context
from anontrace.mixnet import keydays

from . import publishing, routes
from .admission import Admission
from .items import Arrived
from .keys import MixKeys
from .loops import Loops
from .outbox import Deliver, Outbox
from .publishing import NymserverFacts

_log = logging.getLogger("anontrace.backend")

_LOOK_SECONDS = 5.0
_MOST_AHEAD = 60  # seconds


class MixRole:
    """One mix. `deliver` takes what ends here; `nymserver` is what its key list says of a nymserver."""

    def __init__(self, context: Context, deliver: Deliver, nymserver: NymserverFacts | None) -> None:
        config, folder = context.server.config, context.server.folder
        assert config.number is not None  # checked with the configuration
        self._context = context
        self._nymserver = nymserver
        self._name = config.name
        self._number = config.number
        self._signing_key = keyfiles.read(folder, keyfiles.SIGNING)
        storage_key = keyfiles.read(folder, keyfiles.STORAGE)
        self._keys = MixKeys(context.store, storage_key, config.mix.retire)
        self._admission = Admission(
            context.store,
            self._keys,
            context.counters,
            config.mix.delay,
            config.mix.queue_limit,
            context.peers.knows,
            lambda: self._outbox.stuck,
            self.wake,
        )
        self._outbox = Outbox(
            context.store,
            context.peers,
            context.counters,
            context.background,
            config.number,
            config.mix.delay,
            self._admission.accept,
            self._deliver,
        )
        self._deliver_on = deliver
        self._loops = Loops(
            context.store,
            context.peers,
            context.counters,
            config.number,
            storage_key,
            config.mix.loops,
            config.mix.loop_patience,
            config.mix.delay,
            self.wake,
        )
        self.router: APIRouter = routes.router(self._admission)
        self._published = 0.0
        self._issued = 0  # second of the list that discovery has
        self._published_day: int | None = None
        self._published_avoided: frozenset[int] = frozenset()
        self._rolled_over = asyncio.Event()
        self._today = 0

    def wake(self, queue: str) -> None:
        """A message was put into a queue of this mix."""
        self._outbox.wake(queue)

    async def _deliver(self, arrived: Sequence[Arrived]) -> None:
        """What ends here, without our own loops that came back."""
        others = [each for each in arrived if not await self._loops.came_back(each.mailbox)]
        if others:
            await self._deliver_on(others)

    @property
    def losses(self) -> Mapping[int, float]:
        """What loops tell of the links to other mixes."""
        return self._loops.losses

    async def start(self) -> None:
        now = clock.now()
        self._today = keydays.day_at(now)
        await self._keys.roll(now)
        await self._outbox.start()
        self._context.background.start("publishing", self._keep_published)
        self._context.background.start("loops", self._loops.run)

    async def tick(self, now: float) -> None:
        """Roll the keys over at midnight."""
        if keydays.day_at(now) != self._today:
            await self._keys.roll(now)
            self._today = keydays.day_at(now)
            self._rolled_over.set()

    async def _keep_published(self) -> None:
        """Hand the key list to discovery at start, at each rollover, every few hours, and when loops show that a link
        has become bad or good. PeerError if it is not there."""
        while True:
            self._rolled_over.clear()
            now, today, avoided = clock.now(), self._today, self._loops.avoided
            changed = today != self._published_day or avoided != self._published_avoided
            if not self._keys.published():
                _log.warning("%s has retired: its last key is dead, and it can be taken out", self._name)
                await self._rolled_over.wait()
                continue
            # Not in the second between midnight and the rollover: the list after it has to be a newer one.
            is_rolled_over = keydays.day_at(now) == today
            if is_rolled_over and (changed or not 0 <= now - self._published < publishing.REFRESH_SECONDS):
                config = self._context.server.config
                # Discovery takes none that is not newer than what it has: two of one second are a second apart.
                issued = self._issued + 1 if now - 1 < self._issued < now + _MOST_AHEAD else int(now)
                envelope = publishing.signed_list(
                    config, self._keys, self._nymserver, self._loops.losses, self._signing_key, issued
                )
                await self._context.peers.publish(self._number, envelope)
                self._published, self._published_day, self._published_avoided = now, today, avoided
                self._issued = issued
                self._context.counters.add("lists_published")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._rolled_over.wait(), _LOOK_SECONDS)

    def status(self) -> dict[str, Any]:
        days = [key.day for key in self._keys.published()]
        return {
            "published": self._published_day is not None,
            "first_key_day": min(days, default=None),
            "last_key_day": max(days, default=None),
            "losses": dict(self._loops.losses),
        }
