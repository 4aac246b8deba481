"""What the mix network brings to a nymserver, by its kind (docs/protocol.md section 7).

Answers nobody who sent something. A receipt or a relay makes one message at most, by a header that was never used, and
only while there is room for it; whatever is dropped is counted. Repeatable: what comes again after a crash changes
nothing, and no message goes out twice.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Sequence
from typing import Any

from anontrace_shared.errors import FormatError

from anontrace.backend.mix.items import Arrived
from anontrace.backend.mix.room import Room
from anontrace.backend.observing.counters import Counters
from anontrace.backend.store import Store
from anontrace.mixnet import kinds, receipt
from anontrace.mixnet.fragment import Fragment
from anontrace.mixnet.kinds import Kind
from anontrace.mixnet.receipt import Answer, ContactAnswerQuestion, NymQuestion, Receipt
from anontrace.mixnet.relay import Relay
from anontrace.mixnet.swap import Swap

from .contact_answers import ContactAnswers
from .fragments import Fragments
from .headers import Headers
from .nyms import Nyms


class Deliveries:
    """Hands each payload to whom it is for. `queue_limit`: messages that the mix beside it holds."""

    def __init__(
        self,
        store: Store,
        counters: Counters,
        nyms: Nyms,
        fragments: Fragments,
        answers: ContactAnswers,
        headers: Headers,
        queue_limit: int,
    ) -> None:
        self._store = store
        self._counters = counters
        self._nyms = nyms
        self._fragments = fragments
        self._answers = answers
        self._headers = headers
        self._queue_limit = queue_limit
        self._wake_mix: Callable[[str], None] = lambda queue: None
        self._stuck: Callable[[], Collection[str]] = frozenset
        self._handlers: dict[Kind, Callable[[Sequence[bytes]], Awaitable[None]]] = {
            Kind.SWAP: self._swap,
            Kind.RELAY: self._relay,
            Kind.FRAGMENT: self._keep,
            Kind.CONTACT_ANSWER: answers.receive,
            Kind.RECEIPT: self._answer,  # last: of what came together, it tells
        }

    def connect(self, wake_mix: Callable[[str], None], stuck: Callable[[], Collection[str]]) -> None:
        """Where to tell that a message was put into a queue of the mix, and which of those have a next mix that takes
        none."""
        self._wake_mix = wake_mix
        self._stuck = stuck

    async def deliver(self, arrived: Sequence[Arrived]) -> None:
        """Take what arrived. What returns is durable."""
        by_kind: dict[Kind | None, list[bytes]] = {}
        for each in arrived:
            by_kind.setdefault(kinds.of(each.payload), []).append(each.payload)
        self._counters.add("cover", len(by_kind.pop(None, [])))
        for kind, handler in self._handlers.items():
            if kind in by_kind:
                await handler(by_kind[kind])

    async def _swap(self, payloads: Sequence[bytes]) -> None:
        """All at once, but those for one key in the order in which they came."""
        by_key: dict[bytes, list[Swap]] = {}
        for wanted in map(Swap.decode, payloads):
            by_key.setdefault(wanted.key, []).append(wanted)
        await _together(map(self._swap_in_turn, by_key.values()))

    async def _swap_in_turn(self, swaps: Sequence[Swap]) -> None:
        for wanted in swaps:
            queue = await self._nyms.swap(wanted)
            if queue is not None:
                self._wake_mix(queue)

    async def _keep(self, payloads: Sequence[bytes]) -> None:
        await self._fragments.receive([Fragment.decode(payload) for payload in payloads])

    async def _relay(self, payloads: Sequence[bytes]) -> None:
        room = await self._room()
        await _together(self._relay_one(payload, room) for payload in payloads)

    async def _relay_one(self, payload: bytes, room: Room) -> None:
        try:
            wanted = Relay.decode(payload)
        except FormatError:
            self._counters.add("relays_malformed")
            return
        await self._send("relays", room, wanted.first_mix, wanted.header, wanted.payload())

    async def _answer(self, payloads: Sequence[bytes]) -> None:
        room = await self._room()
        await _together(self._answer_one(payload, room) for payload in payloads)

    async def _answer_one(self, payload: bytes, room: Room) -> None:
        try:
            wanted = Receipt.decode(payload)
        except FormatError:
            self._counters.add("receipts_malformed")
            return
        reply, question = wanted.parsed(), wanted.question
        answer: Answer
        if isinstance(question, NymQuestion):
            answer = await self._nyms.answer(question)
        elif isinstance(question, ContactAnswerQuestion):
            answer = await self._answers.answer(question)
        else:
            answer = await self._fragments.answer(question)
        sealed = receipt.seal(reply.message_key, answer)
        await self._send("receipts", room, reply.first_mix, reply.header, sealed)

    async def _room(self) -> Room:
        return Room(self._queue_limit, await self._store.backlog(), self._stuck())

    async def _send(self, what: str, room: Room, first_mix: int, header: bytes, payload: bytes) -> None:
        entry = self._headers.entry(first_mix, header, payload)
        if entry is None:
            self._counters.add(f"{what}_unusable")
        elif not room.take(entry.queue):
            self._counters.add(f"{what}_full")
        elif await self._headers.send(header, entry):
            self._counters.add(f"{what}_sent")
            self._wake_mix(entry.queue)
        else:
            self._counters.add(f"{what}_repeated")


async def _together(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """All at once, which the store does for less. The first error of any, once none is under way any more."""
    for error in await asyncio.gather(*works, return_exceptions=True):
        if error is not None:
            raise error
