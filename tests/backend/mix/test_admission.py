"""How much a mix lets in: never more than it has room for, and never all of it for mixes that take nothing."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import pytest
from anontrace import clock
from anontrace.backend.errors import Overloaded, StoreError
from anontrace.backend.mix.admission import Admission
from anontrace.backend.mix.keys import MixKeys
from anontrace.backend.observing.counters import Counters
from anontrace.backend.store import Put, Store, open_store
from anontrace.mixnet import keydays, packet
from anontrace.mixnet.path import Hop
from anontrace_primitives import x25519_base

LIMIT = 40
Let = Callable[[int, int], Awaitable[None]]


def with_admission(
    folder: Path, stuck: Collection[str], body: Callable[[Let, Store, Counters], Awaitable[None]], delay: float = 0.0
) -> None:
    """`body` is given what sends a number of messages for a next mix in one request."""

    async def around() -> None:
        store, counters = await open_store(folder), Counters()
        keys = MixKeys(store, bytes(32), retire=False, key_file=Path("storage.key"))
        await keys.roll(clock.now())
        today = keydays.day_at(clock.now())
        (own,) = [key for key in keys.all() if key.day == today]
        select = keydays.key_select(today)
        admission = Admission(
            store, keys, counters, delay=delay, queue_limit=LIMIT, known_mix=lambda _: True, stuck=lambda: stuck,
            wake=lambda _: None,
        )  # fmt: skip

        def made(next_mix: int) -> bytes:
            way = [Hop(1, select, own.public), Hop(next_mix, select, x25519_base(os.urandom(32)))]
            return packet.forward(way, bytes(32), os.urandom(239))

        async def let_in(next_mix: int, number: int) -> None:
            await admission.accept([made(next_mix) for _ in range(number)])

        try:
            await body(let_in, store, counters)
        finally:
            await store.close()

    asyncio.run(around())


def test_requests_at_once_get_no_more_room_than_there_is(tmp_path: Path) -> None:
    async def body(let_in: Let, store: Store, counters: Counters) -> None:
        asked = [let_in(2 + number, LIMIT // 4) for number in range(8)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(each) for each in answers] == [type(None)] * 4 + [Overloaded] * 4
        assert sum((await store.backlog()).values()) == LIMIT
        assert +Counter(counters.snapshot()) == {"accepted": LIMIT, "refused_full": LIMIT}
        for queue in await store.backlog():
            taken = (await store.take(queue, 1e12, LIMIT, 1.0)).entries
            await store.done(queue, [entry.id for entry in taken])
        await let_in(2, LIMIT // 4)

    with_admission(tmp_path, (), body)


def test_many_dead_mixes_leave_room_for_the_living(tmp_path: Path) -> None:
    async def body(let_in: Let, store: Store, counters: Counters) -> None:
        for dead in (2, 3, 4):
            await let_in(dead, LIMIT // 4)
        assert sum((await store.backlog()).values()) == LIMIT // 2
        assert counters.snapshot()["dropped_full"] == LIMIT // 4
        await let_in(5, LIMIT // 4)
        assert (await store.backlog())["to-5"] == LIMIT // 4

    with_admission(tmp_path, {"to-2", "to-3", "to-4"}, body)


def test_one_mix_has_no_more_than_half_of_the_room(tmp_path: Path) -> None:
    async def body(let_in: Let, store: Store, counters: Counters) -> None:
        await let_in(2, LIMIT - 1)
        assert await store.backlog() == {"to-2": LIMIT // 2}
        assert counters.snapshot()["dropped_full"] == LIMIT // 2 - 1

    with_admission(tmp_path, (), body)


def test_messages_are_held_for_exponentially_distributed_times(tmp_path: Path) -> None:
    """Of which a tenth is over after 0.105 of the mean, half after 0.693, nine tenths after 2.303."""
    mean, most, counted = 10_000.0, LIMIT // 2, 400

    async def body(let_in: Let, store: Store, counters: Counters) -> None:
        over: Counter[float] = Counter()
        for _ in range(counted // most):
            began = time.time()
            await let_in(2, most)
            ids: list[bytes] = []
            for share in (0.105, 0.693, 2.303, 1000.0):
                ids += [each.id for each in (await store.take("to-2", began + share * mean, most, 1e12)).entries]
                over[share] += len(ids)
            await store.done("to-2", ids)
        assert 10 <= over[0.105] <= 80  # of 400: 40, and five times the standard deviation of 6
        assert 150 <= over[0.693] <= 250
        assert 330 <= over[2.303] <= 390
        assert over[1000.0] == counted

    with_admission(tmp_path, (), body, mean)


class _Together:
    """A store whose writes for the keys of a mix wait until so many have been asked for; of one key they fail."""

    def __init__(self, store: Store, calls: int, fails: str | None) -> None:
        self._store, self._barrier, self._fails = store, asyncio.Barrier(calls), fails

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def put_if_absent_many(self, table: str, puts: Sequence[Put], expires: int | None = None) -> list[bool]:
        await self._barrier.wait()
        if table == self._fails:
            raise StoreError("the disk is full")
        await asyncio.sleep(0.05)  # the others are still under way when it has failed
        return await self._store.put_if_absent_many(table, puts, expires)


@pytest.mark.parametrize("is_one_lost", [False, True])
def test_messages_under_thirty_keys_are_stored_at_once_and_a_key_that_fails_takes_no_other_along(
    tmp_path: Path, is_one_lost: bool
) -> None:
    async def around() -> None:
        store, counters = await open_store(tmp_path), Counters()
        keys = MixKeys(store, bytes(32), retire=False, key_file=Path("storage.key"))
        for day in range(-keydays.LIFE_DAYS + 1, 1):
            await keys.roll(clock.now() + day * 86400)
        living = keys.all()
        assert len(living) >= keydays.LIFE_DAYS
        together = _Together(store, len(living), living[3].table if is_one_lost else None)
        admission = Admission(
            together, keys, counters, delay=0.0, queue_limit=2 * len(living), known_mix=lambda _: True, stuck=frozenset,
            wake=lambda _: None,
        )  # fmt: skip
        onward = Hop(2, keydays.key_select(keydays.day_at(clock.now())), x25519_base(os.urandom(32)))
        ways = [[Hop(1, keydays.key_select(key.day), key.public), onward] for key in living]
        messages = [packet.forward(way, bytes(32), os.urandom(239)) for way in ways]
        sent = asyncio.wait_for(admission.accept(messages), 20)
        if is_one_lost:
            with pytest.raises(StoreError, match="the disk is full"):
                await sent
        else:
            await sent
        assert sum((await store.backlog()).values()) == counters.snapshot()["accepted"] == len(living) - is_one_lost
        await store.close()

    asyncio.run(around())
