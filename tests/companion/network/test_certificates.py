"""A server whose certificate is not believed: what the wearer is told of it, and what to do. And one that would know a
companion again by its session."""

import http.server
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from anontrace.companion.errors import FAILED, OFFLINE
from anontrace.companion.network.client import Client
from anontrace.wire import network

from tests.backend.certificates import DAY, Authority
from tests.companion.commands.test_cli import NETWORK


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """A client that does not believe the certificate is no news."""


class Secure:
    """A server with the certificate that a test puts into its folder, and a network file of which it is all servers."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self._folder = folder
        self._server = _Server(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
        self._plain = self._server.socket
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.file = folder / "network.toml"
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        read = network.parse(NETWORK.replace("http://127.0.0.1:9", f"https://{self.host}"))
        read.model_copy(update={"network": read.network.model_copy(update={"ca": authority.pem})}).save(self.file)

    def serve(self, handler: type[http.server.BaseHTTPRequestHandler]) -> None:
        self._server.RequestHandlerClass = handler

    def start(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._folder / "tls.pem", self._folder / "tls.key")
        self._server.socket = context.wrap_socket(self._plain, server_side=True)
        self._thread.start()

    def stop(self) -> None:
        if self._thread.ident is not None:
            self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def authority():
    return Authority()


@pytest.fixture
def secure(tmp_path, authority):
    made = Secure(tmp_path, authority)
    yield made
    made.stop()


def expired(authority, folder):
    authority.write(folder, lasts=-DAY / 2)


def not_yet(authority, folder):
    authority.write(folder, begins=DAY)


def of_another(authority, folder):
    authority.write(folder, "127.0.0.9")


def of_strangers(_authority, folder):
    Authority().write(folder)


def of_itself(_authority, folder):
    Authority().write_itself(folder)


@pytest.mark.parametrize(
    ("write", "said", "mend"),
    [
        (expired, "it has expired by this computer's clock", "set this computer's date and time if they are wrong"),
        (not_yet, "it is not valid yet by this computer's clock", "set this computer's date and time"),
        (of_another, "it is for another address", "another server answers there"),
        (of_strangers, "it is signed by an authority that is not known here", "log in to the Wi-Fi"),
        (of_itself, "it is signed by itself alone", "log in to the Wi-Fi"),
    ],
)
def test_a_certificate_that_is_not_believed_is_said_to_be_that(cli, secure, authority, tmp_path, write, said, mend):
    write(authority, tmp_path)
    secure.start()
    cli.do("init", str(secure.file))
    result = cli.run("--json", "register")
    told = result.json["error"]
    assert (result.code, told["kind"]) == (OFFLINE, "certificate"), result.err
    assert f" at {secure.host} is not believed, {said}" in told["message"]
    assert f"; {mend}" in told["message"] and "no connection" not in told["message"]
    result = cli.run("--json", "doctor", "--no-bluetooth")
    assert result.code == FAILED
    checks = {check["name"]: check for check in result.json["checks"]}
    for name in ("directory", "discovery", "health authority"):
        assert said in checks[name]["said"] and checks[name]["mend"].startswith(mend), checks[name]


def test_what_the_clock_says_is_shown_where_it_may_be_what_is_wrong(cli, secure, authority, tmp_path):
    expired(authority, tmp_path)
    secure.start()
    cli.do("init", str(secure.file))
    shown = cli.run("register").err.partition("clock (")[2].partition(")")[0]
    assert abs(datetime.strptime(f"{shown} +0000", "%Y-%m-%d %H:%M %z") - datetime.now(UTC)) < timedelta(minutes=5)


def test_a_session_is_never_resumed_so_that_no_server_knows_a_companion_again_by_it(secure, authority, tmp_path):
    resumed = []

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            resumed.append(self.connection.session_reused)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            """Nobody reads it."""

    authority.write(tmp_path)
    secure.serve(Answer)
    secure.start()  # with tickets, as Python gives them
    for _ in range(2):
        with Client(None, authority.pem) as client:
            client.get("a server", f"https://{secure.host}/")  # HTTP/1.0: a connection each
            client.get("a server", f"https://{secure.host}/")
    assert resumed == [False] * 4
