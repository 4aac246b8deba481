"""Servers behind reverse proxies: real ones, configured as docs/operations.md says. Who is who, and what passes."""

import os
import re
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from posixpath import normpath
from threading import Thread
from urllib.parse import unquote, urlsplit

import httpx
import pytest
from anontrace.backend.operating.init import free_ports
from anontrace.backend.staff.rights import Role
from anontrace.wire import trust
from anontrace.wire.result import Question

from tests.backend import signed_in
from tests.backend.certificates import Authority
from tests.backend.client import Client
from tests.backend.conftest import STEADY
from tests.backend.servers import Servers, eventually
from tests.backend.web.spellings import PRIVATE, spellings
from tests.backend.web.test_doors import asked

OPERATIONS = Path(__file__).parents[3] / "docs" / "operations.md"
MAX_TRIES = 2


def example(proxy: str) -> str:
    """The page's configuration of this proxy."""
    (block,) = re.findall(rf"With {proxy}[^:]*:\n\n((?:    .*\n)+)", OPERATIONS.read_text())
    return re.sub("^    ", "", block, flags=re.MULTILINE)


def replaced(text: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


def nginx(folder: Path, port: int, behind: str) -> list[str | Path]:
    """Writes its configuration; the arguments to start it with."""
    text = replaced(
        example("nginx"),
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("/etc/letsencrypt/live/mix-1.example/fullchain.pem", str(folder / "tls.pem")),
        ("/etc/letsencrypt/live/mix-1.example/privkey.pem", str(folder / "tls.key")),
        ("http://127.0.0.1:7001", f"http://{behind}"),
    )
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {folder / kind};\n" for kind in kinds)
    user = "user root;\n" if os.geteuid() == 0 else ""
    head = f"{user}daemon off;\npid {folder / 'pid'};\nevents {{}}\n"
    (folder / "nginx.conf").write_text(f"{head}http {{\n{temporary}{text}}}\n")
    return ["-p", folder, "-e", folder / "errors", "-c", folder / "nginx.conf"]


def haproxy(folder: Path, port: int, behind: str) -> list[str | Path]:
    """The same."""
    (folder / "both.pem").write_bytes((folder / "tls.pem").read_bytes() + (folder / "tls.key").read_bytes())
    text = replaced(
        example("HAProxy"),
        ("bind :443 ssl", f"bind 127.0.0.1:{port} ssl"),
        ("/etc/haproxy/mix-1.pem", str(folder / "both.pem")),
        ("127.0.0.1:7001", behind),
    )
    head = "defaults\n    timeout connect 10s\n    timeout client 30s\n    timeout server 30s\n"
    (folder / "haproxy.cfg").write_text(head + text)
    return ["-db", "-f", folder / "haproxy.cfg"]


class Proxy:
    """One kind of proxy, put before a server."""

    def __init__(self, folder: Path, program: str, configure: Callable[[Path, int, str], list[str | Path]]) -> None:
        self._folder, self._program, self._configure = folder, program, configure
        self._process: subprocess.Popen[bytes] | None = None
        authority = Authority()
        authority.write(folder)
        self.context: ssl.SSLContext = trust.client_context(authority.pem)
        self.url = ""

    def start(self, behind: str) -> None:
        """Before a HOST:PORT."""
        (port,) = free_ports("127.0.0.1", 1)
        self.url = f"https://127.0.0.1:{port}"
        with (self._folder / "output").open("wb") as output:
            command = [self._program, *self._configure(self._folder, port, behind)]
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        with self.client() as http:
            eventually("the proxy answers", lambda: self._answers(http))

    def _answers(self, http: httpx.Client) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "output").read_text()
        try:
            return http.get(f"{self.url}/nothing").status_code == 404
        except httpx.TransportError:
            return False

    def client(self, sender: str = "127.0.0.1") -> httpx.Client:
        """From one of the machine's own addresses."""
        way = httpx.HTTPTransport(verify=self.context, local_address=sender)
        return httpx.Client(trust_env=False, timeout=20, transport=way)

    def close(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)


@pytest.fixture(params=[nginx, haproxy], ids=["nginx", "haproxy"])
def proxy(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Proxy]:
    name = request.param.__name__
    program = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip(f"there is no {name} here (Debian: apt install {name})")
    made = Proxy(tmp_path, program, request.param)
    yield made
    made.close()


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[Servers]:
    """A health authority, not started yet, that listens for IPv6 and IPv4."""
    servers = Servers(tmp_path / "net", "--delay", "0")
    listen = servers.config("authority")["listen"]
    servers.configure("authority", f'listen = "{listen}"', f'listen = "[::]:{listen.rpartition(":")[2]}"')
    try:
        yield servers
    finally:
        servers.close()


def start(servers: Servers, proxies: str | None) -> str:
    """Start the authority, told of these proxies; where it listens, as the IPv4 place it is too."""
    path = servers.folder / "authority" / "server.toml"
    told = "" if proxies is None else f'\n[http]\nforwarded_from = ["{proxies}"]\n'
    path.write_text(path.read_text() + f"\n[authority]\nbad_tries = {MAX_TRIES}\n{told}")
    servers.start("discovery", "authority", "nymserver")
    return servers.url("authority").removeprefix("http://").replace("[::]", "127.0.0.1")


