"""HTTP as clients of all kinds speak it: offers of other protocols, old versions, bodies in pieces, many at once; and
that a client's fault is not logged as the server's."""

import json
import os
import shutil
import socket
import subprocess
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.backend.client import Client
from tests.backend.servers import Servers, eventually

MESSAGE = 380
TYPE = b"Content-Type: application/octet-stream\r\n"
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"


@pytest.fixture(scope="module")
def mix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Servers, Path]]:
    """A mix, and its log as JSON lines. It gives a client two seconds."""
    folder = tmp_path_factory.mktemp("requests")
    servers = Servers(folder / "net", "--delay", "0")
    try:
        path = servers.folder / "mix-1" / "server.toml"
        path.write_text(path.read_text() + "\n[http]\nbody_seconds = 2.0\n")
        servers.start("discovery", "mix-1", "authority", "nymserver", log=folder / "log")
        yield servers, folder / "log"
    finally:
        servers.close()


def connect(servers: Servers, name: str = "mix-1") -> socket.socket:
    place = urlsplit(servers.url(name))
    assert place.hostname and place.port
    return socket.create_connection((place.hostname, place.port), 20)


def post(*lines: bytes, body: bytes | None = None, version: bytes = b"1.1") -> bytes:
    """A request to a mix, with these lines in its head."""
    body = os.urandom(MESSAGE) if body is None else body
    length = b"" if any(b"chunked" in line for line in lines) else b"Content-Length: %d\r\n" % len(body)
    return b"POST /v1/messages HTTP/" + version + b"\r\nHost: a\r\n" + TYPE + b"".join(lines) + length + b"\r\n" + body


def answers(connection: socket.socket, number: int) -> list[int]:
    """The statuses of so many answers; 100 Continue counts as one."""
    stream = connection.makefile("rb")
    found = []
    for _ in range(number):
        found.append(int(stream.readline().split()[1]))
        length = 0
        while (line := stream.readline()) != b"\r\n":
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        stream.read(length)
    return found


def in_chunks(body: bytes) -> bytes:
    return b"".join(b"%x;a=b\r\n%s\r\n" % (len(part), part) for part in (body[:100], body[100:])) + b"0\r\nX: y\r\n\r\n"


OFFERS = {
    "h2c": H2C,
    "h2c and more": b"Upgrade: h2c, websocket\r\nConnection: keep-alive, upgrade\r\n",
    "websocket": b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
    "TLS": b"Upgrade: TLS/1.0\r\nConnection: Upgrade\r\n",
    "in two lines": b"Connection: keep-alive\r\nConnection: UPGRADE\r\nupgrade: h2c\r\nUpgrade: other/1\r\n",
    "without Connection": b"Upgrade: h2c\r\n",
    "none named": b"Connection: Upgrade\r\n",
    "empty": b"Connection: Upgrade\r\nUpgrade:\r\n",
}


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_an_offer_of_another_protocol_is_ignored_and_the_body_taken(
    mix: tuple[Servers, Path], offer: bytes, chunked: bool
) -> None:
    servers, _ = mix
    if chunked:
        request = post(offer, b"Transfer-Encoding: chunked\r\n", body=in_chunks(os.urandom(MESSAGE)))
    else:
        request = post(offer)
    dropped = servers.count("mix-1", "dropped_key") + servers.count("mix-1", "dropped_mac")
    with connect(servers) as connection:
        connection.sendall(request)
        assert answers(connection, 1) == [202]
        connection.sendall(request * 3)  # in one piece, and the connection goes on
        assert answers(connection, 3) == [202] * 3
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + offer + b"\r\n" + post() + request)
        assert answers(connection, 3) == [200, 202, 202]
    now = servers.count("mix-1", "dropped_key") + servers.count("mix-1", "dropped_mac")
    assert now == dropped + 6  # each was a message of the right size, of chance


def test_an_offer_that_comes_byte_by_byte_is_ignored_too(mix: tuple[Servers, Path]) -> None:
    servers, _ = mix
    with connect(servers) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in post(H2C, body=os.urandom(MESSAGE)) + post():
            connection.sendall(bytes((byte,)))
        assert answers(connection, 2) == [202, 202]


