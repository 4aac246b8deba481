"""Servers and proxies on loopback that drip, flood or fall silent at any step of a request: it ends by its deadline."""

import itertools
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from anontrace.backend.operating import nearby
from anontrace.backend.web.http import silence_in
from anontrace.companion.errors import OfflineError, RefusedError
from anontrace.companion.network import client as companion
from anontrace.foreign import exchange

from tests.backend.certificates import Authority
from tests.patience import HANG_SECONDS

SECONDS = 0.4
TICK = 0.02
MAX_BYTES = 10_000
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Serve = Callable[[socket.socket], None]


class Server:
    """Hands each connection to `serve` in a thread of its own, and closes it when that returns."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                caller, _ = self._listening.accept()
                self.connections += 1
                threading.Thread(target=self._run, args=(caller,), daemon=True).start()

    def _run(self, caller: socket.socket) -> None:
        with caller, suppress(OSError):
            self._serve(caller)

    def close(self) -> None:
        self._listening.close()


@contextmanager
def serving(serve: Serve) -> Iterator[Server]:
    server = Server(serve)
    try:
        yield server
    finally:
        server.close()


def drip(caller: socket.socket, data: Iterator[int] | bytes) -> None:
    """A byte at a time until the other side hangs up: `recv` says so, in place of a sleep."""
    caller.settimeout(TICK)
    for byte in data:
        with suppress(TimeoutError):
            if not caller.recv(1 << 16):
                return
        caller.sendall(bytes((byte,)))


def silent(caller: socket.socket) -> None:
    while caller.recv(1 << 16):
        pass


def deaf(caller: socket.socket) -> None:
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    drip(caller, itertools.repeat(ord("H"), 1000))


def slow_head(caller: socket.socket) -> None:
    drip(caller, itertools.chain(b"HTTP/1.1 200 OK\r\nX: ", itertools.repeat(ord("x"))))


def slow_body(caller: socket.socket) -> None:
    caller.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
    drip(caller, itertools.repeat(ord("x")))


def body_without_length(caller: socket.socket) -> None:
    caller.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    drip(caller, itertools.repeat(ord("x")))


def interim_for_ever(caller: socket.socket) -> None:
    caller.recv(1 << 16)
    while True:
        caller.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 10)


def interim_now_and_then(caller: socket.socket) -> None:
    drip(caller, itertools.cycle(b"HTTP/1.1 100 Continue\r\n\r\n"))


def head_for_ever(caller: socket.socket) -> None:
    caller.sendall(b"HTTP/1.1 200 OK\r\n")
    for number in itertools.count():
        caller.sendall(b"x-%d: %s\r\n" % (number, b"x" * 1000))


def body_for_ever(caller: socket.socket) -> None:
    caller.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        caller.sendall(b"1000\r\n" + bytes(0x1000) + b"\r\n")


def bomb(caller: socket.socket) -> None:
    caller.sendall(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n" + bytes(MAX_BYTES + 1))


SLOW = {
    "silent": silent, "slow head": slow_head, "slow body": slow_body, "no length": body_without_length,
    "interim now and then": interim_now_and_then, "deaf": deaf,
}  # fmt: skip
LONG = {
    "interim for ever": interim_for_ever,
    "head for ever": head_for_ever,
    "body for ever": body_for_ever,
    "bomb": bomb,
}


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(transport=exchange.Transport(None), trust_env=False, timeout=30) as client:
        yield client


def ask(http: httpx.Client, url: str, method: str = "GET", **details: object) -> httpx.Response:
    return exchange.ask(http, method, url, seconds=SECONDS, most=MAX_BYTES, **details)


@pytest.mark.parametrize("serve", SLOW.values(), ids=SLOW)
def test_whatever_is_slow_ends_by_the_deadline(http: httpx.Client, serve: Serve) -> None:
    with serving(serve) as server, pytest.raises(exchange.Overdue):
        ask(http, server.url, "POST", content=bytes(32 << 20) if serve is deaf else b"")


@pytest.mark.parametrize("serve", LONG.values(), ids=LONG)
def test_whatever_is_long_ends_by_its_bytes(http: httpx.Client, serve: Serve) -> None:
    with serving(serve) as server, pytest.raises((exchange.TooLong, httpx.RemoteProtocolError)):
        exchange.ask(http, "GET", server.url, seconds=60, most=MAX_BYTES)


def test_what_is_neither_comes_whole_and_its_connection_is_closed_at_once(http: httpx.Client) -> None:
    closed = threading.Semaphore(0)

    def serve(caller: socket.socket) -> None:
        while caller.recv(1 << 16):
            caller.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" + OK)
        closed.release()

    with serving(serve) as server:
        for number in range(1, 4):
            assert exchange.ask(http, "GET", server.url, seconds=60, most=2).content == b"ok"
            assert server.connections == number
        assert all(closed.acquire(timeout=HANG_SECONDS) for _ in range(3))  # while the client goes on
        with pytest.raises(exchange.TooLong):
            exchange.ask(http, "GET", server.url, seconds=60, most=1)
        assert closed.acquire(timeout=HANG_SECONDS)


def test_a_deadline_that_passed_ends_no_later_request(http: httpx.Client) -> None:
    answers = itertools.chain([b""], itertools.repeat(OK))

    def serve(caller: socket.socket) -> None:
        while caller.recv(1 << 16):
            caller.sendall(next(answers))

    with serving(serve) as server:
        with pytest.raises(exchange.Overdue):
            ask(http, server.url)
        assert exchange.ask(http, "GET", server.url, seconds=60, most=MAX_BYTES).content == b"ok"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.mark.parametrize("serve", [silent, lambda caller: drip(caller, b"\x16\x03\x03\x40\x00" + bytes(1 << 14))])
def test_a_tls_handshake_that_never_ends_ends(authority: Authority, serve: Serve) -> None:
    verify = ssl.create_default_context(cadata=authority.pem)
    with (
        serving(serve) as server,
        httpx.Client(transport=exchange.Transport(verify), trust_env=False) as client,
        pytest.raises(exchange.Overdue),
    ):
        ask(client, server.url.replace("http:", "https:"))


def socks_greets_slowly(caller: socket.socket) -> None:
    caller.recv(3)
    caller.sendall(b"\x05\x00")
    drip(caller, b"\x05\x00\x00\x03\xff" + bytes(300))


PROXIES = [
    ("socks5h", silent), ("socks5h", socks_greets_slowly), ("http", silent), ("http", slow_head),
    ("http", interim_now_and_then), ("https", silent),
]  # fmt: skip


@pytest.mark.parametrize(("scheme", "serve"), PROXIES)
@pytest.mark.parametrize("target", ["http", "https"])
def test_a_proxy_that_never_comes_to_the_point_is_given_up(scheme: str, serve: Serve, target: str) -> None:
    ends = (exchange.Overdue, httpx.ProxyError)  # the latter for half a reply, which httpcore does not wait to complete
    with serving(serve) as server:
        transport = exchange.Transport(ssl.create_default_context(), f"{scheme}://127.0.0.1:{server.port}")
        with httpx.Client(transport=transport, trust_env=False, timeout=30) as client, pytest.raises(ends):
            ask(client, f"{target}://example.invalid/")


def test_through_tls_within_tls_a_record_that_drips_ends_by_the_deadline(authority: Authority, tmp_path: Path) -> None:
    authority.write(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls.pem", tmp_path / "tls.key")

    def serve(caller: socket.socket) -> None:
        with context.wrap_socket(caller, server_side=True) as proxy:
            proxy.recv(1 << 16)
            proxy.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            proxy.settimeout(TICK)
            for byte in b"\x16\x03\x03\x40\x00" + bytes(1 << 14):
                with suppress(TimeoutError):
                    if not proxy.recv(1 << 16):
                        return
                proxy.sendall(bytes((byte,)))

    verify = ssl.create_default_context(cadata=authority.pem)
    with serving(serve) as server:
        transport = exchange.Transport(verify, f"https://127.0.0.1:{server.port}")
        with httpx.Client(transport=transport, trust_env=False, timeout=30) as client, pytest.raises(exchange.Overdue):
            ask(client, "https://127.0.0.1/")


def test_a_name_that_is_not_resolved_ends_by_the_deadline(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: never.wait(60) and [])
    try:
        with pytest.raises((exchange.Overdue, httpx.ConnectTimeout)):
            ask(http, "http://slow.invalid/")
    finally:
        never.set()


def test_every_address_of_a_name_is_tried_and_not_without_end(
    http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def serve(caller: socket.socket) -> None:
        caller.recv(1 << 16)
        caller.sendall(OK)

    with serving(serve) as server:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{at}", server.port)) for at in (3, 2, 1)]
        real = socket.getaddrinfo
        named = lambda host, *rest, **more: found if host == "name.invalid" else real(host, *rest, **more)  # noqa: E731
        monkeypatch.setattr(socket, "getaddrinfo", named)
        assert (
            exchange.ask(http, "GET", f"http://name.invalid:{server.port}/", seconds=60, most=MAX_BYTES).content
            == b"ok"
        )
        found[:0] = [(*found[0][:4], (f"127.0.1.{at}", server.port)) for at in range(1, exchange.MAX_ADDRESSES + 1)]
        with (
            httpx.Client(transport=exchange.Transport(None), trust_env=False) as other,
            pytest.raises(httpx.ConnectError),
        ):
            exchange.ask(other, "GET", f"http://name.invalid:{server.port}/", seconds=60, most=MAX_BYTES)


@pytest.mark.parametrize("serve", [slow_head, slow_body, interim_now_and_then], ids=["head", "body", "interim"])
def test_who_asks_a_server_from_its_own_machine_does_not_wait_longer_either(serve: Serve) -> None:
    with serving(serve) as server, pytest.raises(exchange.Overdue) as error:
        nearby.Place.at(server.url.rstrip("/")).request("GET", "/v1/status", SECONDS)
    assert silence_in(error.value) == "no answer within 0 seconds"


@pytest.mark.parametrize("serve", SLOW.values(), ids=SLOW)
def test_a_companion_gives_a_slow_server_up_in_one_sentence(monkeypatch: pytest.MonkeyPatch, serve: Serve) -> None:
    monkeypatch.setattr(companion, "WHOLE_SECONDS", SECONDS)
    monkeypatch.setattr(companion, "PROBE_SECONDS", SECONDS)
    with serving(serve) as server, companion.Client() as client:
        for asked in (client.get, client.probe):
            with pytest.raises(OfflineError, match="cannot be reached"):
                asked("discovery", server.url)
        with pytest.raises(OfflineError, match="nothing is lost"):
            client.post("mix 1", server.url, bytes(32 << 20))


def test_a_companion_shares_its_time_among_the_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(companion, "WHOLE_SECONDS", 2 * SECONDS)
    monkeypatch.setattr(companion, "ATTEMPTS", 1000)
    monkeypatch.setattr(companion, "FIRST_PAUSE", 0)
    with serving(lambda caller: drip(caller, b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")) as server:
        with companion.Client() as client, pytest.raises(OfflineError, match=r"status 503|within"):
            client.get("discovery", server.url)
        assert server.connections < 10


@pytest.mark.parametrize("serve", LONG.values(), ids=LONG)
def test_a_companion_refuses_what_does_not_end(monkeypatch: pytest.MonkeyPatch, serve: Serve) -> None:
    monkeypatch.setattr(companion, "MAX_ANSWER", MAX_BYTES)
    with serving(serve) as server, companion.Client() as client, pytest.raises((RefusedError, OfflineError)):
        client.get("discovery", server.url)


@pytest.mark.parametrize("value", [b"\xff\xfe\xe9", b"\xc3\xa9", b"Sun, 06 Nov 1994 08:49:37 G\xcdT"])
def test_headers_that_are_not_ascii_do_no_harm(value: bytes) -> None:
    def serve(caller: socket.socket) -> None:
        caller.recv(1 << 16)
        caller.sendall(b"HTTP/1.1 200 OK\r\nDate: " + value + b"\r\nContent-Type: " + value)
        caller.sendall(b"\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")

    with serving(serve) as server, companion.Client() as client:
        assert client.get("discovery", server.url) == b"ok"
        status, date = client.probe("discovery", server.url)
        assert status == 200 and date is not None


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (429, r"was asked too often of late from this connection; .* try again in 10 minutes"),
        (503, r"does not serve now \(it answers with status 503\); nothing is lost, try again later"),
    ],
)
def test_a_server_that_answers_is_not_said_to_be_out_of_reach(
    monkeypatch: pytest.MonkeyPatch, status: int, said: str
) -> None:
    monkeypatch.setattr(companion, "FIRST_PAUSE", 0)

    def serve(caller: socket.socket) -> None:
        caller.recv(1 << 16)
        caller.sendall(b"HTTP/1.1 %d Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status)

    with serving(serve) as server, companion.Client() as client, pytest.raises(OfflineError, match=said):
        client.get("discovery", server.url)
