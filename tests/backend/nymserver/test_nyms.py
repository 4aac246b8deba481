"""Swap, send, used flag and queue, against a store and without a network."""

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from anontrace import clock
from anontrace.backend.mix.items import Onward
from anontrace.backend.nymserver.nyms import TABLE, Nyms, Outcome, Outgoing
from anontrace.backend.observing.counters import Counters
from anontrace.backend.store import Store, open_store
from anontrace.mixnet import blob, keydays, surb, swap
from anontrace.mixnet.notification import Kind, Notification
from anontrace.mixnet.path import Hop
from anontrace.mixnet.receipt import NymQuestion
from anontrace_primitives import x25519_base
from anontrace_shared.schedule import nym_key

ADDRESS, SLOT = bytes(range(20)), 5_900_000
KEY = nym_key(ADDRESS, SLOT)
TO_MIX = "to-7"
MIXES = (7,)


def a_blob(first_mix: int = 7) -> bytes:
    hop = Hop(first_mix, keydays.key_select(keydays.day_at(clock.now())), x25519_base(os.urandom(32)))
    return blob.seal(ADDRESS, SLOT, surb.make([hop], os.urandom(32))[0])


def a_message() -> Outgoing:
    return Outgoing(ADDRESS, SLOT, Notification(Kind.NOTIFICATION, report_id=os.urandom(8)).encode())


def retraction_of(message: Outgoing) -> Outgoing:
    report_id = Notification.decode(message.content).report_id
    return Outgoing(ADDRESS, SLOT, Notification(Kind.RETRACTION, report_id=report_id).encode())


def with_nyms(folder: Path, body: Callable[[Nyms, Store, Counters], Awaitable[None]]) -> None:
    async def around() -> None:
        store = await open_store(folder)
        counters = Counters()
        try:
            await body(Nyms(store, counters, MIXES.__contains__, keep_days=45), store, counters)
        finally:
            await store.close()

    asyncio.run(around())


async def headers_sent(store: Store) -> list[bytes]:
    taking = await store.take(TO_MIX, 1e12, 100, 1e12)
    return [Onward.decode(entry.item).message[:141] for entry in taking.entries]


def header_of(stored: bytes) -> bytes:
    return surb.parse(blob.open(ADDRESS, SLOT, stored)).header


def test_a_swap_with_a_wrong_authentication_changes_nothing(tmp_path: Path) -> None:
    async def body(nyms: Nyms, _: Store, counters: Counters) -> None:
        first, second, third = a_blob(), a_blob(), a_blob()
        await nyms.swap(swap.Swap(KEY, os.urandom(32), first))
        assert not (await nyms.answer(NymQuestion(KEY, swap.fingerprint(KEY, first)))).held
        await nyms.swap(swap.Swap(KEY, swap.NEW, first))
        for wrong in (swap.NEW, swap.authentication(second), os.urandom(32)):
            await nyms.swap(swap.Swap(KEY, wrong, second))
        assert (await nyms.answer(NymQuestion(KEY, swap.fingerprint(KEY, first)))).held
        await nyms.swap(swap.Swap(KEY, swap.authentication(first), third))
        assert (await nyms.answer(NymQuestion(KEY, swap.fingerprint(KEY, third)))).held
        assert +Counter(counters.snapshot()) == {"swap_new": 1, "swap_refused": 4, "swap_replaced": 1}

    with_nyms(tmp_path, body)


def test_the_same_blob_again_does_not_make_a_used_surb_usable(tmp_path: Path) -> None:
    async def body(nyms: Nyms, store: Store, _: Counters) -> None:
        first = a_blob()
        await nyms.swap(swap.Swap(KEY, swap.NEW, first))
        assert (await nyms.send(a_message()))[0] is Outcome.SENT
        await nyms.swap(swap.Swap(KEY, swap.authentication(first), first))
        assert (await nyms.send(a_message()))[0] is Outcome.WAITING
        assert len(await headers_sent(store)) == 1

    with_nyms(tmp_path, body)


