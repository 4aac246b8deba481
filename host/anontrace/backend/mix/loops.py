"""Decoy loops: messages through random mixes back to their sender, which look like any other, and what was lost.

A lost loop tells that something on its way lost it; which mix or link it was is estimated over many loops (blame.py),
and announced with the next day's key, so that clients leave out what drops (docs/protocol.md section 10). A worker
remembers its own loops in memory; one that comes back to another worker of this server is noted in their store.
"""

import asyncio
import hmac
import os
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b

from anontrace import clock
from anontrace.backend.observing.counters import Counters
from anontrace.backend.peers import Peers
from anontrace.backend.store import Entry, Put, Store
from anontrace.mixnet import keydays, packet
from anontrace.mixnet.path import Hop
from anontrace.mixnet.sizes import MAILBOX, MAX_HOPS, PAYLOAD
from anontrace.wire import mixes
from anontrace.wire.announcement import MAX_LOSSY

from . import delays, items
from .blame import Seen, accused, losses

LOSS_LIMIT = 0.2  # of the loops over one link, from which on the mix behind it is told of
_MAX_REMEMBERED = 512
_MAX_PENDING = 4096
_ESTIMATE_SECONDS = 5.0
_MARK = 16  # bytes of a loop's address
_TABLE, _KEEP_DAYS = "loops", 1
_random = random.SystemRandom()


@dataclass(slots=True)
class _Loop:
    """One loop: the mixes on its way in order, without the sender; when it counts as lost; and whether it came back."""

    way: tuple[int, ...]
    deadline: float
    returned: bool = False
    decided: bool = False


class Loops:
    """The loops of one mix. `every`: mean seconds between two (0: none). `patience`: seconds until one counts as lost;
    one that comes back later counts as returned from then on."""

    def __init__(
        self,
        store: Store,
        peers: Peers,
        counters: Counters,
        *,
        own_number: int,
        storage_key: bytes,
        every: float,
        patience: float,
        delay: float,
        wake: Callable[[str], None],
    ) -> None:
        self._store = store
        self._peers = peers
        self._counters = counters
        self._counters.declare("loops_sent", "loops_returned", "loops_lost")
        self._own_number = own_number
        self._key = blake2b(key=storage_key, person=b"anontrace/1 loop").digest()
        self._every = every
        self._patience = patience
        self._delay = delay
        self._wake = wake
        self._loops: OrderedDict[bytes, _Loop] = OrderedDict()
        self._estimated = 0.0
        self._losses: Mapping[int, float] = {}

    async def run(self) -> None:
        """Send loops for ever."""
        while self._every:
            await asyncio.sleep(delays.drawn(self._every))
            await self._decide()
            await self._send()

    async def _send(self) -> None:
        if not await self._peers.clock_holds():
            return
        now = clock.now()
        keys = {number: mixes.usable_key(mix, now) for number, mix in self._peers.mixes.items()}
        hops = {n: Hop(n, keydays.key_select(key.day), key.key) for n, key in keys.items() if key is not None}
        own = hops.pop(self._own_number, None)
        if own is None or not hops:
            return
        # Uniformly, not as clients choose: what loses messages must go on being tried.
        way = _random.sample(sorted(hops), min(MAX_HOPS - 1, len(hops)))
        nonce = os.urandom(MAILBOX - _MARK)
        identity = nonce + self._mark(nonce)
        message = packet.forward([*(hops[number] for number in way), own], identity, os.urandom(PAYLOAD))
        onward = items.onward(message, now)
        if onward is None:
            return
        held = delays.drawn(self._delay)
        self._loops[identity] = _Loop(tuple(way), time.monotonic() + held + self._patience)
        while len(self._loops) > _MAX_PENDING:
            self._loops.popitem(last=False)
        queue = items.queue_to(way[0])
        await self._store.enqueue([Entry(queue, time.time() + held, onward.encode())])
        self._wake(queue)
        self._counters.add("loops_sent")

    def _mark(self, nonce: bytes) -> bytes:
        """What tells a loop of this server, by whichever worker and before whichever restart it was sent."""
        return blake2b(nonce, key=self._key, digest_size=_MARK).digest()

    async def came_back(self, mailbox: bytes) -> bool:
        """Whether what was delivered is a loop of this server, which is then noted. Again: the same answer."""
        if not hmac.compare_digest(self._mark(mailbox[:-_MARK]), mailbox[-_MARK:]):
            return False
        loop = self._loops.get(mailbox)
        if loop is None:
            await self._store.put_if_absent_many(_TABLE, [Put(mailbox, b"")], keydays.day_at(clock.now()) + _KEEP_DAYS)
        elif not loop.returned:
            loop.returned = loop.decided = True
            self._counters.add("loops_returned")
        return True

    async def _decide(self) -> None:
        """What has become of loops whose time is over: another worker may have seen them come back."""
        now = time.monotonic()
        over = [identity for identity, loop in self._loops.items() if not loop.decided and loop.deadline <= now]
        for identity, value in zip(over, await self._store.get_many(_TABLE, over) if over else (), strict=True):
            loop = self._loops[identity]
            if loop.decided:
                continue  # it came back here while the store was asked
            loop.returned, loop.decided = value is not None, True
            self._counters.add("loops_lost" if value is None else "loops_returned")

    @property
    def losses(self) -> Mapping[int, float]:
        """For each next mix that enough loops went through: the share of messages that is lost to it or by it."""
        now = time.monotonic()
        if now - self._estimated >= _ESTIMATE_SECONDS:
            self._estimated = now
            self._losses = losses(self._seen())
        return self._losses

    @property
    def lossy(self) -> tuple[int, ...]:
        """The mixes that lose so much that clients are to do without them: the worst, by rising number."""
        over = accused(self._seen(), LOSS_LIMIT)
        return tuple(sorted(sorted(over, key=lambda number: -over[number])[:MAX_LOSSY]))

    def _seen(self) -> list[Seen]:
        """The newest loops whose fate is known; older ones are forgotten."""
        decided = [identity for identity, loop in self._loops.items() if loop.decided]
        for identity in decided[:-_MAX_REMEMBERED]:
            del self._loops[identity]
        kept = (self._loops[identity] for identity in decided[-_MAX_REMEMBERED:])
        return [Seen(loop.way, not loop.returned) for loop in kept]
