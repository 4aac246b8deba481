"""Clients that waste a server's time: slow ones, garbage, endless heads. Others are served meanwhile."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from .servers import Servers, eventually

HEADERS = {"Content-Type": "application/octet-stream"}


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """A mix that gives a client one second for anything."""
    servers = Servers(tmp_path_factory.mktemp("hostile") / "net", "--delay", "0")
    try:
        path = servers.folder / "mix-1" / "server.toml"
        path.write_text(path.read_text() + "\n[http]\nhead_seconds = 1.0\nbody_seconds = 1.0\nidle_seconds = 2\n")
        servers.start("discovery", "mix-1")
        yield servers
    finally:
        servers.close()


def connect(servers: Servers) -> socket.socket:
    place = urlsplit(servers.url("mix-1"))
    assert place.hostname and place.port
    return socket.create_connection((place.hostname, place.port), 20)


def is_served(servers: Servers) -> bool:
    url = servers.url("mix-1") + "/v1/messages"
    return servers.http.post(url, content=bytes(380), headers=HEADERS).status_code == 202


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


def test_forwarded_headers_are_not_believed_unless_told_so(tmp_path: Path) -> None:
    servers = Servers(tmp_path / "net", "--delay", "0")
    try:
        path = servers.folder / "authority" / "server.toml"
        path.write_text(path.read_text() + "\n[authority]\nbad_tries = 2\n")
        servers.start("discovery", "authority")
        url = servers.url("authority") + "/v1/redeem"

        def tried(sender: str) -> int:
            token = {"token": "0000-0000-0000-0000", "log_hash": "00" * 32}
            return servers.http.post(url, json=token, headers={"X-Forwarded-For": sender}).status_code

        assert [tried(f"10.0.0.{n}") for n in range(4)] == [404, 404, 429, 429]
        servers.terminate("discovery", "authority")
        path.write_text(path.read_text() + '\n[http]\nforwarded_from = ["127.0.0.1"]\n')
        servers.start("discovery", "authority")
        assert [tried(f"10.0.0.{n}") for n in range(4)] == [404] * 4
        eventually("one sender is stopped", lambda: tried("10.0.0.1") == 429)
    finally:
        servers.close()
