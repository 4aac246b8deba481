"""The nymserver role put together: nyms, uploads, opening, reports, and the paced sending of notifications."""

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from anontrace_primitives import x25519_base
from fastapi import APIRouter

from anontrace.backend.background import Drain
from anontrace.backend.keys import keyfiles
from anontrace.backend.mix.items import Arrived
from anontrace.backend.mix.publishing import NymserverFacts
from anontrace.backend.roles import Context
from anontrace.backend.web.signed import SignedRequests

from . import routes
from .cases import Cases
from .contact_answers import ContactAnswers, Letters
from .deliveries import Deliveries
from .fragments import Fragments
from .headers import Headers
from .judging import Judge
from .kept import OPEN, Kept
from .limit import WAITING, Limit
from .limiting import Limiting
from .nyms import Nyms, Outgoing
from .opening import Opener
from .reports import FORGET, Reports
from .sending import SEND, Sending
from .uploads import Uploads
from .wearers import Wearers

_random = random.SystemRandom()
_MAX_FORGOTTEN = 64


class NymserverRole:
    """One nymserver. Its mix delivers to `deliver`; `connect` tells about that mix's queues."""

    def __init__(self, context: Context) -> None:
        settings, folder = context.server.config.nymserver, context.server.folder
        store, counters, authority = context.store, context.counters, context.server.network.authority
        log_secret, token_key = keyfiles.read(folder, keyfiles.LOG), keyfiles.read(folder, keyfiles.TOKEN)
        self._context = context
        self._wake_mix: Callable[[str], None] = lambda queue: None
        self._drains: dict[str, Drain] = {}
        self.facts = NymserverFacts(x25519_base(log_secret))
        self._nyms = Nyms(store, counters, context.peers.knows, settings.keep_days)
        judge = Judge(store, counters, authority.key, token_key, settings.upload_limit)
        kept = Kept(store, counters, judge, self._wake)
        uploads = Uploads(kept, judge, counters)
        fragments = Fragments(store, counters, kept, judge)
        headers, room = Headers(store, context.peers.knows), context.server.config.mix.queue_limit
        answers = ContactAnswers(store, counters)
        self._deliveries = Deliveries(store, counters, self._nyms, fragments, answers, headers, room)
        letters = Letters(store, counters, headers, lambda queue: self._wake_mix(queue))
        wearers = Wearers(store, counters)
        limit = Limit(store, counters, Cases(store), wearers, self._wake, settings.day_limit, settings.spread)
        self._limiting = Limiting(context.server.config.name, limit, wearers, self._is_held)
        self._reports = Reports(store, counters, token_key, settings.chain_days, self._wake, limit)
        self._opener = Opener(
            store, counters, kept, self._nyms, self._reports, authority.key, log_secret, token_key,
            settings.tx_correction,
        )  # fmt: skip
        self._sending = Sending(store)
        requests = SignedRequests(store, authority.key)
        self.router: APIRouter = routes.router(
            uploads, self._reports, requests, self._sending, limit, self._nyms, answers, letters
        )

    def connect(self, wake_mix: Callable[[str], None], stuck: Callable[[], Collection[str]]) -> None:
        """Where to tell that an outgoing message was put into a queue of the mix, and which of those have a next mix
        that takes none."""
        self._wake_mix = wake_mix
        self._deliveries.connect(wake_mix, stuck)

    async def start(self) -> None:
        settings = self._context.server.config.nymserver
        pace = settings.pace
        store = self._context.store

        held = self._is_held
        for drain in (
            Drain(store, OPEN, self._opener.open, 1, held),
            Drain(
                store,
                SEND,
                self._send,
                1,
                held,
                lambda: _random.expovariate(1 / pace) if pace else 0.0,
                delay=settings.spread / 2,
            ),
            Drain(store, FORGET, self._reports.forget, _MAX_FORGOTTEN, held),
        ):
            self._drains[drain.queue] = drain
            self._context.background.start(f"queue {drain.queue}", drain.run)
        self._context.background.start("limit", self._limiting.run)

    def _is_held(self) -> bool:
        """By a wrong clock all records are misdated, and all reply blocks of no use."""
        return self._context.peers.clock_is_wrong

    async def tick(self, held: float) -> None:
        pass

    def _wake(self, queue: str) -> None:
        if queue == WAITING:
            self._limiting.wake()
        else:
            self._drains[queue].wake()

    async def deliver(self, arrived: Sequence[Arrived]) -> None:
        """What the mix network brought."""
        await self._deliveries.deliver(arrived)

    async def _send(self, items: Sequence[bytes]) -> None:
        for item in items:
            await self._sending.wait()
            _, queue = await self._nyms.send(Outgoing.decode(item))
            if queue is not None:
                self._wake_mix(queue)

    def status(self) -> dict[str, Any]:
        return self._limiting.status()

    @property
    def gauges(self) -> Mapping[str, float]:
        """What the limit is at, for Prometheus."""
        return self._limiting.gauges()
