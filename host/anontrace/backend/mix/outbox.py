"""Messages going out: for each next mix one queue, sent in batches over kept-open connections; and local deliveries.

Messages that become due one by one are sent together, since a request costs as much as ten messages in it. A mix that
does not answer is tried again with randomised back-off until its messages' keys expire. A batch whose answer was lost
is sent again: the next mix's uniqueness test absorbs the repeat. While this server's clock is wrong everything waits:
what seems to have expired then may not have.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from anontrace import clock
from anontrace.backend.background import Background, Drain
from anontrace.backend.errors import PeerError
from anontrace.backend.observing.counters import Counters
from anontrace.backend.peers import Peers
from anontrace.backend.store import Store
from anontrace.mixnet import keydays

from . import items
from .items import Arrived, Onward

MAX_MESSAGES = 256
_LOOK_SECONDS = 5.0
_GATHER_PART, _MAX_GATHER_SECONDS = 0.1, 1.0  # of the mean delay: what gathering may add to it
Accept = Callable[[Sequence[bytes]], Awaitable[None]]
Deliver = Callable[[Sequence[Arrived]], Awaitable[None]]


class Outbox:
    """The sending side of one mix: drains every queue, the ones found at start and those that appear."""

    def __init__(
        self,
        store: Store,
        peers: Peers,
        counters: Counters,
        background: Background,
        *,
        own_number: int,
        delay: float,
        accept: Accept,
        deliver: Deliver,
    ) -> None:
        self._store = store
        self._peers = peers
        self._counters = counters
        self._counters.declare("delivered", "forwarded", "dropped_expired")
        self._background = background
        self._own_number = own_number
        self._delay = delay
        self._gather = min(_GATHER_PART * delay, _MAX_GATHER_SECONDS)
        self._accept = accept
        self._deliver = deliver
        self._drains: dict[str, Drain] = {}

    async def start(self) -> None:
        """Take up what was queued before the last stop or crash, and go on looking."""
        await self._look()
        self._background.start("queues", self._keep_looking)

    async def _keep_looking(self) -> None:
        """Another worker that shares this store may have filled a queue and died."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            await self._look()

    async def _look(self) -> None:
        for queue in await self._store.backlog():
            if queue not in self._drains and (queue == items.DELIVER or items.queue_number(queue) is not None):
                self.wake(queue)

    @property
    def stuck(self) -> frozenset[str]:
        """The queues whose next mix did not take what it was last sent. An empty set if that is so of all: then it is
        we who are cut off, and senders are better told to come again."""
        onward = {queue: drain.is_stuck for queue, drain in self._drains.items() if queue != items.DELIVER}
        return frozenset() if all(onward.values()) else frozenset(queue for queue in onward if onward[queue])

    def wake(self, queue: str) -> None:
        """Something was put into this queue."""
        drain = self._drains.get(queue)
        if drain is None:
            number = items.queue_number(queue)
            handler = self._arrive if number is None else self._forwarder(number)
            drain = self._drains[queue] = Drain(
                self._store,
                queue,
                handler,
                MAX_MESSAGES,
                lambda: self._peers.clock_is_wrong,
                gather=self._gather,
                delay=self._delay,
            )
            self._background.start(f"queue {queue}", drain.run)
        drain.wake()

    async def _arrive(self, queued: Sequence[bytes]) -> None:
        await self._deliver([Arrived.decode(item) for item in queued])
        self._counters.add("delivered", len(queued))

    def _forwarder(self, number: int) -> Callable[[Sequence[bytes]], Awaitable[None]]:
        async def forward(queued: Sequence[bytes]) -> None:
            if self._peers.clock_is_wrong:
                raise PeerError("this server's clock is wrong")
            today = keydays.day_at(clock.now())
            found = [Onward.decode(item) for item in queued]
            messages = [each.message for each in found if each.last_day >= today]
            self._counters.add("dropped_expired", len(found) - len(messages))
            if not messages:
                return
            if number == self._own_number:
                await self._accept(messages)
            else:
                await self._peers.send_messages(number, messages)
            self._counters.add("forwarded", len(messages))

        return forward
