"""Clients that waste a server's time: slow ones, garbage, endless heads. Others are served meanwhile."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import httpx
import pytest
from anontrace.backend.config import HttpSettings
from anontrace.backend.web.connections import Crowd

from tests.backend.servers import Servers
from tests.patience import eventually

HEADERS = {"Content-Type": "application/octet-stream"}
MAX_EACH = 220  # connections of one client at once


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """A mix that gives a client one second for anything."""
    servers = Servers(tmp_path_factory.mktemp("hostile") / "net", "--delay", "0")
    try:
        path = servers.folder / "mix-1" / "server.toml"
        patience = "head_seconds = 1.0\nbody_seconds = 1.0\nread_seconds = 1.0\nidle_seconds = 2\n"
        path.write_text(path.read_text() + f"\n[http]\n{patience}connections_each = {MAX_EACH}\n")
        servers.start("discovery", "mix-1")
        yield servers
    finally:
        servers.close()


def connect(servers: Servers) -> socket.socket:
    place = urlsplit(servers.url("mix-1"))
    assert place.hostname and place.port
    return socket.create_connection((place.hostname, place.port), 20)


def is_served(servers: Servers, http: httpx.Client | None = None) -> bool:
    url = servers.url("mix-1") + "/v1/messages"
    return (http or servers.http).post(url, content=bytes(380), headers=HEADERS).status_code == 202


def open_files(servers: Servers) -> int:
    """Files that the server's process has open, connections among them."""
    text = servers.for_staff("mix-1").get("/metrics").text
    return int(float(text.partition("\nprocess_open_fds ")[2].partition("\n")[0]))


def until_closed(connection: socket.socket) -> bytes:
    """All that comes until the server closes; a server that does not is an error."""
    connection.settimeout(20)
    heard = b""
    try:
        while data := connection.recv(65536):
            heard += data
    except ConnectionResetError:
        pass
    return heard


def test_clients_that_send_nothing_or_a_byte_at_a_time_are_cut_off_and_others_are_served(impatient: Servers) -> None:
    silent = [connect(impatient) for _ in range(100)]
    slow = [connect(impatient) for _ in range(100)]
    try:
        for connection in slow:
            connection.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: a\r\nX-A: ")
        began = time.monotonic()
        open_ones = list(slow)
        while open_ones:
            assert is_served(impatient)
            assert time.monotonic() - began < 20
            for connection in list(open_ones):
                try:
                    connection.sendall(b"a")
                except OSError:
                    open_ones.remove(connection)
            time.sleep(0.05)
        assert [until_closed(connection) for connection in silent] == [b""] * 100
    finally:
        for connection in (*silent, *slow):
            connection.close()
    assert is_served(impatient)


def test_clients_that_do_not_read_their_answers_are_cut_off(impatient: Servers) -> None:
    before = open_files(impatient)
    mute = [connect(impatient) for _ in range(4)]
    try:
        for connection in mute:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            connection.settimeout(0.05)
            with suppress(OSError):  # it stops listening to who does not read
                connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * 5000)
        assert is_served(impatient)
        # The server's side counts: a client that takes nothing does not take the end of its connection either.
        eventually("they are cut off", lambda: open_files(impatient) <= before + 1)
    finally:
        for connection in mute:
            connection.close()


def test_one_client_has_so_many_connections_and_others_are_served(impatient: Servers) -> None:
    other = httpx.Client(trust_env=False, transport=httpx.HTTPTransport(local_address="127.0.0.2"))
    crowd = [connect(impatient) for _ in range(MAX_EACH + 20)]
    try:
        turned_away = until_closed(crowd[-1])
        assert b" 503 " in turned_away and b"retry-after: " in turned_away
        assert b'{"error": "too many connections"}' in turned_away
        assert is_served(impatient, other)
    finally:
        other.close()
        for connection in crowd:
            connection.close()
    eventually("there is room again", lambda: _is_served_anew(impatient))


