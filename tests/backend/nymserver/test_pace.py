"""Notifications leave a nymserver one by one, with pauses between them."""

import asyncio
import os
from pathlib import Path

import pytest
from anontrace.backend import config
from anontrace.backend.background import Background
from anontrace.backend.nymserver.nyms import Outgoing
from anontrace.backend.nymserver.role import NymserverRole
from anontrace.backend.nymserver.sending import SEND
from anontrace.backend.observing.clockcheck import ClockCheck
from anontrace.backend.observing.counters import Counters
from anontrace.backend.peers import Peers
from anontrace.backend.roles import Context
from anontrace.backend.store import Entry, open_store
from anontrace.mixnet.notification import Kind, Notification

from tests.backend.servers import command

DAY = 86400


@pytest.mark.parametrize(("pace", "left"), [(0, {}), (DAY, {SEND: 4})], ids=["without a pause", "a day on average"])
def test_the_next_notification_waits_for_its_time(tmp_path: Path, pace: int, left: dict[str, int]) -> None:
    assert command("init", tmp_path / "net", "--pace", str(pace)).returncode == 0
    server = config.load(tmp_path / "net" / "nymserver")

    async def body() -> None:
        store, counters, background = await open_store(tmp_path / "db"), Counters(), Background("nymserver")
        peers = Peers(store, server.network, ClockCheck("nymserver"), server.config.url, 20.0)
        content = Notification(Kind.NOTIFICATION).encode()
        await store.enqueue([Entry(SEND, 0.0, Outgoing(os.urandom(20), 7, content).encode()) for _ in range(5)])
        role = NymserverRole(Context(server, store, counters, background, peers))
        await role.start()
        async with asyncio.timeout(20):
            while await store.backlog() != left:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)
        assert await store.backlog() == left
        await background.stop()
        await peers.close()
        await store.close()

    asyncio.run(body())