def tried(http: httpx.Client, url: str, *forwarded: str) -> int:
    """How a token that does not exist is answered to a client whose request has these lines of X-Forwarded-For."""
    question = Question(bytes(31) + b"\1").encode()
    lines = [("X-Forwarded-For", each) for each in forwarded]
    return http.post(f"{url}/v2/result", content=question, headers=lines).status_code


def test_forwarded_headers_are_not_believed_unless_told_so(authority: Servers) -> None:
    url = f"http://{start(authority, None)}"
    assert [tried(authority.http, url, f"192.0.2.{n}") for n in range(4)] == [200, 200, 429, 429]


@pytest.mark.parametrize("proxies", ["127.0.0.1", "::ffff:127.0.0.1", "::ffff:127.0.0.0/104"])
def test_a_proxy_that_comes_to_a_socket_for_both_kinds_of_addresses_is_the_one_that_was_named(
    authority: Servers, proxies: str
) -> None:
    url = f"http://{start(authority, proxies)}"
    assert [tried(authority.http, url, f"192.0.2.{n}") for n in range(4)] == [200] * 4
    # One client, in all the ways in which proxies write it, and whatever it has written there itself.
    same = (["192.0.2.9"], ["::ffff:192.0.2.9"], ["[::ffff:192.0.2.9]:80"], ["203.0.113.1, 192.0.2.9:77"])
    more = (["203.0.113.2", "192.0.2.9"], ["192.0.2.9", "::ffff:127.0.0.1"], ["127.0.0.1, 192.0.2.9 ,127.0.0.1"])
    answers = [tried(authority.http, url, *lines) for lines in (*same, *more)]
    assert answers == [200] * MAX_TRIES + [429] * 5
    with httpx.Client(trust_env=False, transport=httpx.HTTPTransport(local_address="::1")) as stranger:
        by_ipv6 = url.replace("127.0.0.1", "[::1]")
        assert [tried(stranger, by_ipv6, f"192.0.2.{n}") for n in range(4)] == [200, 200, 429, 429]


def test_behind_a_real_proxy_clients_are_told_apart_and_nothing_for_staff_is_reached(
    proxy: Proxy, authority: Servers
) -> None:
    proxy.start(start(authority, "127.0.0.1"))
    for sender in ("127.0.0.2", "127.0.0.3"):
        with proxy.client(sender) as http:
            answers = [tried(http, proxy.url, f"192.0.2.{n}") for n in range(MAX_TRIES + 2)]
            assert answers == [200] * MAX_TRIES + [429] * 2  # whomever they say they come for
            assert http.get(f"{proxy.url}/healthz").json() == {"alive": True}
    token = signed_in.session(authority.folder / "authority", Role.DECIDER)
    for path in PRIVATE:
        for spelling in spellings(path, urlsplit(proxy.url).netloc):
            answer = asked(proxy.url, spelling, "GET", {"Authorization": f"Bearer {token}"}, proxy.context)
            assert answer in (b"400", b"404"), spelling


class _Recorder(BaseHTTPRequestHandler):
    """Answers everything, and keeps what was asked."""

    protocol_version = "HTTP/1.1"
    targets: list[str]

    def do_GET(self) -> None:
        self.targets.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def recorder() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Recorder", (_Recorder,), {"targets": []}))
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_examples_pass_on_what_is_for_everybody_and_nothing_that_could_be_taken_for_something_else(
    proxy: Proxy, recorder: ThreadingHTTPServer, client: Client
) -> None:
    """Before a server that would answer anything."""
    proxy.start(f"127.0.0.1:{recorder.server_port}")
    targets: list[str] = recorder.RequestHandlerClass.targets  # type: ignore[attr-defined]
    for path in PRIVATE:
        for spelling in spellings(path, urlsplit(proxy.url).netloc):
            asked(proxy.url, spelling, "GET", {}, proxy.context)
    wrong = [target for target in targets if any(meant(target).startswith(path[:9]) for path in PRIVATE)]
    assert wrong == []
    targets.clear()
    public = {"/openapi.json"}
    for name in STEADY:
        described = client.http.get(client.servers.url(name) + "/openapi.json").json()
        public |= {_filled(path) for path in described["paths"]}
    with proxy.client() as http:
        assert {http.get(proxy.url + path).status_code for path in public} == {200}
    assert sorted(targets) == sorted(public)


def meant(target: str) -> str:
    """The path that the most obliging server takes a target for."""
    path = unquote(unquote(urlsplit(target).path if "://" in target else target)).replace("\\", "/").partition(";")[0]
    return normpath(re.sub("/+", "/", path)).lower()


def _filled(path: str) -> str:
    return (
        path.replace("{report}", "0123456789abcdef")
        .replace("{index}", "7")
        .replace("{number}", "7")
        .replace("{day}", "7")
    )