def _is_served_anew(servers: Servers) -> bool:
    with httpx.Client(trust_env=False) as http, suppress(httpx.TransportError):
        return is_served(servers, http)
    return False


def test_whose_connections_count_together() -> None:
    settings = HttpSettings(connections=16, connections_each=4, forwarded_from=["10.1.0.0/16", "fd00::1"])

    def room(*hosts: str) -> int:
        crowd = Crowd(settings)
        entered = [crowd.enter(host) for host in hosts * 5]
        for site in entered:
            if site is not None:
                crowd.leave(site)
        assert crowd.enter(hosts[0]) is not None
        return len([site for site in entered if site is not None])

    assert room("192.0.2.1") == room("192.0.2.1", "::ffff:192.0.2.1") == 4
    assert room("192.0.2.1", "192.0.2.2") == 8
    assert room("2001:db8::1", "2001:db8::ffff:1") == 4
    assert room("2001:db8::1", "2001:db8:0:1::1") == 8
    assert room("10.1.2.3") == room("fd00::1") == 5
    assert room("10.1.2.3", "fd00::1", "192.0.2.1", "192.0.2.2") == 16


def test_a_body_that_does_not_come_is_answered_and_the_connection_ends(impatient: Servers) -> None:
    with connect(impatient) as connection:
        connection.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: a\r\nContent-Length: 380\r\n\r\n" + bytes(10))
        assert b" 408 " in until_closed(connection)
    with connect(impatient) as connection:
        connection.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\n")
        began, answer = time.monotonic(), b""
        try:
            while time.monotonic() - began < 20:  # refused at once; what is poured in after that is not listened to
                connection.sendall(bytes(1000))
                time.sleep(0.05)
        except OSError:
            answer = b"cut off"
        assert answer == b"cut off"
    assert is_served(impatient)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 100 + b"\r\n",
        b"GET / HTTP/1.1\r\nA: " + b"a" * 20_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\nabcd",
    ],
    ids=["long path", "many headers", "long header", "TLS hello", "bad length", "SSH", "two lengths"],
)
def test_garbage_and_heads_that_are_too_long_are_refused(impatient: Servers, head: bytes) -> None:
    with connect(impatient) as connection:
        connection.sendall(head)
        answer = until_closed(connection)
    assert answer == b"" or b" 400 " in answer
    assert is_served(impatient)


def test_random_garbage_ends_the_connection_and_nothing_else(impatient: Servers) -> None:
    for size in (1, 10, 1000, 100_000):
        with connect(impatient) as connection:
            try:
                connection.sendall(os.urandom(size))
            except OSError:
                continue
            until_closed(connection)
    assert is_served(impatient)


def test_an_endless_chunked_body_ends_at_the_limit(impatient: Servers) -> None:
    with connect(impatient) as connection:
        connection.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        began, cut_off = time.monotonic(), False
        try:
            while time.monotonic() - began < 20:
                connection.sendall(b"2710\r\n" + bytes(10_000) + b"\r\n")
        except OSError:
            cut_off = True
        assert cut_off
    assert is_served(impatient)


def test_an_idle_connection_is_closed(impatient: Servers) -> None:
    with connect(impatient) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"alive" in until_closed(connection)


def test_a_request_under_way_is_answered_before_the_server_ends(impatient: Servers) -> None:
    names = ("discovery", "mix-1")
    process = impatient.process(*names)
    with connect(impatient) as connection:
        head = b"POST /v1/messages HTTP/1.1\r\nHost: a\r\nContent-Length: 380\r\n\r\n"
        connection.sendall(head + bytes(379))
        assert is_served(impatient)  # and so the server has read what was sent before
        process.terminate()
        with pytest.raises(OSError):
            while True:
                connect(impatient).close()
        connection.sendall(b"\0")
        assert b" 202 " in until_closed(connection)
    assert impatient.terminate(*names) == 0
    impatient.start(*names)
    assert is_served(impatient)
