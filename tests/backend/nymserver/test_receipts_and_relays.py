"""What goes out for a receipt or a relay: one message at most, by a header that was never used; and nothing is told."""

import asyncio
import os
from itertools import pairwise

import pytest
from anontrace import clock
from anontrace.backend.nymserver.headers import Headers
from anontrace.backend.nymserver.nyms import Outcome, Outgoing
from anontrace.backend.store import Store
from anontrace.mixnet import blob, keydays, kinds, receipt, relay, surb, swap
from anontrace.mixnet.notification import Kind, Notification
from anontrace.mixnet.receipt import NymAnswer, NymQuestion, Receipt, UploadQuestion
from anontrace.mixnet.swap import Swap
from anontrace_shared.schedule import nym_key

from tests.backend.nymserver.kinds import FIRST, OTHER, QUEUE_LIMIT, TO_FIRST, Worker, reply_block, way
from tests.backend.places import Place, within

ADDRESS, SLOT = bytes(range(20)), 5_900_000
KEY = nym_key(ADDRESS, SLOT)


def a_surb() -> tuple[bytes, surb.SurbSecrets]:
    return surb.make(way(), os.urandom(32))


def a_swap(made: bytes, before: bytes | None = None) -> bytes:
    """Stores a SURB for the address, in place of another."""
    shown = swap.NEW if before is None else swap.authentication(blob.seal(ADDRESS, SLOT, before))
    return Swap(KEY, shown, blob.seal(ADDRESS, SLOT, made)).encode()


def question(made: bytes) -> NymQuestion:
    return NymQuestion(KEY, swap.fingerprint(KEY, blob.seal(ADDRESS, SLOT, made)))


def a_message() -> Outgoing:
    return Outgoing(ADDRESS, SLOT, Notification(Kind.NOTIFICATION, report_id=os.urandom(8)).encode())


def header(made: bytes) -> bytes:
    return surb.parse(made).header


def test_a_receipt_tells_whether_the_blob_that_it_names_is_stored(place: Place) -> None:
    async def body(store: Store) -> None:
        worker = Worker(store)
        first, second = a_surb()[0], a_surb()[0]
        assert await worker.asked(question(first)) == NymAnswer(False).encode()
        await worker.take(a_swap(first))
        assert await worker.asked(question(first)) == NymAnswer(True).encode()
        assert await worker.asked(question(second)) == NymAnswer(False).encode()
        await worker.take(a_swap(second, first))
        assert await worker.asked(question(first)) == NymAnswer(False).encode()
        assert await worker.asked(question(second)) == NymAnswer(True).encode()

    within(place, body)


def test_who_has_heard_an_address_but_knows_no_blob_is_answered_alike_whatever_happens_to_it(place: Place) -> None:
    async def body(store: Store) -> None:
        worker, told = Worker(store), set()
        first, second = a_surb()[0], a_surb()[0]
        asked = [NymQuestion(KEY, each) for each in (bytes(8), os.urandom(8), swap.fingerprint(KEY, bytes(174)))]

        async def listen() -> None:
            told.update([await worker.asked(each) for each in asked])

        await listen()
        await worker.take(a_swap(first))
        await listen()
        await worker.nyms.send(a_message())
        await listen()
        await worker.take(a_swap(second, first))
        await listen()
        assert told == {NymAnswer(False).encode()}

    within(place, body)


def test_a_receipt_that_comes_with_its_swap_tells_that_it_is_stored(place: Place) -> None:
    async def body(store: Store) -> None:
        worker, made = Worker(store), a_surb()[0]
        block, secrets = reply_block()
        await worker.take(Receipt(question(made), block).encode(), a_swap(made))
        (message,) = await worker.sent()
        assert secrets.arrives(message[141:]) == receipt.expected(secrets, NymAnswer(True))

    within(place, body)


def test_however_often_and_for_whatever_one_reply_block_is_sent_one_answer_goes_out(place: Place) -> None:
    """There is no receipt that asks for many answers: what is asked has one size, and its answer too."""

    async def body(store: Store) -> None:
        workers = [Worker(store), Worker(store)]
        block, _ = reply_block()
        asked = [Receipt(UploadQuestion(os.urandom(16), 1 << each % 32), block).encode() for each in range(40)]
        asked += [Receipt(NymQuestion(os.urandom(32), os.urandom(8)), block).encode() for _ in range(40)]
        asked += asked[:20] + [relay.of(block, os.urandom(32)).encode() for _ in range(20)]
        await asyncio.gather(*(worker.take(*asked[n::2]) for n, worker in enumerate(workers)))
        await workers[0].take(*asked)
        assert len(await workers[0].sent()) == 1
        counts = [worker.counted() for worker in workers]
        sent = [sum(count.get(f"{what}_sent", 0) for count in counts) for what in ("receipts", "relays")]
        repeated = [sum(count.get(f"{what}_repeated", 0) for count in counts) for what in ("receipts", "relays")]
        assert (sum(sent), sum(repeated)) == (1, 239)

    within(place, body)


