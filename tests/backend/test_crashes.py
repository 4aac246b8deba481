"""Every server is killed at random moments while messages travel; each passes each hop once, and arrives."""

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from anontrace.backend.keys import keyfiles
from anontrace.backend.store.partitions import Partitions
from anontrace.mixnet import keydays, packet
from anontrace.mixnet.header import NO_MAILBOX
from anontrace.wire.mixes import Mix
from anontrace_shared.slots import slot_of

from tests.patience import HANG_SECONDS, eventually

from .client import Client, Registered
from .places import SharedCluster
from .servers import Servers

MIXES = ("mix-1", "mix-2", "mix-3", "nymserver", "mailbox")
NAMES = ("discovery", *MIXES, "authority")
MESSAGES, SWAPS, BATCH = 300, 60, 15
MAILBOXES = 40
REPLAY_TAG = 16  # bytes


class Steadfast(Client):
    """A client that keeps the directory it has seen, and sends again until a server has taken what it sends."""

    def __init__(self, servers: Servers) -> None:
        super().__init__(servers)
        self._kept = super().mixes

    @property
    def mixes(self) -> dict[int, Mix]:
        return self._kept

    def hand_over(self, first: int, batch: list[bytes]) -> None:
        def taken() -> bool:
            try:
                return self.post(first, *batch) == 202
            except httpx.HTTPError:
                return False

        eventually("the messages are taken", taken)


@pytest.fixture(params=["folder", "cluster"])
def apart(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Servers]:
    """Each server in a process of its own, its store in its folder or in a cluster."""
    servers = Servers(tmp_path / "net", "--delay", "0.3", "--pace", "0")
    try:
        if request.param == "cluster":
            cluster: SharedCluster = request.getfixturevalue("redis_cluster")
            prefix = f"crashes-{os.urandom(4).hex()}"
            for name in NAMES:
                password = servers.folder / name / keyfiles.STORE
                password.write_text(cluster.password)
                password.chmod(0o600)
                servers.configure(name, "network =", f'store = "{cluster.url}?prefix={prefix}-{name}"\nnetwork =')
        for name in NAMES:
            servers.launch(name)
        for name in NAMES:
            servers.await_start(name)
        servers.ready(NAMES)
        yield servers
    finally:
        servers.close()


def passed(folder: Path) -> int:
    """How many messages have passed the uniqueness test of the mix in this folder, whose process is gone."""
    partitions = Partitions(folder / "store")
    try:
        tables = [f"key-{day}" for day in keydays.accepted_days(time.time())]
        seen = [key for table in tables for partition in partitions.of(table) for key, _ in partition.rows()]
        return sum(len(key) == REPLAY_TAG for key in seen)
    finally:
        partitions.close()


def test_hundreds_of_messages_arrive_although_every_server_is_killed_meanwhile(apart: Servers) -> None:
    client = Steadfast(apart)
    sent: dict[bytes, list[bytes]] = {os.urandom(32): [] for _ in range(MAILBOXES)}
    people = [Registered(os.urandom(20), slot_of(time.time())) for _ in range(SWAPS)]
    by_first: dict[int, list[bytes]] = {}
    hops: Counter[int] = Counter()
    for number in range(MESSAGES):
        mailbox = list(sent)[number % MAILBOXES]
        way = client.path(client.mailbox, exclude=())
        payload = os.urandom(239)  # told from all others: what arrives is what was sent
        by_first.setdefault(way[0].number, []).append(packet.forward(way, mailbox, payload))
        hops.update(hop.number for hop in way)
        sent[mailbox].append(payload)
    for who in people:
        way = client.path(client.nymserver, exclude=())
        by_first.setdefault(way[0].number, []).append(packet.forward(way, NO_MAILBOX, client.arm(who)))
        hops.update(hop.number for hop in way)
    batches = [(n, some[at : at + BATCH]) for n, some in by_first.items() for at in range(0, len(some), BATCH)]
    random.shuffle(batches)

    def send_all() -> None:
        for first, batch in batches:
            client.hand_over(first, batch)
            time.sleep(0.1)

    sending = threading.Thread(target=send_all, daemon=True)
    sending.start()
    for name in random.sample(NAMES, len(NAMES)):
        time.sleep(random.uniform(0.1, 0.8))
        apart.kill(name)
        time.sleep(random.uniform(0, 0.3))
        apart.launch(name)
    for name in NAMES:
        apart.await_start(name)
    sending.join(HANG_SECONDS)
    assert not sending.is_alive()

    def arrived() -> bool:
        return all(len(client.poll(mailbox)) >= len(expected) for mailbox, expected in sent.items())

    eventually("all messages are in their mailboxes", arrived)
    eventually("all swaps are stored", lambda: client.are_stored(people))
    eventually("nothing is under way", lambda: not any(apart.status(name)["queues"] for name in MIXES))
    for mailbox, expected in sent.items():
        assert sorted(client.poll(mailbox)) == sorted(expected)  # what was appended again after a crash is there once
    assert client.staff("POST", "tokens", {"disease": "U07.1"}).is_success
    if not all((apart.folder / name / "store").exists() for name in MIXES):
        return
    numbers = {name: apart.config(name)["number"] for name in MIXES}
    apart.close()
    hops += client.receipt_hops
    assert {name: passed(apart.folder / name) for name in MIXES} == {name: hops[n] for name, n in numbers.items()}
