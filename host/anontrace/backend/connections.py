"""One connection to a server: what a client may take of it before it is cut off.

uvicorn's protocol over httptools, which bounds neither the size of a request's head nor the time it takes to come, nor
that of a client to read its answer. Bodies are bounded in web.py. Never logs who was cut off.
"""

import asyncio
import json

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD = 16 << 10  # bytes of request line and headers
MOST_HEADERS = 64
HEAD_SECONDS = 15.0
READ_SECONDS = 60.0  # without any progress in reading an answer


class TooMuch(Exception):
    """The head of a request is longer than any real one."""


class BoundedProtocol(HttpToolsProtocol):
    """A connection whose requests have small heads that come soon, and whose client reads its answers."""

    head_seconds = HEAD_SECONDS
    read_seconds = READ_SECONDS
    _head = 0
    _waiting_for_head: asyncio.TimerHandle | None = None
    _waiting_for_reader: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        self._reader_reads()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.cycle is None or self.cycle.response_complete:
            # Between requests; also what still comes of a body that was refused counts here, and is cut off.
            self._await_head()
        super().data_received(data)

    def on_message_begin(self) -> None:
        self._head = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)
        if len(self.headers) > MOST_HEADERS:
            raise TooMuch

    def on_headers_complete(self) -> None:
        self._head_came()
        super().on_headers_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._waiting_for_reader is None:
            self._waiting_for_reader = self.loop.call_later(self.read_seconds, self._cut_off)

    def resume_writing(self) -> None:
        self._reader_reads()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        body = json.dumps({"error": "this is not an HTTP request that is served here"}).encode()
        head = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n"
        self.transport.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        self.transport.close()

    def _count(self, size: int) -> None:
        self._head += size
        if self._head > MOST_HEAD:
            raise TooMuch

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
        self._waiting_for_head = None
        if not self.transport.is_closing():
            self.transport.abort()
