"""A SOCKS proxy, as Tor is one: everything goes through it, names are resolved by it, and without it nothing goes."""

import socket
import socketserver
import struct
import threading
import tomllib
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from anontrace.companion.errors import OFFLINE, USAGE
from anontrace.companion.store import state
from anontrace.mixnet.sizes import MESSAGE


class Socks5(socketserver.BaseRequestHandler):
    """One connection of a SOCKS5 client without authentication (RFC 1928): CONNECT to a name or an IPv4 address."""

    def handle(self) -> None:
        version, methods = self._take(2)
        self._take(methods)
        self.request.sendall(b"\x05\x00")
        version, command, _, kind = self._take(4)
        assert (version, command) == (5, 1)
        host = self._take(self._take(1)[0]).decode() if kind == 3 else socket.inet_ntoa(self._take(4))
        (port,) = struct.unpack(">H", self._take(2))
        self.server.asked.append((kind, host, port))
        with socket.create_connection((host, port)) as far:
            self.request.sendall(b"\x05\x00\x00\x01" + bytes(6))
            count = self.server.count
            back = threading.Thread(target=pump, args=(far, self.request, lambda size: count(port, size)))
            back.start()
            pump(self.request, far, lambda size: count(port, size))
            back.join()

    def _take(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += self.request.recv(size - len(data))
        return data


def pump(source: socket.socket, target: socket.socket, count: Callable[[int], None]) -> None:
    try:
        while data := source.recv(65536):
            count(len(data))
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return  # the other side has gone


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.asked: list[tuple[int, str, int]] = []  # kind of address, host, port
        self.bytes: Counter[int] = Counter()  # both ways, by port
        self._lock = threading.Lock()

    def count(self, port: int, size: int) -> None:
        with self._lock:
            self.bytes[port] += size


@pytest.fixture
def proxy():
    with Server(("127.0.0.1", 0), Socks5) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_everything_goes_through_the_proxy(cli, network, proxy):
    url = f"socks5h://127.0.0.1:{proxy.server_address[1]}"
    cli.do("init", str(network.file), "--proxy", url)
    assert cli.do("register", "--slots", "3")["confirmed"] == 3
    assert cli.do("poll")["mailboxes"] == 3
    assert len({port for _, _, port in proxy.asked}) >= 3  # discovery, a mix, the nymserver ...


def test_a_days_addresses_cost_their_messages_and_a_twentieth_and_confirming_them_little(cli, network, proxy):
    cli.do("init", str(network.file), "--proxy", f"socks5h://127.0.0.1:{proxy.server_address[1]}")
    cli.do("register", "--slots", "1")  # which fetches the directory
    proxy.bytes.clear()
    done = cli.do("register", "--from", str(network.clock.slot + 1), "--slots", "288")
    assert (done["made"], done["confirmed"], done["resent"]) == (288, 288, 0)
    ports = {}
    for path in network.folder.glob("*/server.toml"):
        ports[urlsplit(tomllib.loads(path.read_text())["url"]).port] = path.parent.name
    used = {ports[port]: size for port, size in proxy.bytes.items()}
    confirming = used.pop("mailbox")
    assert used.keys() <= {"mix-1", "mix-2", "mix-3"}  # no word goes to the nymserver itself
    assert 288 * MESSAGE < sum(used.values()) <= 1.05 * 288 * MESSAGE < 1.05 * 110_000  # receipts included
    assert confirming <= 30_000  # looks


def test_without_its_proxy_the_companion_is_offline_rather_than_direct(cli, network, proxy):
    cli.do("init", str(network.file), "--proxy", "socks5h://127.0.0.1:9")
    result = cli.run("register", "--slots", "3")
    assert (result.code, "cannot be reached through the proxy socks5h://127.0.0.1:9 (" in result.err) == (OFFLINE, True)
    assert proxy.asked == []


def test_once_chosen_a_proxy_stays_until_another_word_and_shows(cli, network, proxy):
    url = f"socks5h://127.0.0.1:{proxy.server_address[1]}"
    assert cli.do("init", str(network.file), "--proxy", url)["proxy"] == url
    cli.do("register", "--slots", "1")
    with state.reading(cli.folder) as opened:
        directory = opened.network.directory()
    asked = len(proxy.asked)
    again = cli.do("init", str(network.file))  # a newer network file, say
    assert again["proxy"] == cli.do("status")["proxy"] == url
    assert url in cli.run("status").out
    with state.reading(cli.folder) as opened:  # by which a fork of the directory would show
        assert opened.network.directory() == directory
    cli.do("register", "--slots", "2")
    assert len(proxy.asked) > asked
    assert cli.do("init", str(network.file), "--proxy", "none")["proxy"] is None
    asked = len(proxy.asked)
    cli.do("register", "--slots", "3")
    assert len(proxy.asked) == asked


@pytest.mark.parametrize(
    "typed",
    [
        "localhost:9050",
        "socks4://127.0.0.1:9050",
        "socks5h://:9050",
        "http://a:s3cret@b:port",
        "http://[::1",
        "http://a\nb:9050",
        "http://a b:9050",
        "http://a\u200b:9050",
    ],
)
def test_what_is_no_proxy_is_refused_before_anything_is_made(cli, network, typed):
    result = cli.run("init", str(network.file), "--proxy", typed)
    assert (result.code, len(result.err.splitlines())) == (USAGE, 1)
    assert "socks5h://127.0.0.1:9050" in result.err and "s3cret" not in result.err
    assert not cli.folder.exists()


def test_the_password_of_a_proxy_is_never_shown_and_lies_encrypted(cli, network):
    said = [cli.run("init", str(network.file), "--proxy", "http://ada:s3cret@127.0.0.1:9")]
    said += [cli.run(*command) for command in (["status"], ["register"], ["doctor", "--no-bluetooth"])]
    assert "http://127.0.0.1:9" in said[0].out and "http://127.0.0.1:9" in said[2].err
    assert all("s3cret" not in each.out + each.err for each in said)
    assert all(b"s3cret" not in path.read_bytes() for path in cli.folder.iterdir())


def test_names_are_resolved_by_the_proxy(cli, network, proxy, tmp_path):
    named = tmp_path / "network.toml"
    named.write_text(network.file.read_text().replace("127.0.0.1", "localhost"))
    cli.do("init", str(named), "--proxy", f"socks5h://127.0.0.1:{proxy.server_address[1]}")
    cli.do("register", "--slots", "1")
    assert (3, "localhost") in {(kind, host) for kind, host, _ in proxy.asked}
