"""A folder that was copied does not run beside the original; what is no other instance keeps nobody from starting."""

import shutil
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path

import pytest
from anontrace.wire import description, directory, network

from tests.backend.servers import Servers, command
from tests.patience import eventually


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    servers = Servers(tmp_path / "net")
    yield servers
    servers.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def copied(
    servers: Servers, name: str = "copy", of: str = "mailbox", with_store: bool = True, with_url: bool = True
) -> Path:
    """A copy of a server's folder that listens elsewhere, and has the same URL or one of its own."""
    listen, url = (servers.config(of)[each] for each in ("listen", "url"))
    copy = servers.folder / name
    left_out = shutil.ignore_patterns("staff.sock", *([] if with_store else ["store"]))
    shutil.copytree(servers.folder / of, copy, ignore=left_out)
    port = free_port()
    servers.configure(name, f'listen = "{listen}"', f'listen = "127.0.0.1:{port}"')
    if not with_url:
        servers.configure(name, f'url = "{url}"', f'url = "http://127.0.0.1:{port}"')
    return copy


def test_a_copy_is_not_started_while_the_original_answers(servers: Servers) -> None:
    servers.start("mailbox")
    copies = [copied(servers, "copy"), copied(servers, "empty", with_store=False)]
    left = [sorted(copy.rglob("*")) for copy in copies]
    with ThreadPoolExecutor() as at_once:  # each waits some seconds for the original to end
        done = list(at_once.map(command, *zip(*product(("run", "check"), copies), strict=True)))
    for said in done:
        assert said.returncode == 1
        assert "runs already" in said.stderr and servers.config("mailbox")["url"] in said.stderr
        assert len(said.stderr.splitlines()) == 1
    assert [sorted(copy.rglob("*")) for copy in copies] == left
    assert command("check", servers.folder / "mailbox").returncode == 0
    assert servers.http.get(servers.url("mailbox") + "/healthz").is_success
    servers.kill("mailbox")
    for copy in copies:
        assert command("check", copy).returncode == 0
        servers.start(copy.name)
        servers.kill(copy.name)


def test_what_a_copy_lacks_of_the_store_that_was_written_to_meanwhile_is_not_called_damage(servers: Servers) -> None:
    servers.start("mailbox")
    copy = copied(servers)
    newest = max((copy / "store").glob("*.log"))
    newest.write_bytes(newest.read_bytes()[:-20])
    for name in ("check", "run"):
        said = command(name, copy).stderr
        assert ("runs already" in said, "damaged" in said) == (True, False)
    servers.kill("mailbox")
    assert "damaged" in command("check", copy).stderr


def test_two_copies_are_not_run_by_one_command(servers: Servers) -> None:
    copy = copied(servers)
    done = command("run", servers.folder / "mailbox", copy)
    assert done.returncode == 1
    assert f"{servers.folder / 'mailbox'} is the same server" in done.stderr
    checked = command("check", servers.folder / "mailbox", copy)
    assert "has this URL too" in checked.stderr


def test_a_copy_of_a_server_that_the_network_file_leads_to_is_not_started_either(servers: Servers) -> None:
    servers.start("discovery")
    url = servers.config("discovery")["url"]
    done = command("check", copied(servers, of="discovery", with_url=False))
    assert (done.returncode, f"runs already: it answers at {url}" in done.stderr) == (1, True)


def shown_url(servers: Servers) -> str | None:
    """Where the mailbox server is, by discovery's directory."""
    pinned = network.load(servers.folder / "network.toml")
    body = servers.http.get(f"{pinned.discovery.url}/v2/directory").content
    described = directory.parse(body, pinned.discovery.key).content.descriptions
    (number,) = pinned.with_role("mailbox")
    return description.parse(described[number]).url if number in described else None


def test_a_server_whose_copy_led_its_senders_elsewhere_is_found_again(servers: Servers) -> None:
    """The copy's description is the newer one: discovery takes the original's for it no more."""
    servers.start("discovery")
    copied(servers, with_url=False)
    for name in ("mailbox", "copy", "mailbox"):
        servers.start(name)
        url = servers.config(name)["url"]
        eventually(f"{name} is found at {url}", lambda url=url: shown_url(servers) == url)  # type: ignore[misc]
        if name == "mailbox":  # while that is where senders are led, no copy may lead them away
            done = command("check", servers.folder / "copy")
            assert (done.returncode, done.stderr.count(f"runs already: it answers at {url}")) == (1, 1)
        servers.kill(name)


def test_a_restart_is_not_kept_from_being_one(servers: Servers) -> None:
    servers.start("mailbox")
    for end in (servers.kill, servers.terminate):
        end("mailbox")
        servers.start("mailbox")


class Proxy(BaseHTTPRequestHandler):
    """Stands before a server that is not there."""

    answer = (502, b"<html>Bad Gateway</html>")

    def do_GET(self) -> None:
        status, body = self.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("answer", [(502, b'{"alive": true}'), (200, b"<html>Parked</html>"), (200, b"[" * 100_000)])
def test_a_proxy_with_nothing_behind_it_is_no_copy(servers: Servers, answer: tuple[int, bytes]) -> None:
    handler = type("Handler", (Proxy,), {"answer": answer})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        url = servers.config("mailbox")["url"]
        servers.configure("mailbox", f'url = "{url}"', f'url = "http://127.0.0.1:{proxy.server_port}"')
        servers.start("mailbox")
        proxy.shutdown()


def test_what_takes_a_connection_and_never_answers_holds_up_no_start(servers: Servers) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = servers.config("mailbox")["url"]
        servers.configure("mailbox", f'url = "{url}"', f'url = "http://127.0.0.1:{silent.getsockname()[1]}"')
        servers.start("mailbox")
