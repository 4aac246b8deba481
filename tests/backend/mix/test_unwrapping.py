"""What has arrived is unwrapped at once; nothing waits for more, and nobody for nothing."""

import asyncio
import os
from collections.abc import Sequence
from threading import Event

import pytest
from anontrace.backend.mix import unwrapping
from anontrace.backend.mix.unwrapping import FEW, MANY, Unwrapping
from anontrace.mixnet import packet
from anontrace.mixnet.packet import Delivery, MacError, Unwrapped

from tests.mixnet.travel import KEYS, NUMBERS, SECRETS, path
from tests.patience import HANG_SECONDS

KEY = SECRETS[NUMBERS[0]], KEYS[NUMBERS[0]]


class Asked:
    """Requests for messages, each of which says to whom it belongs; and the batches in which they were computed."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.broken = False
        self.go_on = Event()  # until then a batch of MANY is computed
        self._unwrapping = Unwrapping()
        self._compute = packet.unwrap_many

    def compute(self, keys: Sequence[tuple[bytes, bytes]], messages: Sequence[bytes]) -> list[Unwrapped]:
        self.sizes.append(len(messages))
        if len(messages) == MANY:
            assert self.go_on.wait(HANG_SECONDS)
            if self.broken:
                raise RuntimeError("libcrypto_mb: status 0x00000001")
        return self._compute(keys, messages)

    async def ask(self, count: int) -> list[Unwrapped]:
        payloads = [os.urandom(239) for _ in range(count)]
        messages = [packet.forward(path(NUMBERS[:1]), bytes(32), each) for each in payloads]
        found = await self._unwrapping.unwrap([KEY] * count, messages)
        assert [each.payload for each in found if isinstance(each, Delivery)] == payloads
        return found


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    made = Asked()
    monkeypatch.setattr(unwrapping.packet, "unwrap_many", made.compute)
    return made


def test_requests_of_one_turn_are_one_batch(asked: Asked) -> None:
    async def body() -> None:
        await asyncio.gather(*(asked.ask(count) for count in (1, 3, 0, 2, 40)))

    asyncio.run(body())
    assert asked.sizes == [46]


def test_one_that_comes_alone_does_not_wait(asked: Asked) -> None:
    async def body() -> None:
        for count in (1, FEW, FEW + 1):
            await asked.ask(count)

    asyncio.run(body())
    assert asked.sizes == [1, FEW, FEW + 1]


def test_what_comes_while_a_batch_is_computed_is_the_next_one(asked: Asked) -> None:
    async def body() -> None:
        tasks = [asyncio.create_task(asked.ask(MANY))]
        while not asked.sizes:
            await asyncio.sleep(0)
        for _ in range(5):
            tasks.append(asyncio.create_task(asked.ask(2)))
            for _ in range(5):
                await asyncio.sleep(0)
        asked.go_on.set()
        await asyncio.gather(*tasks)

    asyncio.run(body())
    assert asked.sizes == [MANY, 10]


def test_a_batch_ends_before_it_is_too_large_and_no_request_is_split(asked: Asked) -> None:
    async def body() -> None:
        asked.go_on.set()
        await asyncio.gather(asked.ask(MANY - 1), asked.ask(2), asked.ask(MANY + 5), asked.ask(1))

    asyncio.run(body())
    assert asked.sizes == [MANY - 1, 2, MANY + 5, 1]


def test_who_goes_away_harms_no_other(asked: Asked) -> None:
    async def body() -> None:
        tasks = [asyncio.create_task(asked.ask(9)) for _ in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert [task.cancelled() for task in tasks] == [False, True, False]
        assert [len(task.result()) for task in (tasks[0], tasks[2])] == [9, 9]
        await asked.ask(1)

    asyncio.run(body())


def test_a_fault_reaches_who_asked_and_what_came_meanwhile_is_served(asked: Asked) -> None:
    async def body() -> None:
        working = Unwrapping()
        asks = [asyncio.create_task(working.unwrap([KEY] * count, [bytes(380)] * count)) for count in (1, MANY - 1)]
        while not asked.sizes:
            await asyncio.sleep(0)
        later = asyncio.create_task(working.unwrap([KEY], [bytes(380)]))
        await asyncio.sleep(0)
        asked.broken = True
        asked.go_on.set()
        answers = await asyncio.gather(*asks, return_exceptions=True)
        assert [type(each) for each in answers] == [RuntimeError] * 2
        (result,) = await asyncio.wait_for(later, HANG_SECONDS)
        assert isinstance(result, MacError)

    asyncio.run(body())


def test_when_the_server_stops_whoever_waits_is_told_and_nothing_begins(asked: Asked) -> None:
    async def body() -> None:
        waiting = [asyncio.create_task(asked.ask(MANY)), asyncio.create_task(asked.ask(MANY))]
        while not asked.sizes:
            await asyncio.sleep(0)
        worker = asked._unwrapping._worker
        assert worker is not None
        worker.cancel()
        asked.go_on.set()
        told = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), HANG_SECONDS)
        assert all(isinstance(each, asyncio.CancelledError) for each in told)
        assert asked.sizes == [MANY] and asked._unwrapping._worker is None

    asyncio.run(body())


def test_what_nobody_waits_for_any_more_is_not_computed(asked: Asked) -> None:
    async def body() -> None:
        first = asyncio.create_task(asked.ask(MANY))
        while not asked.sizes:
            await asyncio.sleep(0)
        gone, other = asyncio.create_task(asked.ask(20)), asyncio.create_task(asked.ask(30))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        asked.go_on.set()
        await asyncio.gather(first, other)
        assert gone.cancelled() and asked.sizes == [MANY, 30]

    asyncio.run(body())
