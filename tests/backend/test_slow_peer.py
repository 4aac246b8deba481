"""A next mix that takes and answers a byte a second, and clients that do: the rest goes on, and nothing is lost."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from anontrace.mixnet.packet import forward

from tests.patience import eventually

from .client import Client
from .servers import Servers

FIRST, OTHERS = "mix-1", ("discovery", "mix-2", "mix-3", "nymserver", "mailbox")
LIMIT = 200  # messages that mix 1 holds; half of them for one next mix
SECOND = 1.0


class Crawler:
    """Stands before a mix. Until told to `speed_up` it treats those who bring messages in turns: reads a byte a second;
    reads all and answers a byte a second; answers without end. All else it hands on."""

    def __init__(self, behind: str) -> None:
        place = urlsplit(behind)
        assert place.hostname and place.port
        self._behind = (place.hostname, place.port)
        self._ended = threading.Event()
        self._fast = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._numbers = count()
        self.treated = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def speed_up(self) -> None:
        self._fast.set()

    def close(self) -> None:
        self._ended.set()
        self._fast.set()
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=self._listening.accept()[:1], daemon=True).start()

    def _serve(self, caller: socket.socket) -> None:
        ways: list[Callable[[socket.socket], None]] = [self._read_slowly, self._answer_slowly, self._answer_for_ever]
        with caller, suppress(OSError):
            if self._fast.is_set() or caller.recv(4, socket.MSG_PEEK) != b"POST":
                self._hand_on(caller)
            else:
                try:
                    ways[next(self._numbers) % len(ways)](caller)
                finally:
                    self.treated += 1

    def _read_slowly(self, caller: socket.socket) -> None:
        while not self._fast.wait(SECOND) and caller.recv(1):
            pass

    def _answer_slowly(self, caller: socket.socket) -> None:
        caller.recv(1 << 20)
        for byte in b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n":
            if self._fast.wait(SECOND):
                return
            caller.sendall(bytes((byte,)))

    def _answer_for_ever(self, caller: socket.socket) -> None:
        caller.recv(1 << 20)
        caller.sendall(b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not self._ended.is_set():
            caller.sendall(b"10000\r\n" + bytes(0x10000) + b"\r\n")

    def _hand_on(self, caller: socket.socket) -> None:
        with socket.create_connection(self._behind) as server:
            back = threading.Thread(target=_pump, args=(server, caller), daemon=True)
            back.start()
            _pump(caller, server)
            back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@pytest.fixture
def crawling(tmp_path: Path) -> Iterator[tuple[Client, Crawler]]:
    """A network in which mix 2 is as slow as can be; mix 1, in a process of its own, waits a second for others."""
    servers = Servers(tmp_path / "net", "--delay", "0.02")
    crawler = Crawler(servers.url("mix-2"))
    try:
        servers.configure("mix-2", f'url = "{servers.url("mix-2")}"', f'url = "{crawler.url}"')
        servers.configure(FIRST, "[mix]\n", f"[http]\npeer_seconds = 1.0\n\n[mix]\nqueue_limit = {LIMIT}\n")
        servers.start_apart(OTHERS, [FIRST])
        servers.ready([FIRST])
        yield Client(servers), crawler
    finally:
        crawler.close()
        servers.close()


def crawl(servers: Servers, stop: threading.Event) -> None:
    """Fifty clients of mix 1 that send a byte a second of a request, and fifty that ask and do not read."""
    place = urlsplit(servers.url(FIRST))
    assert place.hostname and place.port
    clients = [socket.create_connection((place.hostname, place.port)) for _ in range(100)]
    for client in clients[50:]:
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n" * 20)
    head = iter(b"POST /v1/messages HTTP/1.1\r\nHost: a\r\nX-Long: " + b"a" * 1000)
    while not stop.wait(SECOND):
        byte = bytes((next(head),))
        for client in clients[:50]:
            with suppress(OSError):  # cut off
                client.sendall(byte)
    for client in clients:
        client.close()


def test_a_next_mix_and_clients_that_crawl_stop_nobody_else_and_lose_nothing(
    crawling: tuple[Client, Crawler],
) -> None:
    client, crawler = crawling
    slow, other = os.urandom(32), os.urandom(32)
    stop = threading.Event()
    clients = threading.Thread(target=crawl, args=(client.servers, stop))
    clients.start()
    try:

        def sent(way: tuple[int, ...], mailbox: bytes, number: int) -> list[bytes]:
            payloads = [os.urandom(239) for _ in range(number)]
            hops = client.hops(*way)
            assert client.post(1, *(forward(hops, mailbox, each) for each in payloads)) == 202
            return payloads

        def queues() -> dict[str, int]:
            return dict(client.servers.status(FIRST)["queues"])

        held = sent((1, 2, 5), slow, 60)
        passed = sent((1, 3, 5), other, 60)
        eventually("what goes another way arrives", lambda: len(client.poll(other)) == 60)
        eventually("each kind of slowness was met", lambda: crawler.treated >= 3)
        eventually("nothing else waits", lambda: queues() == {"to-2": 60})
        assert client.poll(slow) == []

        # More than the slow one may have of the room: what is over is dropped, and others still have room.
        sent((1, 2, 5), os.urandom(32), 60)
        assert client.servers.count(FIRST, "dropped_full") == 60 + 60 - LIMIT // 2
        passed += sent((1, 3, 5), other, 60)
        eventually("what goes another way still arrives", lambda: len(client.poll(other)) == 120)
        eventually("nothing else waits", lambda: queues() == {"to-2": LIMIT // 2})

        crawler.speed_up()
        eventually("what was held arrives", lambda: len(client.poll(slow)) == 60)
        eventually("nothing is left", lambda: queues() == {})
        assert (sorted(client.poll(slow)), sorted(client.poll(other))) == (sorted(held), sorted(passed))
        assert client.servers.count("mix-2", "accepted") == LIMIT // 2
    finally:
        stop.set()
        clients.join()
