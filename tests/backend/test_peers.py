"""What servers and companions make of the answers of a server that means ill."""

import asyncio
import gzip
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from anontrace.backend import peers
from anontrace.backend.errors import PeerError
from anontrace.backend.observing.clockcheck import ClockCheck
from anontrace.backend.peers import Peers
from anontrace.backend.store import open_store
from anontrace.backend.web.http import reason_in
from anontrace.companion.errors import RefusedError
from anontrace.companion.network.client import Client as CompanionClient
from anontrace.wire import mixes
from anontrace.wire.content import Content
from anontrace.wire.network import Service

from tests.wire.samples import NETWORK, NOW, content, edition, mix

DEEP = b"[" * 100_000


def test_what_is_missing_is_asked_for_at_once_then_less_and_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    now, asked = [0.0], []

    class Lonely(Peers):
        def __init__(self) -> None:
            self._refreshed, self._doubtful = 0.0, False

        def missing(self) -> list[int]:
            return [3] if now[0] < 3600 else [3, 4]

        async def refresh(self) -> None:
            self._refreshed = now[0]
            asked.append(now[0])

    async def pass_by(seconds: float) -> None:
        now[0] += seconds
        if now[0] > 3700:
            raise asyncio.CancelledError

    monkeypatch.setattr(peers, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(peers, "asyncio", SimpleNamespace(sleep=pass_by))
    with suppress(asyncio.CancelledError):
        asyncio.run(Lonely().keep_fresh())
    gaps = [later - sooner for sooner, later in pairwise(asked)]
    assert max(gaps[:3]) <= 4 and gaps[:10] == sorted(gaps[:10])
    first_hour = [at for at in asked if at < 3600]
    assert len(first_hour) < 60 and max(gaps) <= 122
    assert 3600 <= asked[len(first_hour)] <= 3602  # another one is missing: soon again


def test_when_nothing_is_missing_discovery_is_asked_every_two_minutes_and_soon_in_doubt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, asked = [0.0], []

    class Content(Peers):
        def __init__(self) -> None:
            self._refreshed, self._doubtful = 0.0, False

        def missing(self) -> list[int]:
            return []

        async def refresh(self) -> None:
            self._refreshed, self._doubtful = now[0], False
            asked.append(now[0])

    content = Content()

    async def pass_by(seconds: float) -> None:
        now[0] += seconds
        content._doubtful |= now[0] == 400
        if now[0] > 600:
            raise asyncio.CancelledError

    monkeypatch.setattr(peers, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(peers, "asyncio", SimpleNamespace(sleep=pass_by))
    with suppress(asyncio.CancelledError):
        asyncio.run(content.keep_fresh())
    assert asked == [122, 244, 366, 400, 522]


class Canned:
    """A server that answers everything alike, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answer = b""
        self.asked: list[bytes] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                caller, _ = self._listening.accept()
                with caller, suppress(OSError):
                    caller.settimeout(20)
                    self.asked.append(caller.recv(1 << 16))
                    caller.sendall(self.answer)

    def says(self, status: str, *headers: bytes, body: bytes = b"") -> None:
        lines = [b"HTTP/1.1 " + status.encode(), b"Connection: close", b"Content-Length: %d" % len(body), *headers]
        self.answer = b"\r\n".join(lines) + b"\r\n\r\n" + body

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()


@pytest.fixture
def canned() -> Iterator[Canned]:
    server = Canned()
    yield server
    server.close()


Ask = Callable[..., None]


@pytest.fixture
def ask(canned: Canned, tmp_path: Path) -> Iterator[Ask]:
    """A server's request for the directory, or so many at once, all with one `Peers`."""
    loop = asyncio.new_event_loop()
    store = loop.run_until_complete(open_store(tmp_path / "db"))
    net = NETWORK.model_copy(update={"discovery": Service(url=canned.url, key=NETWORK.discovery.key)})
    peers = Peers(store, net, ClockCheck("me"), "http://me", 20.0)

    async def refresh(callers: int = 1) -> None:
        await asyncio.gather(*(peers.refresh() for _ in range(callers)))

    yield lambda *callers: loop.run_until_complete(refresh(*callers))
    loop.run_until_complete(peers.close())
    loop.run_until_complete(store.close())
    loop.close()


@pytest.mark.parametrize("status", ["200 OK", "204 None", "304 Not Modified", "302 Found"])
def test_messages_are_not_taken_by_an_answer_that_no_mix_gives(canned: Canned, tmp_path: Path, status: str) -> None:
    """What was taken is deleted from the queue, so a page of somebody on the way does not count as a mix's word."""

    async def send() -> None:
        store = await open_store(tmp_path / "db")
        peers = Peers(store, NETWORK, ClockCheck("me"), "http://me", 20.0)
        peers._known = {3: mix(3, url=canned.url)}
        try:
            canned.says("202 Accepted")
            await peers.send_messages(3, [bytes(380)])
            canned.says(status)
            with pytest.raises(PeerError, match="mix 3: answers"):
                await peers.send_messages(3, [bytes(380)])
        finally:
            await peers.close()
            await store.close()

    asyncio.run(send())


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(b"7", 7.0), (b"9" * 400, 300.0), (b"\xb2", None), (b"\xd9\xa3", None), (b"-1", None), (b"soon", None)],
)
def test_only_a_number_is_believed_as_the_time_to_come_again(
    canned: Canned, ask: Ask, seconds: bytes, expected: float | None
) -> None:
    canned.says("503 Busy", b"Retry-After: " + seconds)
    with pytest.raises(PeerError) as error:
        ask()
    assert error.value.retry_after == expected


