"""Servers that speak TLS themselves, and clients that verify it by the network file; and what all of it costs."""

import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from anontrace.backend.config import TlsSettings
from anontrace.backend.operating import checking
from anontrace.backend.web import tls
from anontrace.companion.errors import OfflineError
from anontrace.companion.exposures.looking import GROUPS
from anontrace.companion.network.client import Client as CompanionClient
from anontrace.mixnet.keydays import day_at
from anontrace.mixnet.sizes import MESSAGE
from anontrace.wire import look, network, result, trust
from anontrace.wire.levels import HIGH, LOW, NORMAL, Level
from anontrace.wire.look import Group, Look
from anontrace_shared.slots import slot_of
from cryptography import x509

from tests.backend.certificates import DAY, Authority
from tests.backend.client import Client, Registered
from tests.backend.servers import Servers, command
from tests.backend.tls import NAMES, TlsServers
from tests.patience import HANG_SECONDS, eventually

EACH = 32  # connections of one client at mix-2
SEGMENT, HEADERS = 1448, 40  # bytes of TCP in an Ethernet frame, and of IPv4 and TCP before them
OPENING_AND_CLOSING = 7  # segments without data
DIRECTORY_OF_20 = 20 * 100 + 1000
NOTHING_ASKED = bytes(result.QUESTION)


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServers]:
    servers = TlsServers(tmp_path_factory.mktemp("tls") / "net", Authority())
    path = servers.folder / "mix-2" / "server.toml"
    path.write_text(path.read_text() + f"\n[http]\nhead_seconds = 1.0\nconnections_each = {EACH}\n")
    try:
        servers.start_apart([name for name in NAMES if name != "mix-2"], ["mix-2"])
        servers.ready(NAMES)
        yield servers
    finally:
        servers.close()


def test_prometheus_is_told_until_when_the_certificate_is_valid(secure: TlsServers) -> None:
    made = x509.load_pem_x509_certificates((secure.folder / "mix-1" / "tls.pem").read_bytes())[0]
    text = secure.for_staff("mix-1").get("/metrics").text
    (until,) = re.findall(r"^anontrace_certificate_end_seconds (\S+)$", text, re.MULTILINE)
    assert float(until) == made.not_valid_after_utc.timestamp()


