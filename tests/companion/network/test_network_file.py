"""Where a network file may come from: a path, a pipe, or an https:// address; and what is no network file."""

import http.server
import ssl
import threading
from pathlib import Path

import pytest
from anontrace.companion.errors import FAILED, OFFLINE, USAGE

from tests.backend.certificates import Authority
from tests.companion.commands.test_cli import NETWORK


class Web(http.server.ThreadingHTTPServer):
    """A web server that has a network file, and a certificate that SSL_CERT_FILE may let be believed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        authority = Authority()
        authority.write(folder)
        self.authority = folder / "authority.pem"
        self.authority.write_text(authority.pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "tls.pem", folder / "tls.key")
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request, client_address):
        """A client that does not believe the certificate is no news."""


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        found = {"/network.toml": NETWORK.encode(), "/picture": b"\xff\xd8\xff"}.get(self.path)
        self.send_response(404 if found is None else 200)
        self.send_header("Content-Length", str(len(found or b"")))
        self.end_headers()
        self.wfile.write(found or b"")

    def log_message(self, *arguments):
        pass


@pytest.fixture
def web(tmp_path):
    served = Web(tmp_path)
    thread = threading.Thread(target=served.serve_forever, daemon=True)
    thread.start()
    yield served
    served.shutdown()
    served.server_close()
    thread.join()


def test_a_network_file_from_an_address_is_pinned_like_one_from_a_path(cli, web):
    cli.environment["SSL_CERT_FILE"] = str(web.authority)
    assert cli.do("init", f"{web.url}/network.toml")["network"] == "nowhere"
    assert cli.do("status")["network"] == "nowhere"


@pytest.mark.parametrize(
    ("path", "code", "said"),
    [("/nothing", FAILED, "404"), ("/picture", USAGE, "is not a text file")],
)
def test_what_is_no_network_file_at_an_address_is_said_in_a_line(cli, web, path, code, said):
    cli.environment["SSL_CERT_FILE"] = str(web.authority)
    result = cli.run("init", web.url + path)
    assert (result.code, said in result.err, len(result.err.splitlines())) == (code, True, 1)
    assert not cli.folder.exists()


def test_an_address_is_believed_by_its_certificate_alone(cli, web):
    result = cli.run("init", f"{web.url}/network.toml")
    assert (result.code, len(result.err.splitlines())) == (OFFLINE, 1)
    result = cli.run("init", web.url.replace("https", "http") + "/network.toml")
    assert (result.code, "must come by https://" in result.err) == (USAGE, True)
    assert not cli.folder.exists()


def test_a_pipe_will_do_and_what_does_not_end_is_refused(cli, tmp_path):
    assert cli.run("init", "/dev/stdin", stdin=NETWORK).code == 0
    (tmp_path / "network.toml").write_text(NETWORK)
    other = ["--state", str(tmp_path / "other")]
    for arguments, said in (
        (["init", "/dev/zero"], "the network file /dev/zero is too large"),
        (
            ["init", str(tmp_path / "network.toml"), "--passphrase-file", "/dev/zero"],
            "passphrase file /dev/zero is too",
        ),
        (["restore", "/dev/zero"], "passphrase is needed"),
    ):
        result = cli.run(*other, *arguments)
        assert (said in result.err, len(result.err.splitlines())) == (True, 1), result.err
    (tmp_path / "words").write_text("three small green words\n")
    cli.environment["ANONTRACE_PASSPHRASE_FILE"] = str(tmp_path / "words")
    result = cli.run(*other, "restore", "/dev/zero")
    assert "is no regular file" in result.err
    assert not (tmp_path / "other").exists()
