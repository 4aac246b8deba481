"""What arrives together is stored together, and none of it harms another."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from anontrace.backend.errors import StoreError
from anontrace.backend.nymserver.nyms import Outgoing
from anontrace.backend.store import Store
from anontrace.mixnet import blob, relay, surb, swap
from anontrace.mixnet.notification import Kind, Notification
from anontrace.mixnet.receipt import NymQuestion, Receipt
from anontrace.mixnet.sizes import BLOB
from anontrace.mixnet.swap import Swap
from anontrace_shared.schedule import nym_key

from tests.backend.nymserver.kinds import TO_FIRST, Worker, reply_block, way
from tests.backend.places import Place, within


class Watched:
    """A store that knows how many changes are under way, and refuses the compare-and-swaps of some keys."""

    def __init__(self, store: Store, refused: tuple[bytes, ...] = ()) -> None:
        self._store = store
        self._refused = refused
        self.under_way = self.most = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def compare_and_swap(self, table: str, key: bytes, *rest: Any) -> bool:
        with self._counted():
            if key in self._refused:
                raise StoreError("no room")
            return await self._store.compare_and_swap(table, key, *rest)

    async def put_if_absent_many(self, *call: Any) -> list[bool]:
        with self._counted():
            return await self._store.put_if_absent_many(*call)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            yield
        finally:
            self.under_way -= 1


def test_the_mix_is_woken_for_what_a_swap_a_receipt_or_a_relay_has_for_it_and_for_nothing_else(place: Place) -> None:
    async def body(store: Store) -> None:
        worker, woken = Worker(store), []
        worker.deliveries.connect(woken.append, frozenset)
        address, slot = os.urandom(20), 5_900_000
        key = nym_key(address, slot)
        first, second = (blob.seal(address, slot, surb.make(way(), os.urandom(32))[0]) for _ in range(2))
        await worker.take(Swap(key, swap.NEW, first).encode())
        assert woken == []
        for number in range(2):  # of which the second waits for the next reply block
            content = Notification(Kind.NOTIFICATION, report_id=bytes([number]) * 8).encode()
            await worker.nyms.send(Outgoing(address, slot, content))
        assert woken == []  # who sends knows the queue
        await worker.take(Swap(key, swap.authentication(first), second).encode())
        assert woken == [TO_FIRST]
        await worker.take(Receipt(NymQuestion(key, bytes(8)), reply_block()[0]).encode())
        await worker.take(relay.of(reply_block()[0], os.urandom(32)).encode())
        assert woken == [TO_FIRST] * 3

    within(place, body)


def new(key: bytes | None = None) -> Swap:
    return Swap(key or os.urandom(32), swap.NEW, os.urandom(BLOB))


async def held(worker: Worker, wanted: Swap) -> bool:
    question = NymQuestion(wanted.key, swap.fingerprint(wanted.key, wanted.blob))
    return (await worker.nyms.answer(question)).held


def test_swaps_of_many_keys_are_under_way_at_once_and_those_of_one_key_in_turn(tmp_path: Path) -> None:
    async def body(store: Store) -> None:
        watched = Watched(store)
        worker = Worker(watched)
        first, others = new(), [new() for _ in range(40)]
        second = Swap(first.key, swap.authentication(first.blob), os.urandom(BLOB))
        third = Swap(first.key, swap.authentication(second.blob), os.urandom(BLOB))
        await worker.take(*(each.encode() for each in [first, *others[:20], second, *others[20:], third]))
        assert worker.counted() == {"swap_new": 41, "swap_replaced": 2}
        assert all([await held(worker, each) for each in [third, *others]])
        assert watched.most > 20

    within(Place(tmp_path / "db"), body)


def test_a_swap_that_cannot_be_stored_is_told_of_once_all_others_are(tmp_path: Path) -> None:
    async def body(store: Store) -> None:
        swaps = [new() for _ in range(20)]
        watched = Watched(store, refused=(swaps[3].key,))
        worker = Worker(watched)
        with pytest.raises(StoreError):
            await worker.take(*(each.encode() for each in swaps))
        assert watched.under_way == 0
        assert [await held(worker, each) for each in swaps] == [each is not swaps[3] for each in swaps]
        repaired = Worker(store)
        await repaired.take(*(each.encode() for each in swaps))  # the queue hands all of them over again
        assert all([await held(repaired, each) for each in swaps])
        assert repaired.counted() == {"swap_new": 1, "swap_repeated": 19}

    within(Place(tmp_path / "db"), body)


@pytest.mark.parametrize("kind", ["receipts", "relays"])
def test_answers_are_queued_at_once_and_each_reply_block_still_sends_one(tmp_path: Path, kind: str) -> None:
    async def body(store: Store) -> None:
        watched = Watched(store)
        worker = Worker(watched)
        asked = [reply_block()[0] for _ in range(20)]
        if kind == "receipts":
            made = [Receipt(NymQuestion(os.urandom(32), os.urandom(8)), each).encode() for each in asked]
        else:
            made = [relay.of(each, os.urandom(32)).encode() for each in asked]
        await worker.take(*made, *made)
        assert worker.counted() == {f"{kind}_sent": 20, f"{kind}_repeated": 20}
        assert len({message[:141] for message in await worker.sent()}) == 20
        assert watched.most > 20

    within(Place(tmp_path / "db"), body)
