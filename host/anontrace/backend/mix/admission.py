"""Messages coming in: unwrap, uniqueness, and into a delay queue, durably, before anything is acknowledged.

Implements docs/protocol.md section 6 up to the random delay. A message that is invalid or was seen before is dropped
without a sign to its sender, and counted. So is one for a next mix that accepts none, once messages for such mixes have
filled their share of the queue: refusing it would stop its whole batch, and with it the traffic to all others. Never
sends.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from anontrace_shared.errors import FormatError

from anontrace import clock
from anontrace.backend.errors import Overloaded
from anontrace.backend.observing.counters import Counters
from anontrace.backend.store import Entry, Put, Store
from anontrace.mixnet import packet
from anontrace.mixnet.packet import Delivery, DroppedMessage, MacError, Relay

from . import delays, items
from .keys import MixKey, MixKeys
from .room import Room
from .unwrapping import Unwrapping


class Admission:
    """Takes messages (380 each) for one mix. `stuck`: the queues whose next mix takes none. `wake` is called with each
    queue that got something."""

    def __init__(
        self,
        store: Store,
        keys: MixKeys,
        counters: Counters,
        *,
        delay: float,
        queue_limit: int,
        known_mix: Callable[[int], bool],
        stuck: Callable[[], Collection[str]],
        wake: Callable[[str], None],
    ) -> None:
        self._store = store
        self._keys = keys
        self._counters = counters
        self._counters.declare(
            "accepted", "refused_full", "dropped_full", "dropped_key", "dropped_mac", "dropped_malformed",
            "dropped_next", "dropped_replay",
        )  # fmt: skip
        self._delay = delay
        self._queue_limit = queue_limit
        self._known_mix = known_mix
        self._stuck = stuck
        self._wake = wake
        self._unwrapping = Unwrapping()
        self._underway = 0  # messages that were let in and are not in the store yet

    async def accept(self, messages: Sequence[bytes]) -> None:
        """Returns when each message is either held durably or dropped. Overloaded if there is no room for them."""
        waiting = await self._store.backlog()
        if sum(waiting.values()) + self._underway + len(messages) > self._queue_limit:
            self._counters.add("refused_full", len(messages))
            raise Overloaded("this mix has no room for more messages now")
        self._underway += len(messages)
        try:
            by_key = await self._unwrap(messages, Room(self._queue_limit, waiting, self._stuck()), clock.now())
            await self._hold(by_key)
        finally:
            self._underway -= len(messages)
        for queue in {put.then.queue for puts in by_key.values() for put in puts if put.then is not None}:
            self._wake(queue)

    async def _hold(self, by_key: Mapping[MixKey, Sequence[Put]]) -> None:
        """Store what was never here. For all keys at once: messages come under any of thirty, and each write would wait
        for the disk alone. Fails once all have ended, if one has failed."""
        outcomes = await asyncio.gather(
            *(self._store.put_if_absent_many(key.table, puts, expires=key.last_day) for key, puts in by_key.items()),
            return_exceptions=True,
        )
        failed = None
        for stored in outcomes:
            if isinstance(stored, BaseException):
                failed = failed or stored
                continue
            self._counters.add("accepted", sum(stored))
            self._counters.add("dropped_replay", len(stored) - sum(stored))
        if failed is not None:
            raise failed

    async def _unwrap(self, messages: Sequence[bytes], room: Room, now: float) -> dict[MixKey, list[Put]]:
        """Undo one hop of each message; those that do not hold are only counted."""
        known: list[tuple[MixKey, bytes]] = []
        for message in messages:
            key = self._keys.selected(packet.key_select(message), now)
            if key is None:
                self._counters.add("dropped_key")
            else:
                known.append((key, message))
        results = await self._unwrapping.unwrap(
            [(key.secret, key.public) for key, _ in known], [message for _, message in known]
        )
        by_key: dict[MixKey, list[Put]] = {}
        for (key, _), result in zip(known, results, strict=True):
            if isinstance(result, MacError):
                self._counters.add("dropped_mac")
            elif isinstance(result, (DroppedMessage, FormatError)):
                self._counters.add("dropped_malformed")
            elif (entry := self._entry(result, now)) is None:
                continue
            elif entry.queue != items.DELIVER and not room.take(entry.queue):
                self._counters.add("dropped_full")
            else:
                by_key.setdefault(key, []).append(Put(result.replay_tag, b"", entry))
        return by_key

    def _entry(self, result: Relay | Delivery, now: float) -> Entry | None:
        due = time.time() + delays.drawn(self._delay)
        if isinstance(result, Delivery):
            return Entry(items.DELIVER, due, items.Arrived(result.mailbox, result.payload, result.version).encode())
        onward = items.onward(result.message, now)
        if onward is None or not self._known_mix(result.next_mix):
            self._counters.add("dropped_next")
            return None
        return Entry(items.queue_to(result.next_mix), due, onward.encode())