def test_a_certificate_without_an_end_that_can_be_read_is_told_of_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = TlsSettings(certificate="tls.pem", key="tls.key")
    for made in (b"", b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", None):
        caplog.clear()
        (tmp_path / "tls.pem").unlink(missing_ok=True)
        if made is not None:
            (tmp_path / "tls.pem").write_bytes(made)
        assert tls.certificate_end(tmp_path, settings) is None
        assert "tls.pem: until when" in caplog.text


def test_a_network_runs_on_tls_alone(secure: TlsServers) -> None:
    client = Client(secure)
    assert all(each.url.startswith("https://") for each in client.mixes.values())
    who = Registered(os.urandom(20), slot_of(time.time()))
    client.send_swap(client.arm(who), client.hops(1, 2, 3, client.nymserver))
    eventually("the swap is stored", lambda: client.is_stored(who))
    assert "exposures" in command("authority", "reports", "--config", secure.folder / "authority").stdout


def test_a_companion_believes_the_certificates_of_the_network_file_alone(
    secure: TlsServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anontrace.companion.network.client.FIRST_PAUSE", 0.0)
    url = secure.url("discovery") + "/v2/directory"
    pinned = network.load(secure.folder / "network.toml").network.ca
    with CompanionClient(None, pinned) as client:
        assert client.get("discovery", url)
    for other in (None, Authority().pem):
        with CompanionClient(None, other) as client, pytest.raises(OfflineError):
            client.get("discovery", url)


class Line:
    """A companion's line: a relay that counts the bytes of TCP, headers included, to a server and back."""

    def __init__(self, servers: Servers, name: str) -> None:
        place = urlsplit(servers.url(name))
        self._target = (place.hostname, place.port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listening.getsockname()[1]}"
        self.bytes = 0

    def count(self, ask: Callable[[CompanionClient, str], object], ca: str | None) -> int:
        """What one request takes by a companion that has just begun."""
        self.bytes = OPENING_AND_CLOSING * HEADERS
        relaying = threading.Thread(target=self._relay)
        relaying.start()
        with CompanionClient(None, ca) as client:
            ask(client, self.url)
        relaying.join(HANG_SECONDS)
        return self.bytes

    def _relay(self) -> None:
        """One connection, to its end."""
        near, _ = self._listening.accept()
        with near, socket.create_connection(self._target) as far:
            back = threading.Thread(target=self._pump, args=(far, near))
            back.start()
            self._pump(near, far)
            back.join(HANG_SECONDS)

    def _pump(self, heard: socket.socket, told: socket.socket) -> None:
        with suppress(OSError):
            while data := heard.recv(1 << 16):
                segments = -(-len(data) // SEGMENT)
                # Of each two segments one is confirmed.
                self.bytes += len(data) + (segments + -(-segments // 2)) * HEADERS
                told.sendall(data)
        with suppress(OSError):
            told.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._listening.close()


@pytest.mark.parametrize(("level", "most"), [(LOW, 125_000), (NORMAL, 350_000), (HIGH, 10_000_000)])
def test_a_day_of_a_level_takes_half_as_much_again_on_the_wire_at_most(
    secure: TlsServers, level: Level, most: int
) -> None:
    """By one request of each kind on a connection of its own, as `run` makes them, times how many a day has."""
    asked = Look(level.digests, level.sums, 0, os.urandom(16), [Group(os.urandom(16), 0, 0)] * GROUPS)
    batch = os.urandom(level.batch * MESSAGE)
    each = {
        "mix-1": lambda client, url: client.post("mix 1", url + "/v1/messages", batch),
        "mailbox": lambda client, url: look.Answer.parse(asked, client.post("it", url + "/v2/look", asked.encode())),
        "authority": lambda client, url: result.Answer.parse(client.post("it", url + "/v2/result", NOTHING_ASKED)),
        "discovery": lambda client, url: client.get("discovery", f"{url}/v2/directory/{day_at(time.time())}"),
    }
    taken = {}
    for name, ask in each.items():
        line = Line(secure, name)
        try:
            taken[name] = line.count(ask, secure.ca)
        finally:
            line.close()
    a_day = level.messages * taken["mix-1"] + level.looks * taken["mailbox"] + taken["discovery"] + DIRECTORY_OF_20
    a_day += level.results * taken["authority"]
    print(level.name, taken, round(a_day))
    assert level.bytes_a_day < a_day <= 1.5 * most


def test_no_server_gives_a_ticket_by_which_it_would_know_a_client_again(secure: TlsServers) -> None:
    context = trust.client_context(secure.ca)
    for most in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
        context.maximum_version = most
        with context.wrap_socket(connect(secure, "mix-1"), server_hostname="127.0.0.1") as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200")
            assert connection.session is not None and not connection.session.has_ticket


def test_the_doctor_believes_the_network_files_authority(secure: TlsServers, tmp_path: Path) -> None:
    def companion(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        program = Path(sys.executable).parent / "anontrace"
        return subprocess.run(
            [program, "--state", tmp_path / "state", *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    assert companion("init", secure.folder / "network.toml").returncode == 0
    done = companion("doctor", "--no-bluetooth")
    assert (done.returncode, done.stdout.count("https://")) == (0, len(NAMES)), done.stdout


def test_a_plain_request_gets_nothing_and_the_server_goes_on(secure: TlsServers) -> None:
    with pytest.raises(httpx.HTTPError):
        httpx.get(secure.url("mix-1").replace("https://", "http://") + "/healthz", trust_env=False)
    assert secure.http.get(secure.url("mix-1") + "/healthz").is_success


def connect(servers: Servers, name: str) -> socket.socket:
    place = urlsplit(servers.url(name))
    assert place.hostname and place.port
    return socket.create_connection((place.hostname, place.port), 20)


def test_clients_that_do_not_come_to_terms_count_and_are_cut_off(secure: TlsServers) -> None:
    pid = secure.process("mix-2").pid

    def open_files() -> int:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))

    verify = secure.http._transport._pool._ssl_context  # type: ignore[attr-defined]
    other = httpx.HTTPTransport(verify=verify, local_address="127.0.0.2")
    before = open_files()
    silent = [connect(secure, "mix-2") for _ in range(5 * EACH)]
    try:
        for connection in silent[::2]:
            connection.sendall(b"\x16\x03\x01\x02\x00\x01")  # the beginning of a ClientHello
        with httpx.Client(trust_env=False, transport=other) as elsewhere:
            assert elsewhere.get(secure.url("mix-2") + "/healthz").is_success
        assert open_files() <= before + EACH + 2
        for connection in silent:
            with suppress(ConnectionError):
                assert connection.recv(1) == b""
        eventually("they are forgotten", lambda: open_files() <= before + 2)
    finally:
        for connection in silent:
            connection.close()
    eventually("the client is served again", lambda: secure.http.get(secure.url("mix-2") + "/healthz").is_success)
    secure.kill("mix-2")  # and with it the connections that idle, which a stop would wait for
    secure.start("mix-2")
    with connect(secure, "mix-2"):
        assert secure.terminate("mix-2") == 0
    secure.start("mix-2")


def test_a_request_that_comes_with_the_last_of_the_handshake_is_answered(secure: TlsServers) -> None:
    context = trust.client_context(network.load(secure.folder / "network.toml").network.ca)
    for _ in range(20):
        heard, said = ssl.MemoryBIO(), ssl.MemoryBIO()
        talk = context.wrap_bio(heard, said, server_hostname="127.0.0.1")
        with connect(secure, "mix-1") as connection:
            while True:
                try:
                    talk.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    connection.sendall(said.read())
                    heard.write(connection.recv(1 << 16))
            talk.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            connection.sendall(said.read())
            answer = b""
            while b"alive" not in answer:
                data = connection.recv(1 << 16)
                assert data
                heard.write(data)
                with suppress(ssl.SSLWantReadError):
                    while more := talk.read():
                        answer += more


def test_what_is_wrong_with_a_certificate_is_told_in_one_line(tmp_path: Path) -> None:
    made = command("init", tmp_path / "net")
    assert made.returncode == 0
    home = tmp_path / "net" / "mix-1"
    text = (home / "server.toml").read_text()
    tls = '\n[tls]\ncertificate = "tls.pem"\nkey = "tls.key"\n'

    def told(text: str) -> str:
        (home / "server.toml").write_text(text)
        done = command("run", home)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        return done.stderr

    assert "reached by https://" in told(text + tls)
    text = text.replace("http://", "https://") + tls
    assert "tls.pem: no such file" in told(text)
    Authority().write(home)
    (home / "tls.key").chmod(0o644)
    assert "chmod 600" in told(text)
    (home / "tls.key").chmod(0o600)
    (home / "tls.pem").write_text("nothing")
    assert "not a certificate chain" in told(text)


def test_check_finds_a_certificate_that_clients_would_not_believe(tmp_path: Path) -> None:
    authority = Authority()
    servers = TlsServers(tmp_path / "net", authority)
    home = servers.folder / "mix-1"
    line = (home / "server.toml").read_text().splitlines().index('certificate = "tls.pem"') + 1

    def told() -> str:
        (fault,) = checking.faults([home])
        assert fault.startswith(
            f"{home / 'server.toml'}, line {line}: clients do not believe that tls.pem is of 127.0.0.1"
        )
        return fault

    assert checking.faults([home]) == []
    for another in (Authority(), authority):
        another.write(home, "127.0.0.9")
        assert ("IP address mismatch" in told()) == (another is authority)
    authority.write(home, lasts=-DAY / 2)
    assert "expired" in told()
    path = servers.folder / "network.toml"
    with_ca = network.load(path)
    with_ca.model_copy(update={"network": with_ca.network.model_copy(update={"ca": None})}).save(path)
    authority.write(home)
    assert checking.faults([home]) == []  # who knows whom else clients believe
    servers.close()


def test_a_network_file_with_a_ca_that_is_none_is_refused(tmp_path: Path) -> None:
    made = command("init", tmp_path / "net")
    assert made.returncode == 0
    path = tmp_path / "net" / "network.toml"
    path.write_text(path.read_text().replace("[network]\n", '[network]\nca = "trust me"\n'))
    done = command("run", tmp_path / "net" / "mix-1")
    assert "line 2: network.ca" in done.stderr and "PEM" in done.stderr