def test_what_waits_goes_out_one_message_for_each_new_surb_in_order(tmp_path: Path) -> None:
    async def body(nyms: Nyms, store: Store, counters: Counters) -> None:
        blobs = [a_blob() for _ in range(4)]
        await nyms.swap(swap.Swap(KEY, swap.NEW, blobs[0]))
        outcomes = [(await nyms.send(a_message()))[0] for _ in range(3)]
        assert outcomes == [Outcome.SENT, Outcome.WAITING, Outcome.WAITING]
        for before, after, in_all in ((0, 1, 2), (1, 2, 3), (2, 3, 3)):
            await nyms.swap(swap.Swap(KEY, swap.authentication(blobs[before]), blobs[after]))
            assert (await store.backlog())[TO_MIX] == in_all
        assert set(await headers_sent(store)) == {header_of(each) for each in blobs[:3]}
        assert (await nyms.send(a_message()))[0] is Outcome.SENT
        assert counters.snapshot()["notification_sent"] == 4

    with_nyms(tmp_path, body)


def test_a_message_that_is_sent_again_after_a_crash_goes_out_once(tmp_path: Path) -> None:
    async def body(nyms: Nyms, store: Store, counters: Counters) -> None:
        await nyms.swap(swap.Swap(KEY, swap.NEW, a_blob()))
        first, second = a_message(), a_message()
        for _ in range(2):
            await nyms.send(first)
        for _ in range(2):
            assert (await nyms.send(second))[0] is Outcome.WAITING
        assert (await store.backlog())[TO_MIX] == 1

    with_nyms(tmp_path, body)


def test_what_is_repeated_after_other_messages_went_out_is_still_known(tmp_path: Path) -> None:
    async def body(nyms: Nyms, store: Store, counters: Counters) -> None:
        blobs, messages = [a_blob() for _ in range(4)], [a_message() for _ in range(3)]
        await nyms.swap(swap.Swap(KEY, swap.NEW, blobs[0]))
        for message, before, after in zip(messages, blobs, blobs[1:], strict=False):
            assert (await nyms.send(message))[0] is Outcome.SENT
            await nyms.swap(swap.Swap(KEY, swap.authentication(before), after))
        for message in messages:
            await nyms.send(message)
        assert (await store.backlog())[TO_MIX] == 3

    with_nyms(tmp_path, body)


def test_a_retraction_that_overtakes_its_notification_cancels_it(tmp_path: Path) -> None:
    """A worker may have had the notification in hand when its store failed, or when it was killed."""

    async def body(nyms: Nyms, store: Store, counters: Counters) -> None:
        await nyms.swap(swap.Swap(KEY, swap.NEW, a_blob()))
        message = a_message()
        for _ in range(2):
            await nyms.send(retraction_of(message))
        for _ in range(2):
            await nyms.send(message)
        assert await store.backlog() == {}
        assert (await nyms.send(a_message()))[0] is Outcome.SENT
        assert counters.snapshot()["notification_cancelled"] == 1

    with_nyms(tmp_path, body)


def test_a_notification_and_its_retraction_at_once_are_both_sent_in_order_or_neither(tmp_path: Path) -> None:
    async def body(nyms: Nyms, store: Store, counters: Counters) -> None:
        blobs = [a_blob() for _ in range(12)]
        await nyms.swap(swap.Swap(KEY, swap.NEW, blobs[0]))
        sent = 0
        for number in range(0, 10, 2):
            message = a_message()
            both = [message, retraction_of(message)][:: 1 if number % 4 else -1]
            outcomes = [each for each, _ in await asyncio.gather(*map(nyms.send, both))][:: 1 if number % 4 else -1]
            assert outcomes in ([Outcome.SENT, Outcome.WAITING], [Outcome.SENT, Outcome.CANCELLED])
            for at in (number, number + 1):
                await nyms.swap(swap.Swap(KEY, swap.authentication(blobs[at]), blobs[at + 1]))
            sent += 2 if outcomes[1] is Outcome.WAITING else 0
        assert (await store.backlog()).get(TO_MIX, 0) == sent
        assert counters.snapshot().get("notification_cancelled", 0) == 5 - sent // 2

    with_nyms(tmp_path, body)


def test_a_retraction_waits_however_many_messages_wait_already(tmp_path: Path) -> None:
    async def body(nyms: Nyms, store: Store, counters: Counters) -> None:
        first = a_message()
        await nyms.swap(swap.Swap(KEY, swap.NEW, a_blob()))
        await nyms.send(first)
        others = [a_message() for _ in range(9)]
        assert [(await nyms.send(each))[0] for each in others][-1] is Outcome.FULL
        assert (await nyms.send(retraction_of(first)))[0] is Outcome.WAITING
        assert (await nyms.send(retraction_of(others[-1])))[0] is Outcome.CANCELLED

    with_nyms(tmp_path, body)