def test_who_is_known_not_to_answer_is_not_asked_for_the_time(canned: Canned, tmp_path: Path) -> None:
    """Servers that start one after the other in one process would wait for each other."""

    async def compare() -> None:
        store = await open_store(tmp_path / "db")
        net = NETWORK.model_copy(update={"discovery": Service(url=canned.url, key=NETWORK.discovery.key)})
        peers = Peers(store, net, ClockCheck("me"), "http://me", 20.0)
        try:
            canned.says("200 OK")
            assert await peers.compare({canned.url}) and canned.asked == []
            assert await peers.compare() and len(canned.asked) == 1
        finally:
            await peers.close()
            await store.close()

    asyncio.run(compare())


def test_an_answer_that_is_nested_without_end_is_one_that_cannot_be_used(canned: Canned, ask: Ask) -> None:
    for status in ("200 OK", "500 Broken"):
        canned.says(status, body=DEEP)
        with pytest.raises(PeerError, match="discovery: "):
            ask()
    assert reason_in(DEEP) == reason_in(b'{"error": ' + b"9" * 5000 + b"}") == reason_in(b"\xff") == ""
    assert reason_in(b'{"error": "busy"}') == "busy"


def test_what_a_server_says_is_one_short_line_whatever_it_says() -> None:
    """It is logged, and shown to staff at a terminal."""
    said = json.dumps({"error": "busy\n2026-01-01 ERROR all is lost\x1b[2J\u202e" + "a" * 1000}).encode()
    assert reason_in(said).startswith("busy?2026-01-01 ERROR all is lost?[2J?aaa")
    assert len(reason_in(said)) < 210
    odd = content([3]).descriptions[3].replace(b"mix 3", b"\x1b[2J\n")
    (said,) = mixes.known(Content({3: odd}, content([3]).announcements), NETWORK.pins, NOW).refused
    assert said.isprintable() and len(said) < 250


def test_who_asks_for_the_directory_while_it_is_asked_for_has_the_same_answer(canned: Canned, ask: Ask) -> None:
    canned.says("200 OK", body=edition(1, None).encode())
    ask(4)
    assert len(canned.asked) == 1
    canned.says("503 Busy")
    with pytest.raises(PeerError):
        ask(4)
    assert len(canned.asked) == 2
    canned.says("200 OK", body=edition(1, None).encode())
    ask()


def test_a_tag_that_cannot_be_sent_back_is_not_kept(canned: Canned, ask: Ask) -> None:
    body = edition(1, None).encode()
    for tag, sent in ((b'"abc"', False), (b'"\xe9"', True), (b"", False), (b'"abc"', False), (b'"abc"', True)):
        canned.says("200 OK", b"ETag: " + tag, body=body)
        ask()
        assert (b'if-none-match: "abc"' in canned.asked[-1].lower()) is sent


def test_no_cookie_is_kept_by_which_a_server_would_know_its_client_again(canned: Canned, ask: Ask) -> None:
    canned.says("404 None", b"Set-Cookie: who=you; Path=/", b"Set-Cookie: what=this; Max-Age=100000")
    for _ in range(2):
        with pytest.raises(PeerError):
            ask()
    with CompanionClient() as client:
        for _ in range(2):
            client.probe("discovery", canned.url)
    assert len(canned.asked) == 4
    assert not [each for each in canned.asked if b"cookie" in each.lower()]


def test_a_companion_takes_no_answer_that_is_longer_encoded_or_other_than_it_asked_for(
    canned: Canned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anontrace.companion.network.client.MAX_ANSWER", 1000)
    with CompanionClient() as client:
        canned.says("200 OK", body=bytes(1000))
        assert client.get("discovery", canned.url) == bytes(1000)
        canned.says("200 OK", body=bytes(1001))
        with pytest.raises(RefusedError, match="without end"):
            client.get("discovery", canned.url)
        bomb = gzip.compress(bytes(1 << 20))[:900]
        canned.says("200 OK", b"Content-Encoding: gzip", body=bomb)
        assert client.get("discovery", canned.url) == bomb
        for body in (b'{"error": "no\x1b[2J"}', b'{"error": "no\\u001b[2J\\n"}', DEEP[:900]):
            canned.says("403 No", body=body)
            with pytest.raises(RefusedError) as error:
                client.get("discovery", canned.url)
            assert str(error.value).isprintable()
    assert all(b"accept-encoding: identity" in each.lower() for each in canned.asked)
