"""The connections to a server: how many, of whom, and what a client may take before it is cut off.

uvicorn's protocol over httptools, which bounds neither the size of a request's head nor the time it takes to come, nor
that of a client to read its answer, nor the connections of one client, and which drops the body of a request that
offers another protocol (`Upgrade`), since it takes the offer to be accepted. None ever is here. Bodies are bounded in
app.py. Never logs who was turned away or cut off.
"""

import asyncio
import json
import socket
import struct
from collections import Counter
from contextlib import suppress
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from anontrace.backend import senders
from anontrace.backend.config import HttpSettings
from anontrace.backend.senders import Senders

MAX_HEAD = 16 << 10  # bytes of request line and headers
MAX_HEADERS = 64
_RETRY_SECONDS = 10
_AT_ONCE = struct.pack("ii", 1, 0)  # linger for no time: the kernel drops what the client has not taken


class NotServed(Exception):
    """The head of a request is longer than any real one, or wants a tunnel."""


class Crowd:
    """How many connections one server has: in all, and from each IPv4 address or IPv6 /64 but those of its proxies."""

    def __init__(self, settings: HttpSettings) -> None:
        self._most = settings.connections
        self._most_each = settings.connections_each
        self._proxies = Senders(settings.forwarded_from)
        self._all = 0
        self._by_site: Counter[str] = Counter()

    def enter(self, host: str) -> str | None:
        """Room for one connection of this address ("": it has none): the name under which it `leave`s. None if there is
        no room."""
        site = self._site(host)
        if self._all >= self._most or (site and self._by_site[site] >= self._most_each):
            return None
        self._all += 1
        self._by_site[site] += 1
        return site

    def leave(self, site: str) -> None:
        """A connection that had entered has ended."""
        self._all -= 1
        self._by_site[site] -= 1
        if not self._by_site[site]:
            del self._by_site[site]

    def _site(self, host: str) -> str:
        """Whose connections count together; "" for a proxy, which stands for many, and for who has no address."""
        sender = senders.address(host)
        if sender is None or sender in self._proxies:
            return ""
        return senders.site(sender)


class BoundedProtocol(HttpToolsProtocol):
    """A connection whose requests have small heads that come soon, and whose client reads its answers."""

    crowd: Crowd
    head_seconds: float
    read_seconds: float
    _site: str | None = None
    _answering: RequestResponseCycle | None = None
    _head = 0
    _waiting_for_head: asyncio.TimerHandle | None = None
    _waiting_for_reader: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=1)  # whatever the client does not take counts as not read
        if self._site is None:
            self._site = self.crowd.enter(self.client[0] if self.client is not None else "")
        if self._site is None:
            self._say_and_close("503 Service Unavailable", "too many connections", f"retry-after: {_RETRY_SECONDS}\r\n")
        else:
            self._await_head()

    def entered(self, site: str) -> None:
        """This connection was counted before it came here."""
        self._site = site

    def leave(self) -> None:
        """This connection does not count any more."""
        if self._site is not None:
            self.crowd.leave(self._site)
            self._site = None

    def connection_lost(self, exc: Exception | None) -> None:
        self.leave()
        self._head_came()
        self._reader_reads()
        if self._answering is not None:
            self._answering.disconnected = True  # uvicorn tells the last request of a pipeline only
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def data_received(self, data: bytes) -> None:
        if self.cycle is None or self.cycle.response_complete:
            # Between requests; also what still comes of a body that was refused counts here, and is cut off.
            self._await_head()
        self._unset_keepalive_if_required()
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self.send_400_response("")

    def _parse(self, data: bytes | memoryview) -> None:
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                # It takes what follows the head for the other protocol. A new parser is shown the head without the
                # offer, and then goes on where this one stopped.
                data = memoryview(data)[offer.args[0] :]
                head = self._head_without_offer()
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
                self.parser.feed_data(head)
            else:
                return

    def _head_without_offer(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)]
        lines += [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def on_message_begin(self) -> None:
        self._head = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)
        if len(self.headers) > MAX_HEADERS:
            raise NotServed

    def on_headers_complete(self) -> None:
        if self.parser.get_method() == b"CONNECT":
            raise NotServed
        if self.parser.should_upgrade():
            return  # it comes again without
        self._head_came()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._waiting_for_reader is None:
            self._waiting_for_reader = self.loop.call_later(self.read_seconds, self._cut_off)

    def resume_writing(self) -> None:
        self._reader_reads()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        self._say_and_close("400 Bad Request", "this is not an HTTP request that is served here")

    def _say_and_close(self, status: str, reason: str, header: str = "") -> None:
        body = json.dumps({"error": reason}).encode()
        head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\n{header}"
        self.transport.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        self.transport.close()

    def _count(self, size: int) -> None:
        self._head += size
        if self._head > MAX_HEAD:
            raise NotServed

    def _await_head(self) -> None:
        if self._waiting_for_head is None:
            self._waiting_for_head = self.loop.call_later(self.head_seconds, self._cut_off)

    def _head_came(self) -> None:
        if self._waiting_for_head is not None:
            self._waiting_for_head.cancel()
            self._waiting_for_head = None

    def _reader_reads(self) -> None:
        if self._waiting_for_reader is not None:
            self._waiting_for_reader.cancel()
            self._waiting_for_reader = None

    def _cut_off(self) -> None:
        """At once, also if the connection is closing and waits for its client to read; what was sent is forgotten."""
        connection = self.transport.get_extra_info("socket")
        if connection is not None:
            with suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        self.transport.abort()
