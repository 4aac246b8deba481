"""The mix role put together: keys, admission, outbox, publishing. Every nymserver and mailbox server has one too."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from anontrace_primitives import x25519_batches
from fastapi import APIRouter

from anontrace import clock
from anontrace.backend.keys import keyfiles
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

_LOOK_SECONDS = 2.0
_SECONDS_BETWEEN_REPAIRS = 60.0
_SECONDS_BETWEEN_CLAIMS = 6 * 3600.0  # discovery takes a dozen new descriptions of a mix a day


class MixRole:
    """One mix. `deliver` takes what ends here; `nymserver` is what its description says of a nymserver."""

    def __init__(self, context: Context, deliver: Deliver, nymserver: NymserverFacts | None) -> None:
        config, folder = context.server.config, context.server.folder
        assert config.number is not None  # checked with the configuration
        self._context = context
        self._nymserver = nymserver
        self._name = config.name
        self._number = config.number
        self._signing_key = keyfiles.read(folder, keyfiles.SIGNING)
        storage_key = keyfiles.read(folder, keyfiles.STORAGE)
        self._keys = MixKeys(context.store, storage_key, config.mix.retire, folder / keyfiles.STORAGE)
        self._admission = Admission(
            context.store,
            self._keys,
            context.counters,
            delay=config.mix.delay,
            queue_limit=config.mix.queue_limit,
            known_mix=context.peers.knows,
            stuck=self.stuck,
            wake=self.wake,
        )
        self._outbox = Outbox(
            context.store,
            context.peers,
            context.counters,
            context.background,
            own_number=config.number,
            delay=config.mix.delay,
            accept=self._admission.accept,
            deliver=self._deliver,
        )
        self._deliver_on = deliver
        self._loops = Loops(
            context.store,
            context.peers,
            context.counters,
            own_number=config.number,
            storage_key=storage_key,
            every=config.mix.loops,
            patience=config.mix.loop_seconds,
            delay=config.mix.delay,
            wake=self.wake,
        )
        self.router: APIRouter = routes.router(self._admission)
        self._published = 0.0
        self._started = 0.0
        self._handed_over = 0.0  # monotonic
        self._repaired = -_SECONDS_BETWEEN_REPAIRS
        self._claimed = -_SECONDS_BETWEEN_CLAIMS
        self._text = b""  # of the description that was published last
        self._published_day: int | None = None
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

    def stuck(self) -> frozenset[str]:
        """The queues of this mix whose next mix takes none."""
        return self._outbox.stuck

    @property
    def losses(self) -> Mapping[int, float]:
        """What loops tell of the links to other mixes."""
        return self._loops.losses

    async def start(self) -> None:
        _log.info("%s: X25519 in batches by %s", self._name, x25519_batches.told())
        self._started = clock.now()
        self._today = keydays.day_at(self._started)
        await self._keys.roll(self._started)
        await self._outbox.start()
        self._context.background.start("publishing", self._keep_published)
        self._context.background.start("loops", self._loops.run)

    async def tick(self, held: float) -> None:
        """Roll the keys over at midnight."""
        if keydays.day_at(held) != self._today:
            await self._keys.roll(held)
            self._today = keydays.day_at(held)
            self._rolled_over.set()

    async def _keep_published(self) -> None:
        """Announce the keys of today and tomorrow at start, at each rollover, every few hours, when discovery has lost
        them, and when it shows another description of this mix: it takes what it has already without ado. PeerError if
        it is not there.

        By a time that holds, or, until there is one, that of the start."""
        while True:
            self._rolled_over.clear()
            held = self._context.peers.held
            now = max(self._started, self._published) if held is None else held
            today = self._today
            lost = self._context.peers.lacks(self._number, self._handed_over) and self._may_repair()
            if not self._keys.all():
                _log.warning("%s has retired: its last key is dead, and it can be taken out", self._name)
                await self._rolled_over.wait()
                continue
            # Not in the seconds between midnight and the rollover, and not while the clock has just jumped.
            is_rolled_over = keydays.day_at(now) == today == keydays.day_at(clock.now())
            is_old = not 0 <= now - self._published < publishing.REFRESH_SECONDS
            is_due = today != self._published_day or lost or is_old or self._has_to_claim(self._text)
            if is_rolled_over and is_due and await self._context.peers.clock_holds():
                await self._publish(now)
                self._published, self._published_day, self._handed_over = now, today, time.monotonic()
                if lost:
                    self._repaired = self._handed_over
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._rolled_over.wait()

    async def _publish(self, now: float) -> None:
        context = self._context
        text = await publishing.described(context.store, context.server.config, self._nymserver, now)
        other = context.peers.described(self._number)
        if other is not None and self._has_to_claim(text):
            _log.warning(
                "%s: mix %d was described anew, as %s at %s, and not by this server: does a copy of its folder run, or"
                " did one? This server describes it as it is once more",
                self._name, self._number, other.name, other.url,
            )  # fmt: skip
            self._claimed = time.monotonic()
            text = await publishing.described(context.store, context.server.config, self._nymserver, now, other.issued)
        made = publishing.signed(self._number, text, self._keys.all(), self._loops.lossy, self._signing_key)
        await context.peers.publish(self._number, made)
        self._text = text
        context.counters.add("announced")

    def _has_to_claim(self, text: bytes) -> bool:
        """Whether discovery shows another description in place of this one, which it would refuse as the older one."""
        if not text or time.monotonic() - self._claimed < _SECONDS_BETWEEN_CLAIMS:
            return False
        return publishing.contradicts(self._context.peers.described(self._number), text)

    def _may_repair(self) -> bool:
        return time.monotonic() - self._repaired >= _SECONDS_BETWEEN_REPAIRS

    def status(self) -> dict[str, Any]:
        days = [key.day for key in self._keys.all()]
        return {
            "published": self._published_day is not None,
            "first_key_day": min(days, default=None),
            "last_key_day": max(days, default=None),
            "losses": dict(self._loops.losses),
            "x25519": x25519_batches.chosen().name,
        }