def test_a_relay_sends_by_its_header_what_its_maker_knows_and_never_again(place: Place) -> None:
    async def body(store: Store) -> None:
        worker = Worker(store)
        made, secrets = a_surb()
        seed = os.urandom(32)
        await worker.take(relay.of(made, seed).encode())
        (message,) = await worker.sent()
        assert message[:141] == header(made)
        assert secrets.arrives(message[141:]) == secrets.arrives(relay.of(made, seed).payload())
        again = relay.of(made, os.urandom(32))
        for at_byte in (0, 1, 20, 32):  # key select and key: to the mix such headers are this one, or none
            changed = bytearray(again.header)
            changed[at_byte] ^= 1
            alike = relay.Relay(again.first_mix, bytes(changed), again.seed)
            if keydays.selected_day(changed[0], clock.now()) is not None:
                await worker.take(alike.encode())
        await worker.take(again.encode(), relay.Relay(OTHER, again.header, again.seed).encode())
        assert await worker.sent() == [] and await worker.sent(f"to-{OTHER}") == []
        assert worker.counted()["relays_sent"] == 1
        assert worker.counted()["relays_repeated"] >= 5

    within(place, body)


def test_the_dummy_of_a_surb_that_was_used_does_not_go_out_by_its_header_again(place: Place) -> None:
    async def body(store: Store) -> None:
        worker, made, following = Worker(store), a_surb()[0], a_surb()[0]
        await worker.take(a_swap(made))
        assert (await worker.nyms.send(a_message()))[0] is Outcome.SENT
        await worker.take(a_swap(following, made), relay.of(made, os.urandom(32)).encode())
        assert [each[:141] for each in await worker.sent()] == [header(made)]
        await worker.take(relay.of(a_surb()[0], os.urandom(32)).encode())
        assert len(await worker.sent()) == 1

    within(place, body)


@pytest.mark.parametrize("waiting", [1, 3])
def test_a_notification_for_a_surb_whose_dummy_has_gone_out_waits_for_the_next(place: Place, waiting: int) -> None:
    async def body(store: Store) -> None:
        worker, surbs = Worker(store), [a_surb()[0] for _ in range(waiting + 2)]
        await worker.take(a_swap(surbs[0]), relay.of(surbs[0], os.urandom(32)).encode())
        messages = [a_message() for _ in range(waiting)]
        assert [(await worker.nyms.send(each))[0] for each in messages] == [Outcome.WAITING] * waiting
        assert [each[:141] for each in await worker.sent()] == [header(surbs[0])]
        for before, after in pairwise(surbs):
            await worker.take(a_swap(after, before))
        assert {each[:141] for each in await worker.sent()} == {header(each) for each in surbs[1 : waiting + 1]}
        assert [(await worker.nyms.send(each))[0] for each in messages] == [Outcome.SENT] * waiting
        assert (await worker.nyms.send(a_message()))[0] is Outcome.SENT
        assert [each[:141] for each in await worker.sent()] == [header(surbs[-1])]

    within(place, body)


def test_what_waits_is_not_lost_when_the_next_surb_too_is_spent_before_it_is_stored(place: Place) -> None:
    async def body(store: Store) -> None:
        worker, surbs = Worker(store), [a_surb()[0] for _ in range(3)]
        await worker.take(a_swap(surbs[0]), *(relay.of(each, os.urandom(32)).encode() for each in surbs[:2]))
        assert (await worker.nyms.send(a_message()))[0] is Outcome.WAITING
        await worker.take(a_swap(surbs[1], surbs[0]))
        assert {each[:141] for each in await worker.sent()} == {header(each) for each in surbs[:2]}
        await worker.take(a_swap(surbs[2], surbs[1]))
        assert [each[:141] for each in await worker.sent()] == [header(surbs[2])]

    within(place, body)


