"""What a poll may take of a mailbox server: who fills many mailboxes and asks for all at once fills no memory."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from anontrace.backend.counters import Counters
from anontrace.backend.mailbox.boxes import Mailboxes
from anontrace.backend.mix.items import Arrived
from anontrace.backend.store import Store, open_store
from anontrace.wire import poll


def with_mailboxes(folder: Path, body: Callable[[Mailboxes, Store, list[int]], Awaitable[None]]) -> None:
    """`body` is also given how many mailboxes each look into the store asked for; below 0: one that has ended."""

    async def around() -> None:
        store, looks = await open_store(folder), list[int]()
        real = store.get_lists

        async def counted(table: str, keys: Sequence[bytes]) -> list[list[bytes]]:
            looks.append(len(keys))
            found = await real(table, keys)
            looks.append(-len(keys))
            return found

        store.get_lists = counted  # type: ignore[method-assign]
        try:
            await body(Mailboxes(store, Counters(), 255), store, looks)
        finally:
            await store.close()

    asyncio.run(around())


def test_no_more_is_read_than_the_answer_has_room_for_and_little_at_a_time(tmp_path: Path) -> None:
    async def body(mailboxes: Mailboxes, store: Store, looks: list[int]) -> None:
        addresses = [os.urandom(32) for _ in range(poll.MOST_MAILBOXES)]
        sent = {address: [os.urandom(239) for _ in range(2)] for address in addresses}
        await mailboxes.deliver([Arrived(address, each) for address, some in sent.items() for each in some])
        asked = [(address, n % 3) for n, address in enumerate(addresses)]
        found = await mailboxes.fetch(asked, poll.OPEN)
        assert found == {n: sent[address][skip:] for n, (address, skip) in enumerate(asked) if skip < 2}
        assert max(looks) == 256 and sum(each for each in looks if each > 0) == len(asked)
        looks.clear()
        found = await mailboxes.fetch(asked, 3)
        assert found == {0: sent[addresses[0]], 1: sent[addresses[1]][1:]}
        assert looks == [256, -256]

    with_mailboxes(tmp_path, body)


def test_many_polls_at_once_take_turns(tmp_path: Path) -> None:
    async def body(mailboxes: Mailboxes, store: Store, looks: list[int]) -> None:
        asked = [(os.urandom(32), 0) for _ in range(300)]
        assert await asyncio.gather(*(mailboxes.fetch(asked, poll.OPEN) for _ in range(40))) == [{}] * 40
        running = [sum(looks[:end]) for end in range(len(looks) + 1)]
        assert len(looks) == 40 * 2 * 2
        assert max(running) <= 4 * 256

    with_mailboxes(tmp_path, body)
