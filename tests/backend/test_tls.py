"""Servers that speak TLS themselves, and clients that verify it by the network file."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from anontrace.companion.client import Client as CompanionClient
from anontrace.companion.errors import OfflineError
from anontrace.wire import network, trust
from anontrace_shared.slots import slot_of

from .certificates import Authority
from .client import Client, Registered
from .servers import Servers, command, eventually

NAMES = ("discovery", "mix-1", "mix-2", "mix-3", "nymserver", "mailbox", "authority")


class TlsServers(Servers):
    """A network whose servers all speak TLS under a certificate authority of its own."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        super().__init__(folder, "--delay", "0.01", "--pace", "0.01")
        for name in NAMES:
            authority.write(folder / name)
            path = folder / name / "server.toml"
            text = path.read_text().replace("http://", "https://")
            path.write_text(text + '\n[tls]\ncertificate = "tls.pem"\nkey = "tls.key"\n')
        path = folder / "network.toml"
        plain = network.parse(path.read_text().replace("http://", "https://"))
        plain.model_copy(
            update={"network": plain.network.model_copy(update={"ca": authority.pem})},
        ).save(path)
        self.http = httpx.Client(trust_env=False, timeout=20, verify=trust.client_context(authority.pem))


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServers]:
    servers = TlsServers(tmp_path_factory.mktemp("tls") / "net", Authority())
    try:
        servers.start(*NAMES)
        servers.ready(NAMES)
        yield servers
    finally:
        servers.close()


def test_a_network_runs_on_tls_alone(secure: TlsServers) -> None:
    client = Client(secure)
    assert all(each.url.startswith("https://") for each in client.lists.values())
    who = Registered(os.urandom(20), slot_of(time.time()))
    client.send_swap(client.arm(who), client.hops(1, 2, 3, client.nymserver))
    eventually("the swap is stored", lambda: client.is_stored(who))
    assert "exposures" in command("authority", "reports", "--config", secure.folder / "authority").stdout


def test_a_companion_believes_the_certificates_of_the_network_file_alone(
    secure: TlsServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anontrace.companion.client.FIRST_PAUSE", 0.0)
    url = secure.url("discovery") + "/v1/directory"
    pinned = network.load(secure.folder / "network.toml").network.ca
    with CompanionClient(None, pinned) as client:
        assert client.get("discovery", url)
    for other in (None, Authority().pem):
        with CompanionClient(None, other) as client, pytest.raises(OfflineError):
            client.get("discovery", url)


def test_a_plain_request_gets_nothing_and_the_server_goes_on(secure: TlsServers) -> None:
    with pytest.raises(httpx.HTTPError):
        httpx.get(secure.url("mix-1").replace("https://", "http://") + "/healthz", trust_env=False)
    assert secure.http.get(secure.url("mix-1") + "/healthz").is_success


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


def test_a_network_file_with_a_ca_that_is_none_is_refused(tmp_path: Path) -> None:
    made = command("init", tmp_path / "net")
    assert made.returncode == 0
    path = tmp_path / "net" / "network.toml"
    path.write_text(path.read_text().replace("[network]\n", '[network]\nca = "trust me"\n'))
    done = command("run", tmp_path / "net" / "mix-1")
    assert "line 2: network.ca" in done.stderr and "PEM" in done.stderr
