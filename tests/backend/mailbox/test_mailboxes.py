"""What lies in mailboxes and groups, in both stores, and what a look may take of a mailbox server: who fills many and
asks for all at once fills no memory."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence

import pytest
from anontrace.backend.mailbox.boxes import GROUPS, PAGE, Mailboxes
from anontrace.backend.mix.items import Arrived
from anontrace.backend.observing.counters import Counters
from anontrace.backend.store import Store
from anontrace.mixnet.header import ALONE, GROUPED
from anontrace.wire import look
from anontrace.wire.look import Answer, Group, Look

from tests.backend.places import Place

GROUP_QUOTA = 20 * PAGE


def with_mailboxes(place: Place, body: Callable[[Mailboxes, Store, list[int]], Awaitable[None]]) -> None:
    """`body` is also given how many lists each look into the store asked for; below 0: one that has ended."""

    async def around() -> None:
        store, looks = await place.open(), list[int]()
        real = store.get_lists

        async def counted(table: str, keys: Sequence[bytes]) -> list[list[bytes]]:
            looks.append(len(keys))
            found = await real(table, keys)
            looks.append(-len(keys))
            return found

        store.get_lists = counted  # type: ignore[method-assign]
        try:
            await body(Mailboxes(store, Counters(), 255, GROUP_QUOTA), store, looks)
        finally:
            await store.close()

    asyncio.run(around())


def ask(digests: int, count: int, plain: int, *groups: Group, old: Sequence[tuple[bytes, int]] = ()) -> Look:
    return Look(digests, count, plain, os.urandom(16), groups, old)


def messages(group: bytes, count: int) -> tuple[list[Arrived], list[bytes]]:
    """Some for boxes of a group, and the rows that they make."""
    arrived = [Arrived(group + os.urandom(16), os.urandom(239), GROUPED) for _ in range(count)]
    return arrived, [each.mailbox[16:20] + each.payload for each in arrived]


def digests(rows: Sequence[bytes]) -> list[bytes]:
    return [look.digest(each) for each in rows]


def test_a_look_tells_of_what_is_new_and_adds_up_all_from_where_it_begins(place: Place) -> None:
    async def body(mailboxes: Mailboxes, store: Store, looks: list[int]) -> None:
        first, second, empty = (os.urandom(16) for _ in range(3))
        some, rows = messages(first, 100)
        others, other_rows = messages(second, 3)
        for at in range(0, 100, 7):  # over the ends of pages, in order
            await mailboxes.deliver(some[at : at + 7])
        await mailboxes.deliver(others)
        after_a_crash = Mailboxes(store, Counters(), 255, GROUP_QUOTA)
        await after_a_crash.deliver([*some[:3], some[-1], *others])  # again: nothing changes
        for start, known in ((0, 0), (1, 40), (64, 64), (33, 99), (95, 100), (0, 100)):
            asked = ask(200, 5, 4, Group(empty, 0, 0), Group(first, start, known), Group(second, 1, 1))
            answer = await mailboxes.answer(asked)
            assert answer.told == [[], digests(rows[known:]), digests(other_rows[1:])]
            assert answer.sums == look.add_up(asked, [[], rows[start:], other_rows[1:]])
            wanted = [(look.FIRST_GROUP + 1, row) for row in rows[start:]]
            wanted += [(look.FIRST_GROUP + 2, row) for row in other_rows[1:]]
            assert answer.plain == wanted[:4]
            assert Answer.parse(asked, answer.encode(asked)) == answer

    with_mailboxes(place, body)


def test_what_there_is_no_room_for_is_told_later_and_is_in_no_sum_before(place: Place) -> None:
    async def body(mailboxes: Mailboxes, store: Store, looks: list[int]) -> None:
        first, second = os.urandom(16), os.urandom(16)
        some, rows = messages(first, 50)
        others, other_rows = messages(second, 50)
        await mailboxes.deliver([*some, *others])
        asked = ask(60, 2, 0, Group(first, 0, 0), Group(second, 0, 0))
        answer = await mailboxes.answer(asked)
        assert answer.told == [digests(rows), digests(other_rows[:10])]
        assert answer.sums == look.add_up(asked, [rows, other_rows[:10]])
        asked = ask(60, 2, 0, Group(first, 50, 50), Group(second, 0, 10))
        answer = await mailboxes.answer(asked)
        assert answer.told == [[], digests(other_rows[10:])]
        assert answer.sums == look.add_up(asked, [[], other_rows])

    with_mailboxes(place, body)


def test_messages_that_were_stored_without_their_digests_are_told_of_and_added_up_all_the_same(
    place: Place,
) -> None:
    async def body(mailboxes: Mailboxes, store: Store, looks: list[int]) -> None:
        group = os.urandom(16)
        some, rows = messages(group, 20)
        await store.append_many(GROUPS, [(group + bytes(2), row) for row in rows[:10]], 32, 1 << 20)
        await mailboxes.deliver(some[10:])
        asked = ask(60, 5, 0, Group(group, 2, 5))
        answer = await mailboxes.answer(asked)
        assert answer.told == [digests(rows[5:])]
        assert answer.sums == look.add_up(asked, [rows[2:]])

    with_mailboxes(place, body)


def test_who_knows_more_than_there_is_or_asks_for_strangers_groups_gets_an_answer_of_the_same_size(
    place: Place,
) -> None:
    async def body(mailboxes: Mailboxes, store: Store, looks: list[int]) -> None:
        group = os.urandom(16)
        some, rows = messages(group, 40)
        await mailboxes.deliver(some)
        sizes = set()
        for each in (Group(group, 0, 0), Group(group, 30, 4000), Group(group, 65535, 65535), Group(bytes(16), 7, 9)):
            asked = ask(50, 3, 2, each)
            answer = await mailboxes.answer(asked)
            assert answer.told == [digests(rows)] if each.known == 0 else answer.told == [[]]
            sizes.add(len(answer.encode(asked)))
        assert len(sizes) == 1

    with_mailboxes(place, body)


def test_a_full_group_takes_no_more_and_no_other_is_affected(place: Place) -> None:
    async def body(mailboxes: Mailboxes, store: Store, looks: list[int]) -> None:
        full, other = os.urandom(16), os.urandom(16)
        some, rows = messages(full, GROUP_QUOTA + 5)
        others, other_rows = messages(other, 2)
        await mailboxes.deliver([*some, *others])
        await mailboxes.deliver(messages(full, 3)[0])
        counted = mailboxes._counters.snapshot()
        assert (counted["mailbox_stored"], counted["mailbox_full"]) == (GROUP_QUOTA + 2, 8)
        again = Mailboxes(store, Counters(), 255, GROUP_QUOTA)  # another worker, which remembers nothing
        await again.deliver(messages(full, 3)[0])
        assert again._counters.snapshot()["mailbox_full"] == 3
        answer = await again.answer(ask(1024, 0, 0, Group(full, 0, 0), Group(other, 0, 0)))
        assert answer.told == [digests(rows[:GROUP_QUOTA]), digests(other_rows)]

    with_mailboxes(place, body)


def test_an_address_of_its_own_goes_where_it_went_and_one_of_a_version_to_come_nowhere(place: Place) -> None:
    async def body(mailboxes: Mailboxes, store: Store, looks: list[int]) -> None:
        address, payload = os.urandom(32), os.urandom(239)
        old_item = address + payload  # as a server up to 0.2 has queued it
        assert Arrived.decode(old_item) == Arrived(address, payload, ALONE)
        for version in (ALONE, GROUPED, 2):
            arrived = Arrived(address, payload, version)
            assert Arrived.decode(arrived.encode()) == arrived
            await mailboxes.deliver([arrived])
        assert await store.get_lists("mailboxes", [address]) == [[payload]]
        assert await store.get_lists(GROUPS, [address[:16] + bytes(2)]) == [
            [look.with_digest(address[16:20] + payload)]
        ]
        assert mailboxes._counters.snapshot()["mailbox_unknown"] == 1
        found = await mailboxes.answer(ask(0, 0, 3, Group(address[:16], 0, 0), old=[(os.urandom(32), 0), (address, 0)]))
        assert found.plain == [(1, bytes(4) + payload)]  # what is not told of by its digest is not there
        found = await mailboxes.answer(ask(1, 0, 3, Group(address[:16], 0, 0), old=[(address, 0)]))
        assert found.plain == [(0, bytes(4) + payload), (look.FIRST_GROUP, address[16:20] + payload)]

    with_mailboxes(place, body)


def test_no_more_is_read_than_the_answer_has_room_for_and_little_at_a_time(place: Place) -> None:
    async def body(mailboxes: Mailboxes, store: Store, looks: list[int]) -> None:
        addresses = [os.urandom(32) for _ in range(look.MAX_OLD)]
        sent = {address: [os.urandom(239) for _ in range(2)] for address in addresses}
        await mailboxes.deliver([Arrived(address, each) for address, some in sent.items() for each in some])
        answer = await mailboxes.answer(ask(0, 0, 3, old=[(each, n % 3) for n, each in enumerate(addresses)]))
        rows = [(0, sent[addresses[0]][0]), (0, sent[addresses[0]][1]), (1, sent[addresses[1]][1])]
        assert answer.plain == [(place, bytes(4) + payload) for place, payload in rows]
        assert looks == [256, -256]

        groups = [os.urandom(16) for _ in range(32)]
        for group in groups:
            await mailboxes.deliver(messages(group, 2 * PAGE)[0])
        for room, reads in ((10, [32, -32]), (20, [32, -32, 32, -32])):  # the second: whether there is another page
            looks.clear()
            await mailboxes.answer(ask(room, 10, 0, *(Group(each, 40, 50) for each in groups)))
            assert looks == reads

    with_mailboxes(place, body)


def test_many_looks_at_once_take_turns(place: Place) -> None:
    async def body(mailboxes: Mailboxes, store: Store, looks: list[int]) -> None:
        asked = ask(0, 0, 64, old=[(os.urandom(32), 0) for _ in range(300)])
        answers = await asyncio.gather(*(mailboxes.answer(asked) for _ in range(40)))
        assert [each.plain for each in answers] == [[]] * 40
        running = [sum(looks[:end]) for end in range(len(looks) + 1)]
        assert len(looks) == 40 * 2 * 2
        assert max(running) <= 4 * 256

    with_mailboxes(place, body)


@pytest.mark.parametrize("known", [0, 28])
def test_sums_are_over_at_most_16384_messages_whatever_lies_in_the_groups(place: Place, known: int) -> None:
    async def body(mailboxes: Mailboxes, store: Store, looks: list[int]) -> None:
        group, full = os.urandom(16), [os.urandom(16) for _ in range(63)]
        await mailboxes.deliver(messages(group, 30)[0])
        covered = [Group(each, 0, 260) for each in full]
        asked = ask(1024, 1, 0, *covered, Group(group, known, known))
        left = look.MAX_ROWS - 63 * 260
        assert [len(each) for each in (await mailboxes.answer(asked)).told] == [0] * 63 + [min(30 - known, left)]

    with_mailboxes(place, body)
