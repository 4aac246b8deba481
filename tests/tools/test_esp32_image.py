"""The pinned images: downloaded once over TLS from a real server, held to a hash; a failure is one line of advice."""

import hashlib
import http.server
import re
import resource
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.backend.certificates import Authority
from tests.tools import images
from tools import esp32_image, flash

NAME = "ESP32_GENERIC_C3"
FILE = "ESP32_GENERIC_C3-20250415-v1.25.0.bin"
IMAGE = images.whole(5)

Handler = http.server.BaseHTTPRequestHandler
Answer = Callable[[Handler], None]


def whole(content: bytes, length: int | None = None) -> Answer:
    """200 with that content, and another length if one is given."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content) if length is None else length))
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def without_length(handler: Handler) -> None:
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(IMAGE)


def elsewhere(handler: Handler) -> None:
    handler.send_response(302)
    handler.send_header("Location", "http://127.0.0.1:9/plain.bin")
    handler.end_headers()


class Publisher:
    """Answers every GET over TLS as it is told to, and counts."""

    def __init__(self, folder: Path) -> None:
        self.answer = whole(IMAGE)
        self.asked = 0
        publisher = self

        class Get(Handler):
            def do_GET(self) -> None:
                publisher.asked += 1
                publisher.answer(self)

            def log_message(self, *arguments: object) -> None:
                pass

        authority = Authority()
        authority.write(folder)
        self.authority = folder / "authority.pem"
        self.authority.write_text(authority.pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "tls.pem", folder / "tls.key")
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Get)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}/{FILE}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The empty folder for images; no proxy in the way."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "anontrace" / "esp32"


@pytest.fixture
def publisher(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    """Serves the C3's image, which the lock file names without a hash; its certificate is trusted."""
    running = Publisher(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(running.authority))
    lock = tmp_path / "pins.toml"
    lock.write_text(re.sub(rf"https://.*/{FILE}", running.url, esp32_image.PINS.read_text()))
    monkeypatch.setattr(esp32_image, "PINS", lock)
    yield running
    running.close()


def refused() -> str:
    """The one line that a fetch fails with, which always names the way round."""
    with pytest.raises(esp32_image.ImageError) as caught:
        esp32_image.fetch(NAME)
    message = str(caught.value)
    assert "FIRMWARE=file.bin" in message and "\n" not in message
    return message


def test_every_board_has_an_image_new_enough_for_it() -> None:
    pins = esp32_image.pins()
    assert set(pins) == set(esp32_image.BOARDS)
    for name, pin in pins.items():
        assert re.fullmatch(r"https://micropython\.org/resources/firmware/" + name + r"-\d{8}-v[\d.]+\.bin", pin.url)
        version = re.findall(r"\d+", pin.file.rpartition("-v")[2])
        assert (int(version[0]), int(version[1])) >= esp32_image.BOARDS[name].oldest


