"""The chain with nymserver and mailbox server as two processes each, which share their state in a Redis Cluster."""

import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle

import pytest
from anontrace.backend.keys import keyfiles
from anontrace.backend.operating.init import free_ports
from anontrace.mixnet import blob, notification, surb, swap
from anontrace.mixnet.header import NO_MAILBOX
from anontrace.mixnet.packet import forward
from anontrace.wire.upload import State
from anontrace_shared.slots import slot_of
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.backend.nymserver.test_decisions import decide_at_once
from tests.patience import eventually

from .client import Client, Registered, signed_by
from .places import SharedCluster
from .servers import Servers

SHARED = ("nymserver", "mailbox")
OTHERS = ("discovery", "mix-1", "mix-2", "mix-3", "authority")
OCTETS = {"Content-Type": "application/octet-stream"}


class Workers(Client):
    """A client that goes to the workers of a server in turns."""

    def __init__(self, servers: Servers) -> None:
        super().__init__(servers)
        self.urls = {name: [servers.url(name), servers.url(second(name))] for name in SHARED}
        self._turns = {name: cycle(urls) for name, urls in self.urls.items()}

    def post(self, first: int, *messages: bytes) -> int:
        if first != self.nymserver:
            return super().post(first, *messages)
        url = next(self._turns["nymserver"]) + "/v1/messages"
        return self.http.post(url, content=b"".join(messages), headers=OCTETS).status_code

    def poll(self, mailbox: bytes, skip: int = 0, url: str | None = None) -> list[bytes]:
        """What both workers of the mailbox server say, which has to be the same."""
        first, other = (super(Workers, self).poll(mailbox, skip, each) for each in self.urls["mailbox"])
        return first if first == other else []


def second(name: str) -> str:
    return f"{name}-b"


def add_worker(servers: Servers, name: str) -> None:
    """The same server once more: a copy of its folder that listens elsewhere, under the same URL."""
    shutil.copytree(servers.folder / name, servers.folder / second(name), ignore=shutil.ignore_patterns("staff.sock"))
    (port,) = free_ports("127.0.0.1", 1)
    path = servers.folder / second(name) / "server.toml"
    lines = path.read_text().splitlines()
    lines = [f'listen = "127.0.0.1:{port}"' if line.startswith("listen") else line for line in lines]
    path.write_text("\n".join(lines))


@pytest.fixture(scope="module")
def workers(redis_cluster: SharedCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    servers = Servers(tmp_path_factory.mktemp("workers") / "net", "--delay", "0.02", "--pace", "0.01")
    prefix = f"net-{os.urandom(4).hex()}"
    try:
        for name in SHARED:
            password = servers.folder / name / keyfiles.STORE
            password.write_text(redis_cluster.password)
            password.chmod(0o600)
            line = f'store = "{redis_cluster.url}?prefix={prefix}-{name}"\nnetwork ='
            servers.configure(name, "network =", line)
            add_worker(servers, name)
        processes = [OTHERS, *((name,) for name in (*SHARED, *map(second, SHARED)))]
        for names in processes:
            servers.launch(*names)
        for names in processes:
            servers.await_start(*names)
        servers.ready((*OTHERS, *SHARED, *map(second, SHARED)))
        yield Workers(servers)
    finally:
        servers.close()


def test_state_is_in_the_cluster_and_not_in_the_folders(workers: Workers) -> None:
    folders = [workers.servers.folder / each for name in SHARED for each in (name, second(name))]
    assert not [folder for folder in folders if (folder / "store").exists()]


def test_the_chain_goes_through_either_worker(workers: Workers) -> None:
    slot = slot_of(time.time())
    contacts = workers.register_all(slot, 4)
    for who in contacts[:2]:
        workers.send_swap(workers.arm(who))
    eventually("the replaced blobs are stored", lambda: workers.are_stored(contacts[:2]))
    contact_log = workers.make_log(slot, contacts)
    assert workers.upload(workers.permit(contact_log), contact_log).state is State.ACCEPTED
    report = workers.report_with(None, 0)
    assert workers.approve(report["report"]) == len(contacts)
    for who in contacts:
        assert workers.told(who).report_id.hex() == report["report"]
        assert len(workers.poll(who.mailbox)) == 1


def test_of_swaps_that_compete_at_both_workers_one_wins(workers: Workers) -> None:
    slot = slot_of(time.time())
    contacts = workers.register_all(slot, 8)
    hops = workers.hops(workers.nymserver)
    for who in contacts:
        before, blobs = swap.authentication(who.blob), []
        for _ in range(8):
            made, _ = surb.make(workers.path(workers.mailbox), who.mailbox)
            blobs.append(blob.seal(who.address, who.slot, made))
        messages = [forward(hops, NO_MAILBOX, swap.Swap(who.key, before, each).encode()) for each in blobs]
        with ThreadPoolExecutor(len(messages)) as pool:
            assert set(pool.map(lambda message: workers.post(workers.nymserver, message), messages)) == {202}

        def winners(who: Registered = who, blobs: list[bytes] = blobs) -> list[bytes]:
            held = workers.held([(who.key, each) for each in blobs])
            return [each for each, is_held in zip(blobs, held, strict=True) if is_held]

        assert len(eventually("one of them is stored", winners)) == 1
    refused = eventually("all were decided", lambda: workers_count(workers, "swap_refused") >= 8 * 7)
    assert refused
    assert workers_count(workers, "swap_refused") == 8 * 7


def test_a_message_that_is_posted_to_both_workers_counts_once(workers: Workers) -> None:
    mailbox = os.urandom(32)
    messages = [forward(workers.hops(workers.mailbox), mailbox, os.urandom(239)) for _ in range(20)]
    for url in workers.urls["mailbox"]:
        assert workers.http.post(f"{url}/v1/messages", content=b"".join(messages), headers=OCTETS).status_code == 202
    eventually("all are there", lambda: len(workers.poll(mailbox)) == len(messages))


def test_decisions_at_both_workers_at_once_keep_within_the_budget_of_their_case(workers: Workers) -> None:
    decide_at_once(workers, workers.urls["nymserver"])


def test_a_request_of_the_authority_counts_once_at_all_workers(workers: Workers) -> None:
    key = Ed25519PrivateKey.from_private_bytes(keyfiles.read(workers.servers.folder / "authority", keyfiles.SIGNING))
    headers = signed_by(key, "GET", "/v1/reports", b"")
    with ThreadPoolExecutor(8) as pool:
        asked = [f"{url}/v1/reports" for url in workers.urls["nymserver"] * 4]
        answers = list(pool.map(lambda url: workers.http.get(url, headers=headers).status_code, asked))
    assert sorted(answers) == [200] + [401] * 7


def test_when_one_worker_is_killed_the_other_goes_on(workers: Workers) -> None:
    slot = slot_of(time.time())
    contact = workers.register(slot)
    workers.servers.kill(second("nymserver"))
    workers.urls["nymserver"] = workers.urls["nymserver"][:1]
    workers._turns["nymserver"] = cycle(workers.urls["nymserver"])
    contact_log = workers.make_log(slot, [contact])
    workers.upload(workers.permit(contact_log), contact_log)
    workers.approve(workers.report_with(None, 0)["report"])
    told = workers.told(contact)
    assert told.kind is notification.Kind.NOTIFICATION


def workers_count(workers: Workers, counter: str) -> int:
    return sum(workers.servers.count(each, counter) for each in ("nymserver", second("nymserver")))
