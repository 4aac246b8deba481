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

from tests.backend.servers import Servers, command


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    servers = Servers(tmp_path / "net")
    yield servers
    servers.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def copied(servers: Servers, name: str = "copy", with_store: bool = True) -> Path:
    """A copy of the mailbox server's folder that listens elsewhere."""
    listen = servers.config("mailbox")["listen"]
    copy = servers.folder / name
    left_out = shutil.ignore_patterns("staff.sock", *([] if with_store else ["store"]))
    shutil.copytree(servers.folder / "mailbox", copy, ignore=left_out)
    servers.configure(name, f'listen = "{listen}"', f'listen = "127.0.0.1:{free_port()}"')
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


def test_two_copies_are_not_run_by_one_command(servers: Servers) -> None:
    copy = copied(servers)
    done = command("run", servers.folder / "mailbox", copy)
    assert done.returncode == 1
    assert f"{servers.folder / 'mailbox'} is the same server" in done.stderr
    checked = command("check", servers.folder / "mailbox", copy)
    assert "has this URL too" in checked.stderr


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