def test_of_a_notification_and_the_dummy_at_once_one_goes_out_and_the_notification_is_not_lost(place: Place) -> None:
    async def body(store: Store) -> None:
        one, another = Worker(store), Worker(store)
        before = a_surb()[0]
        await one.take(a_swap(before))
        for _ in range(6):
            dummy = relay.of(before, os.urandom(32)).encode()
            (outcome, _), _ = await asyncio.gather(one.nyms.send(a_message()), another.take(dummy))
            assert [each[:141] for each in await one.sent()] == [header(before)]
            after = a_surb()[0]
            await one.take(a_swap(after, before))
            if outcome is Outcome.WAITING:
                assert [each[:141] for each in await one.sent()] == [header(after)]
                before, after = after, a_surb()[0]
                await one.take(a_swap(after, before))
            before = after

    within(place, body)


def test_a_header_is_remembered_as_long_as_its_key_may_live(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(store: Store) -> None:
        worker, now = Worker(store), clock.now()
        today = keydays.day_at(now)
        block = reply_block(day=today + 1)[0]  # made ahead: it lives longest
        dummy = relay.of(block, os.urandom(32)).encode()
        await worker.take(dummy)
        assert len(await worker.sent()) == 1
        for days in (1, keydays.LIFE_DAYS, keydays.LIFE_DAYS + 1):
            monkeypatch.setattr(clock, "now", lambda days=days: now + days * 86400)
            await store.expire(today + days)
            await worker.take(dummy)
        assert await worker.sent() == []
        counted = worker.counted()
        assert (counted["relays_repeated"], counted["relays_unusable"]) == (2, 1)

    within(place, body)


def test_a_header_that_a_notification_has_claimed_is_its_own_after_a_crash_and_is_forgotten_with_its_key(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(store: Store) -> None:
        headers, today = Headers(store, lambda _: True), keydays.day_at(clock.now())
        for _ in range(20):
            used, own, other = (surb.parse(a_surb()[0]).header, os.urandom(20), os.urandom(20))
            assert await headers.claim(used, own)
            assert await headers.claim(used, own)  # the same notification, once more
            assert not await headers.claim(used, other)
            assert await headers.is_claimed(used, own) and not await headers.is_claimed(used, other)
            entry = headers.entry(FIRST, used, os.urandom(239))
            assert entry is not None and not await headers.send(used, entry)
        late = today + keydays.LIFE_DAYS
        await store.expire(late)
        assert not await headers.claim(used, other)
        await store.expire(late + 1)
        monkeypatch.setattr(clock, "now", lambda: (late + 1) * 86400.0)
        assert await headers.claim(used, other)

    within(place, body)


def test_what_cannot_be_sent_is_counted_and_leaves_nothing_behind(place: Place) -> None:
    async def body(store: Store) -> None:
        worker = Worker(store)
        dead = keydays.day_at(clock.now()) - keydays.LIFE_DAYS
        for block in (reply_block(first=9)[0], reply_block(day=dead)[0]):
            for payload in (
                relay.of(block, bytes(32)).encode(),
                Receipt(NymQuestion(KEY, bytes(8)), block).encode(),
            ):
                await worker.take(payload)
        good = Receipt(UploadQuestion(bytes(16)), reply_block()[0]).encode()
        wrong = [bytes((3,)) + good[1:], bytes((255,)) + good[1:], good[:30] + b"\1" + good[31:]]
        wrong += [good[:41] + b"\0" + good[42:], bytes(238) + b"\2"]
        await worker.take(*wrong, *(kinds.cover() for _ in range(7)), *(bytes(238) + bytes((k,)) for k in (5, 255)))
        assert await store.backlog() == {}
        assert worker.counted() == {
            "cover": 9, "receipts_malformed": 4, "receipts_unusable": 2, "relays_malformed": 1, "relays_unusable": 2,
        }  # fmt: skip

    within(place, body)


def test_relays_for_a_mix_that_takes_none_leave_room_for_all_others(place: Place) -> None:
    async def body(store: Store) -> None:
        worker = Worker(store)
        worker.deliveries.connect(lambda _: None, lambda: frozenset({f"to-{OTHER}"}))
        flood = [relay.of(reply_block(OTHER)[0], os.urandom(32)).encode() for _ in range(QUEUE_LIMIT)]
        for start in range(0, len(flood), 256):
            await worker.take(*flood[start : start + 256])
        assert await store.backlog() == {f"to-{OTHER}": QUEUE_LIMIT // 2}
        await worker.take(relay.of(reply_block()[0], os.urandom(32)).encode())
        assert (await store.backlog())[TO_FIRST] == 1
        assert worker.counted() == {"relays_full": QUEUE_LIMIT // 2, "relays_sent": QUEUE_LIMIT // 2 + 1}

    within(place, body)