def test_nothing_that_is_stored_links_two_who_were_told_of_one_report(tmp_path: Path) -> None:
    async def body(nyms: Nyms, store: Store, _: Counters) -> None:
        report_id, values = os.urandom(8), []
        for address in (os.urandom(20), os.urandom(20)):
            hop = Hop(7, keydays.key_select(keydays.day_at(clock.now())), x25519_base(os.urandom(32)))
            made = blob.seal(address, SLOT, surb.make([hop], os.urandom(32))[0])
            key = nym_key(address, SLOT)
            await nyms.swap(swap.Swap(key, swap.NEW, made))
            for kind in (Kind.NOTIFICATION, Kind.RETRACTION):
                await nyms.send(Outgoing(address, SLOT, Notification(kind, report_id=report_id).encode()))
                again = blob.seal(address, SLOT, surb.make([hop], os.urandom(32))[0])
                await nyms.swap(swap.Swap(key, swap.authentication(made), again))
                made = again
            values += await store.get_many(TABLE, [key])
        first, second = ({value[at : at + 8] for at in range(len(value) - 7)} for value in values if value is not None)
        assert not first & second and report_id not in first | second

    with_nyms(tmp_path, body)


def test_a_message_to_an_address_that_is_not_registered_goes_nowhere(tmp_path: Path) -> None:
    async def body(nyms: Nyms, store: Store, counters: Counters) -> None:
        assert await nyms.send(a_message()) == (Outcome.UNKNOWN, None)
        assert await store.backlog() == {}

    with_nyms(tmp_path, body)


def test_a_surb_that_begins_at_no_mix_of_the_network_is_not_used(tmp_path: Path) -> None:
    """Its message would wait for such a mix until its key has expired."""

    async def body(nyms: Nyms, store: Store, _: Counters) -> None:
        bad, good, worse = a_blob(8), a_blob(), a_blob(9)
        await nyms.swap(swap.Swap(KEY, swap.NEW, bad))
        assert await nyms.send(a_message()) == (Outcome.UNUSABLE, None)
        await nyms.swap(swap.Swap(KEY, swap.authentication(bad), good))
        assert [(await nyms.send(a_message()))[0] for _ in range(2)] == [Outcome.SENT, Outcome.WAITING]
        await nyms.swap(swap.Swap(KEY, swap.authentication(good), worse))
        assert await store.backlog() == {TO_MIX: 1}

    with_nyms(tmp_path, body)


def test_the_queue_of_an_address_is_bounded(tmp_path: Path) -> None:
    async def body(nyms: Nyms, store: Store, counters: Counters) -> None:
        await nyms.swap(swap.Swap(KEY, swap.NEW, a_blob()))
        outcomes = [(await nyms.send(a_message()))[0] for _ in range(10)]
        assert outcomes == [Outcome.SENT] + [Outcome.WAITING] * 8 + [Outcome.FULL]

    with_nyms(tmp_path, body)


def test_an_address_lasts_as_long_as_it_is_kept_from_when_it_was_first_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(nyms: Nyms, store: Store, _: Counters) -> None:
        first, second = a_blob(), a_blob()
        today = keydays.day_at(clock.now())
        await nyms.swap(swap.Swap(KEY, swap.NEW, first))
        monkeypatch.setattr(clock, "now", lambda: (today + 40) * 86400.0)
        await nyms.swap(swap.Swap(KEY, swap.authentication(first), second))
        for days, expected in ((45, True), (46, False)):
            await store.expire(today + days)
            assert await nyms.registered([KEY]) == [expected]

    with_nyms(tmp_path, body)


def test_of_many_swaps_at_once_exactly_one_is_taken(tmp_path: Path) -> None:
    async def body(nyms: Nyms, _: Store, counters: Counters) -> None:
        first = a_blob()
        await nyms.swap(swap.Swap(KEY, swap.NEW, first))
        shown = swap.authentication(first)
        await asyncio.gather(*(nyms.swap(swap.Swap(KEY, shown, a_blob())) for _ in range(20)))
        assert +Counter(counters.snapshot()) == {"swap_new": 1, "swap_refused": 19, "swap_replaced": 1}

    with_nyms(tmp_path, body)
