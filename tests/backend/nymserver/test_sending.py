"""A stop for all sending, under any number of workers, and what is counted of a report's messages."""

import asyncio
import os
from collections.abc import Awaitable, Callable

from anontrace.backend.mix.items import Onward
from anontrace.backend.nymserver.nyms import Nyms, Outcome, Outgoing
from anontrace.backend.nymserver.progress import Tallies
from anontrace.backend.nymserver.records import Progress
from anontrace.backend.nymserver.sending import SEND, Sending
from anontrace.backend.observing.counters import Counters
from anontrace.backend.store import Store
from anontrace.mixnet import swap
from anontrace.mixnet.notification import Kind, Notification

from tests.backend.nymserver.test_nyms import ADDRESS, KEY, MIXES, SLOT, TO_MIX, a_blob, retraction_of
from tests.backend.places import Place, within

REPORT = bytes(range(8))


def a_message(number: int = 0) -> Outgoing:
    content = Notification(Kind.NOTIFICATION, report_id=REPORT, message=str(number))
    return Outgoing(ADDRESS, SLOT, content.encode())


def played(place: Place, play: Callable[[Nyms, Store], Awaitable[None]]) -> None:
    async def body(store: Store) -> None:
        await play(Nyms(store, Counters(), MIXES.__contains__, keep_days=45), store)

    within(place, body)


async def progress(store: Store) -> Progress:
    return (await Tallies(store).of([REPORT])).get(REPORT, Progress())


def test_what_waited_for_a_surb_is_held_with_all_else_while_sending_is_stopped(place: Place) -> None:
    async def play(nyms: Nyms, store: Store) -> None:
        blobs = [a_blob() for _ in range(3)]
        await nyms.swap(swap.Swap(KEY, swap.NEW, blobs[0]))
        other = Outgoing(ADDRESS, SLOT, Notification(Kind.NOTIFICATION, report_id=os.urandom(8)).encode())
        await nyms.send(other)
        assert (await nyms.send(a_message()))[0] is Outcome.WAITING
        assert await progress(store) == Progress(waiting=1)
        await Sending(store).stop()
        assert await nyms.swap(swap.Swap(KEY, swap.authentication(blobs[0]), blobs[1])) is None
        assert await store.backlog() == {TO_MIX: 1, SEND: 1}
        await Sending(store).resume()
        ((entry),) = (await store.take(SEND, 1e12, 10, 60.0)).entries
        outcome, queue = await nyms.send(Outgoing.decode(entry.item))
        assert (outcome, queue) == (Outcome.SENT, TO_MIX)
        sent = (await store.take(TO_MIX, 1e12, 10, 60.0)).entries
        assert len({Onward.decode(each.item).message for each in sent}) == 2
        assert await progress(store) == Progress(sent=1)

    played(place, play)


def test_every_worker_hears_of_a_stop_at_once_and_goes_on_after_it(place: Place) -> None:
    async def body(store: Store) -> None:
        workers = [Sending(store) for _ in range(3)]
        await workers[0].stop()
        assert [await each.is_stopped() for each in workers] == [True] * 3
        waiting = [asyncio.create_task(each.wait()) for each in workers]
        await asyncio.sleep(1.2)
        assert not any(each.done() for each in waiting)
        await workers[2].resume()
        async with asyncio.timeout(20):
            await asyncio.gather(*waiting)

    within(place, body)


def test_what_became_of_a_reports_messages_is_counted(place: Place) -> None:
    async def play(nyms: Nyms, store: Store) -> None:
        first, second = a_blob(), a_blob()
        assert (await nyms.send(a_message()))[0] is Outcome.UNKNOWN
        assert await progress(store) == Progress(dropped=1)
        await nyms.swap(swap.Swap(KEY, swap.NEW, first))
        for _ in range(2):  # a repeat counts once
            await nyms.send(a_message())
        assert await progress(store) == Progress(dropped=1, sent=1)
        await nyms.swap(swap.Swap(KEY, swap.authentication(first), second))
        await nyms.send(retraction_of(a_message()))
        assert await progress(store) == Progress(dropped=1, sent=1, taken_back=1)

    played(place, play)


def test_who_is_still_to_be_told_when_a_report_is_retracted_is_counted_as_called_off(place: Place) -> None:
    async def play(nyms: Nyms, store: Store) -> None:
        await nyms.swap(swap.Swap(KEY, swap.NEW, a_blob()))
        await nyms.send(Outgoing(ADDRESS, SLOT, Notification(Kind.NOTIFICATION, report_id=os.urandom(8)).encode()))
        assert (await nyms.send(a_message()))[0] is Outcome.WAITING
        assert (await nyms.send(retraction_of(a_message())))[0] is Outcome.CANCELLED
        assert await progress(store) == Progress(cancelled=1)

    played(place, play)
