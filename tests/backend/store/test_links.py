"""A link to a node ends when it is to, whatever it is in the middle of."""

import asyncio

import pytest
from anontrace.backend.store.links import Access, Address, Link, Unanswered, Unsent

from tests.backend.places import SharedCluster

AT_ONCE = 40
TIMES = 40


async def no_copies(again: bool) -> int:
    return 0


def test_a_busy_link_is_closed_at_any_moment_and_all_that_was_asked_of_it_is_answered(
    redis_cluster: SharedCluster,
) -> None:
    cluster = redis_cluster.corner()

    async def closed_after(steps: int, address: Address) -> None:
        link = Link(address, Access(cluster.user, cluster.password, None), no_copies)
        await link.call(("PING",))
        asked = [asyncio.create_task(link.call(("ECHO", b"x" * 1000))) for _ in range(AT_ONCE)]
        for _ in range(steps):
            await asyncio.sleep(0)
        asked[0].cancel()  # as a call does whose own caller has gone away
        async with asyncio.timeout(20):
            await link.close()
            answers = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(each, bytes | Unsent | Unanswered | asyncio.CancelledError) for each in answers)
        with pytest.raises(Unsent):
            await link.call(("PING",))

    async def all_of_them() -> None:
        for steps in range(TIMES):
            await closed_after(steps % 20, cluster.nodes[0])

    asyncio.run(all_of_them())