def test_the_first_download_is_kept_and_later_ones_have_to_match(
    publisher: Publisher, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = esp32_image.fetch(NAME)
    digest = hashlib.sha256(IMAGE).hexdigest()
    assert image == cache / FILE and image.read_bytes() == IMAGE
    assert f"SHA-256 {digest}: trusted at this first download" in capsys.readouterr().err
    assert sorted(path.name for path in cache.iterdir()) == [FILE, FILE + ".sha256"]

    assert esp32_image.fetch(NAME) == image and publisher.asked == 1
    image.write_bytes(b"rotten")
    assert esp32_image.fetch(NAME).read_bytes() == IMAGE and publisher.asked == 2

    publisher.answer = whole(IMAGE + b"!")
    image.unlink()
    assert f"is not the one first downloaded here, kept in {image}.sha256" in refused()
    assert not image.exists()


def test_a_hash_is_written_into_the_lock_file_and_then_holds_on_every_machine(
    publisher: Publisher, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = esp32_image.pins()
    assert esp32_image.main(["pin", "--board", NAME]) == 0
    digest = hashlib.sha256(IMAGE).hexdigest()
    assert capsys.readouterr().out == f"{digest}  {FILE}\n"
    after = esp32_image.pins()
    assert after[NAME].sha256 == digest
    assert {name: pin for name, pin in after.items() if name != NAME} == {
        name: pin for name, pin in before.items() if name != NAME
    }

    for path in cache.iterdir():
        path.unlink()
    publisher.answer = whole(IMAGE + b"!")
    assert "is not the pinned one" in refused()
    assert list(cache.iterdir()) == []
    publisher.answer = whole(IMAGE)
    assert esp32_image.fetch(NAME).read_bytes() == IMAGE


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda handler: handler.send_error(404), "answered 404"),
        (whole(b"<html>Please log in to this network</html>"), "no MicroPython for ESP32_GENERIC_C3 (a proxy's page?)"),
        (whole(images.whole(9)), "no MicroPython for ESP32_GENERIC_C3"),
        (whole(images.part(5, images.BANNER)), "no MicroPython for ESP32_GENERIC_C3"),
        (whole(IMAGE, len(IMAGE) + 1), "did not arrive whole"),
        (without_length, "came without its length"),
        (whole(bytes(esp32_image.MAX_BYTES + 1)), "is larger than a board's flash"),
        (elsewhere, "leads to http://127.0.0.1:9/plain.bin, without TLS"),
    ],
    ids=["not-there", "a-page", "another-chip", "an-update", "cut-short", "no-length", "too-large", "to-plain-http"],
)
def test_what_is_no_whole_image_is_refused_and_not_kept(
    publisher: Publisher, cache: Path, answer: Answer, said: str
) -> None:
    publisher.answer = answer
    assert said in refused()
    assert list(cache.iterdir()) == []


def test_a_publisher_that_cannot_be_reached_or_trusted_is_named(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    assert "127.0.0.1 cannot be reached (its certificate is not trusted)" in refused()
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    text = esp32_image.PINS.read_text()
    esp32_image.PINS.write_text(text.replace(publisher.url, f"https://127.0.0.1:{port}/{FILE}"))
    assert "127.0.0.1 cannot be reached (no network?)" in refused()


@pytest.mark.parametrize("exempt", ["[::1]", "::1, [::1]:8080,*.example.org , ,10.0.0.0/8", "[", "127.0.0.1"])
def test_no_form_of_no_proxy_stops_the_download(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch, exempt: str
) -> None:
    monkeypatch.setenv("NO_PROXY", exempt)
    if exempt == "127.0.0.1":
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    assert esp32_image.fetch(NAME).read_bytes() == IMAGE


def test_a_proxy_that_does_not_answer_or_is_no_address_is_said(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "127.0.0.1:9")
    assert "cannot be reached" in refused()
    monkeypatch.setenv("HTTPS_PROXY", "http://me:secret@proxy:port")
    message = refused()
    assert "the proxy of HTTPS_PROXY is no address" in message and "secret" not in message


def test_a_publisher_that_falls_silent_is_given_up(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    silence = threading.Event()
    publisher.answer = lambda handler: (silence.wait(), None)[1]
    monkeypatch.setattr(esp32_image, "TIMEOUT", 0.1)
    try:
        assert "sent nothing" in refused()
    finally:
        silence.set()


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files by setrlimit")
def test_a_full_disk_is_named_and_nothing_is_left(publisher: Publisher, cache: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        message = refused()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert f"{cache} cannot be written: File too large; make room" in message
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("content", ["", "[ESP32_GENERIC]\nurl = 5\n", "not toml", f'[{NAME}]\nurl = ""\nsha256 = "5"'])
def test_a_damaged_lock_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    monkeypatch.setattr(esp32_image, "PINS", tmp_path / "pins.toml")
    esp32_image.PINS.write_text(content)
    assert "pins.toml" in refused()


def test_flashing_takes_the_pinned_image_if_none_is_given(
    publisher: Publisher, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = f"socket://127.0.0.1:{unused.getsockname()[1]}"
    assert flash.main(["flash", "--port", port, "--board", NAME]) == 1
    said = capsys.readouterr()
    assert f"Writing {FILE} (SHA-256 {hashlib.sha256(IMAGE).hexdigest()})" in said.out
    assert said.err.splitlines()[-1].startswith(f"error: {port} cannot be opened")

    publisher.close()
    publisher.answer = whole(b"")
    assert flash.main(["flash", "--port", port, "--board", NAME]) == 1
    assert "Downloading" not in capsys.readouterr().err