def test_thousands_of_offers_in_one_piece_are_answered_each(mix: tuple[Servers, Path]) -> None:
    servers, _ = mix
    request = b"GET /healthz HTTP/1.1\r\nHost: a\r\nUpgrade: a\r\nConnection: Upgrade\r\n\r\n"
    with connect(servers) as connection:
        connection.sendall(request * 2000)
        assert answers(connection, 2000) == [200] * 2000


def test_a_body_that_is_too_long_is_refused_whatever_is_offered_with_it(mix: tuple[Servers, Path]) -> None:
    servers, _ = mix
    with connect(servers) as connection:
        connection.sendall(post(H2C, body=bytes(381)))
        assert answers(connection, 1) == [400]
        connection.sendall(post(H2C, b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", body=b"0\r\n\r\n"))
        assert answers(connection, 1) == [400]


@pytest.mark.parametrize("offer", [b"", H2C], ids=["", "h2c"])
def test_who_waits_to_be_told_to_go_on_is_told_so(mix: tuple[Servers, Path], offer: bytes) -> None:
    servers, _ = mix
    head, body = post(b"Expect: 100-continue\r\n", offer).split(b"\r\n\r\n", 1)
    with connect(servers) as connection:
        connection.sendall(head + b"\r\n\r\n")
        assert answers(connection, 1) == [100]
        connection.sendall(body)
        assert answers(connection, 1) == [202]
    head = head.replace(b"Content-Length: 380", b"Content-Length: 999999")
    with connect(servers) as connection:
        connection.sendall(head + b"\r\n\r\n")
        assert answers(connection, 1) == [413]  # before it has sent anything


def test_http_1_0_is_answered_and_the_connection_ends(mix: tuple[Servers, Path]) -> None:
    servers, _ = mix
    for more in (b"", b"Connection: keep-alive\r\n", b"Connection: upgrade\r\nUpgrade: h2c\r\n"):
        with connect(servers) as connection:
            connection.sendall(post(more, version=b"1.0"))
            whole = connection.makefile("rb").read()
            assert whole.startswith(b"HTTP/1.1 202 ") and b"transfer-encoding" not in whole.lower()


def test_requests_in_one_piece_are_answered_in_order(mix: tuple[Servers, Path]) -> None:
    servers, _ = mix
    get = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    nothing = b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n"
    chunked = post(b"Transfer-Encoding: chunked\r\n", body=in_chunks(os.urandom(MESSAGE)))
    with connect(servers) as connection:
        connection.sendall((get + post() + nothing + chunked + post(H2C)) * 5)
        assert answers(connection, 25) == [200, 202, 404, 202, 202] * 5


@pytest.mark.parametrize("target", [b"a:443", b"127.0.0.1:80", b"/v1/messages"])
def test_nobody_is_given_a_tunnel(mix: tuple[Servers, Path], target: bytes) -> None:
    servers, _ = mix
    with connect(servers) as connection:
        connection.sendall(b"CONNECT " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n" + post())
        assert connection.makefile("rb").read().startswith(b"HTTP/1.1 400 ")


def test_curl_that_would_rather_speak_http_2_is_answered(mix: tuple[Servers, Path], tmp_path: Path) -> None:
    servers, _ = mix
    curl = shutil.which("curl")
    if curl is None or "HTTP2" not in subprocess.run([curl, "--version"], capture_output=True, text=True).stdout:
        pytest.skip("there is no curl here that speaks HTTP/2 (Debian: apt install curl)")
    body = tmp_path / "body"
    body.write_bytes(os.urandom(MESSAGE))
    command = [curl, "-s", "--noproxy", "*", "--http2", "-o", tmp_path / "answer", "-w", "%{http_code}"]
    command += ["-H", TYPE.decode().strip(), "--data-binary", f"@{body}", servers.url("mix-1") + "/v1/messages"]
    assert subprocess.run(command, capture_output=True, text=True, timeout=60).stdout == "202"


def test_head_is_answered_wherever_get_is(client: Client) -> None:
    servers = client.servers
    for name, http, base in (
        *((name, client.http, servers.url(name)) for name in ("discovery", "nymserver", "mix-1")),
        ("authority", servers.for_staff("authority"), ""),
    ):
        described = http.get(f"{base}/openapi.json").json()
        gets = [path for path, methods in described["paths"].items() if "get" in methods and "{" not in path]
        news = f"/v2/directory/{client.directory.content.day}"
        for path in (*gets, "/openapi.json", "/v1/buckets/0", news, "/nothing"):
            got, head = http.get(base + path), http.head(base + path)
            assert (head.status_code, head.content) == (got.status_code, b""), (name, path)
            kinds = ("content-type", "etag", "www-authenticate")
            assert [head.headers.get(each) for each in kinds] == [got.headers.get(each) for each in kinds]
            assert "content-length" in head.headers
    answer = client.http.head(servers.url("mix-1") + "/v1/messages")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def _deep(signs: bytes) -> bytes:
    return b"Authorization: Bearer " + urlsafe_b64encode(signs * 3000) + b".e30.AAAA\r\n"


FAULTS = {
    "hangs up in the middle of a body": post()[:-100],
    "hangs up in the middle of a chunked body": post(b"Transfer-Encoding: chunked\r\n", body=b"17c\r\nabc"),
    "hangs up in the middle of a chunk's length": post(b"Transfer-Encoding: chunked\r\n", body=b"17"),
    "hangs up in the middle of a head": b"POST /v1/messages HT",
    "hangs up while it is told to go on": post(b"Expect: 100-continue\r\n", body=b"")[:-2].replace(b": 0", b": 380"),
    "hangs up in the middle of JSON": b"POST /v1/staff/tokens HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n{",
    "a chunk's length that is none": post(b"Transfer-Encoding: chunked\r\n", body=b"xyz\r\n\r\n"),
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n",
    "a tunnel": b"CONNECT a:1 HTTP/1.1\r\n\r\n",
    "a star": b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "a path of no letters": b"GET /%ff%00%0a%f0%9f HTTP/1.1\r\nHost: a\r\n\r\n",
    "a path in Latin": b"GET /caf\xe9 HTTP/1.1\r\nHost: a\r\n\r\n",
    "no path": b"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n",
    "a port of no number": b"GET http://a:b/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "no host": b"GET /v1/reports HTTP/1.1\r\n\r\n",
    "a host that is none": b"GET /v1/reports HTTP/1.1\r\nHost: [::1:x\xff\r\nAuthorization: Bearer a.b.c\r\n\r\n",
    "a method of its own": b"PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n",
    "JSON that is none": b"POST /v1/staff/tokens HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n\xff\xfe{",
    "JSON that is deep": b"POST /v1/staff/tokens HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n" + b"[" * 9000,
    "a number that is long": b"GET /v1/buckets/" + b"9" * 5000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "a signature that is none": b"GET /v1/reports HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \xff.\xff.\xff\r\n\r\n",
    "a signature's head that is deep": b"GET /v1/reports HTTP/1.1\r\nHost: a\r\n" + _deep(b"[") + b"\r\n",
    "a signature's head that is deeper": b"GET /v1/reports HTTP/1.1\r\nHost: a\r\n" + _deep(b'{"a":') + b"\r\n",
    "forwarded by nobody": b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: \xff, [, ]:\r\n\r\n",
}


def assert_nothing_of_clients(log: Path, before: int) -> None:
    """From this byte of the log on: of other servers that do not run it may speak."""
    lines = [json.loads(line) for line in log.read_bytes()[before:].splitlines()]
    assert [line for line in lines if "does not answer" not in line["message"]] == []


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_clients_fault_is_not_logged_as_the_servers(mix: tuple[Servers, Path], fault: bytes) -> None:
    servers, log = mix
    before = log.stat().st_size
    for name in ("mix-1", "authority", "nymserver"):
        for abrupt in (False, True):
            with connect(servers, name) as connection:
                connection.sendall(fault)
                if abrupt:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    connection.close()
                    continue
                connection.shutdown(socket.SHUT_WR)
                answer = connection.makefile("rb").read()
            assert b" 500 " not in answer.partition(b"\r\n")[0], answer
        # What came before has been dealt with: one event loop, and the store's answer in between.
        eventually("it serves", lambda name=name: servers.http.get(servers.url(name) + "/healthz").is_success)
        servers.status(name)
    assert_nothing_of_clients(log, before)


def test_a_client_that_is_too_slow_is_not_logged_either(mix: tuple[Servers, Path]) -> None:
    servers, log = mix
    before = log.stat().st_size
    with connect(servers) as connection:
        connection.sendall(post()[:-1])
        began = time.monotonic()
        assert answers(connection, 1) == [408]
        assert time.monotonic() - began >= 1
    assert_nothing_of_clients(log, before)
