"""One HTTP request and its whole answer, by a deadline around all of it: resolving the name, connecting, TLS, a proxy's
greeting, sending, headers, body. And no more bytes than it may have, headers and what comes before them included.

A read that gets a byte in time says nothing of the next, so what ends a request is the clock: it cuts the connection.
Each request has a connection of its own, which is closed as soon as the answer is whole: by one that stays open, who
watches the line would see how long the answer is worked on. Knows no formats and repeats nothing.
"""

import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpcore
import httpx
from socksio.exceptions import SOCKSError

MAX_HEAD = 1 << 17  # bytes that may come beside the body of an answer
MAX_ADDRESSES = 8  # of one name that are tried
_LIMITS = "anontrace.limits"
_WRITE = 1 << 14
_IDLE = 0  # connections that wait for another request
_FAILURES = (
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)


class Overdue(httpx.TransportError):
    """The answer was not there in time."""


class TooLong(httpx.TransportError):
    """The answer has more bytes than it may have."""


class _Limits:
    """What one request may take."""

    def __init__(self, seconds: float, most: int) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._left = most + MAX_HEAD

    def seconds(self) -> float:
        """Until the deadline. Overdue if it is over."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise Overdue(f"no answer within {self._seconds:.0f} seconds")
        return left

    def take(self, size: int) -> None:
        """So many bytes came. TooLong if these are too many, Overdue if the time is over."""
        self._left -= size
        if self._left < 0:
            raise TooLong("its answer is too long")
        self.seconds()


class _Line(httpcore.NetworkStream):
    """A connection that can be cut from another thread, under as much TLS as there is."""

    def __init__(self, stream: httpcore.NetworkStream, wire: socket.socket, backend: "_Backend") -> None:
        self._stream = stream
        self._wire = wire
        self._backend = backend

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = self._stream.read(max_bytes, timeout)
        self._backend.limits.take(len(data))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for at in range(0, len(buffer), _WRITE):
            self._backend.limits.seconds()
            self._stream.write(buffer[at : at + _WRITE], timeout)

    def close(self) -> None:
        self._backend.wires.discard(self._wire)
        self._wire.close()
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        try:
            inner = self._stream.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:
            self.close()
            raise
        # An answer without a length ends with the connection: by TLS, it has to say that it is at its end. Whoever cuts
        # the line could shorten it otherwise.
        if isinstance(secured := inner.get_extra_info("socket"), ssl.SSLSocket):
            secured.suppress_ragged_eofs = False  # type: ignore[attr-defined]  # which typeshed does not know
        return _Line(inner, self._wire, self._backend)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    """Opens connections, and knows those that are open."""

    def __init__(self) -> None:
        self._backend = httpcore.SyncBackend()
        self.limits = _Limits(0, 0)  # of the request under way
        self.wires: set[socket.socket] = set()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        end = time.monotonic() + min(self.limits.seconds(), timeout or self.limits.seconds())
        addresses = _resolved(host, port, end - time.monotonic())[:MAX_ADDRESSES]
        failure: Exception = httpcore.ConnectTimeout("the name was not resolved in time")
        for number, address in enumerate(addresses):
            share = (end - time.monotonic()) / (len(addresses) - number)
            if share <= 0:
                break
            try:
                stream = self._backend.connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
                continue
            wire = stream.get_extra_info("socket").dup()
            self.wires.add(wire)
            return _Line(stream, wire, self)
        raise failure

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.NetworkStream:
        seconds = min(self.limits.seconds(), timeout or self.limits.seconds())
        stream = self._backend.connect_unix_socket(path, seconds, socket_options)
        wire = stream.get_extra_info("socket").dup()
        self.wires.add(wire)
        return _Line(stream, wire, self)

    def cut(self) -> None:
        """End whatever is under way on any connection, from whichever thread."""
        for wire in list(self.wires):
            with suppress(OSError):  # ended by itself meanwhile
                wire.shutdown(socket.SHUT_RDWR)


def _resolved(host: str, port: int, seconds: float) -> list[str]:
    """The addresses of a name, which may take as long as it likes to resolve: another thread waits for it."""
    with suppress(ValueError):
        ipaddress.ip_address(host)
        return [host]
    found: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()

    def resolve() -> None:
        try:
            found.put([str(each[4][0]) for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)])
        except (OSError, UnicodeError) as error:
            found.put(error if isinstance(error, OSError) else OSError("no name of a host"))

    threading.Thread(target=resolve, daemon=True).start()
    try:
        answer = found.get(timeout=max(seconds, 0))
    except queue.Empty:
        return []
    if isinstance(answer, OSError):
        raise httpcore.ConnectError(str(answer)) from answer
    return list(dict.fromkeys(answer))


class Transport(httpx.BaseTransport):
    """For an httpx.Client whose requests go by `ask`, one at a time. `verify`: whose certificates are believed, if TLS
    is spoken at all. `file`: of a socket, through which all is asked instead of by network. ValueError, ImportError or
    httpx.InvalidURL for a proxy that cannot be used."""

    def __init__(self, verify: ssl.SSLContext | None, proxy: str | None = None, file: Path | None = None) -> None:
        self._backend = _Backend()
        if file is None:
            self._pool = _pool(self._backend, verify, None if proxy is None else httpx.Proxy(proxy))
        else:
            self._pool = httpcore.ConnectionPool(
                ssl_context=verify, uds=str(file), network_backend=self._backend, max_keepalive_connections=_IDLE
            )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._backend.limits = limits = request.extensions[_LIMITS]
        timer = threading.Timer(limits.seconds(), self._backend.cut)
        timer.daemon = True
        timer.start()
        before = set(self._backend.wires)
        asked = httpcore.Request(
            request.method,
            httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        try:
            with _as_httpx(limits):
                answer = self._pool.handle_request(asked)
        except BaseException:
            timer.cancel()
            for wire in self._backend.wires - before:  # the greeting of a proxy failed, say, and nobody closed it
                self._backend.wires.discard(wire)
                wire.close()
            raise
        body = _Body(answer, limits, timer)
        return httpx.Response(answer.status, headers=answer.headers, stream=body, extensions=answer.extensions)

    def close(self) -> None:
        self._pool.close()


def _pool(backend: _Backend, verify: ssl.SSLContext | None, proxy: httpx.Proxy | None) -> httpcore.ConnectionPool:
    if proxy is None:
        return httpcore.ConnectionPool(ssl_context=verify, network_backend=backend, max_keepalive_connections=_IDLE)
    url = httpcore.URL(
        scheme=proxy.url.raw_scheme, host=proxy.url.raw_host, port=proxy.url.port, target=proxy.url.raw_path
    )
    if proxy.url.scheme in ("http", "https"):
        return httpcore.HTTPProxy(
            url,
            proxy_auth=proxy.raw_auth,
            proxy_headers=proxy.headers.raw,
            ssl_context=verify,
            proxy_ssl_context=verify if proxy.url.scheme == "https" else None,
            network_backend=backend,
            max_keepalive_connections=_IDLE,
        )
    return httpcore.SOCKSProxy(
        url, proxy_auth=proxy.raw_auth, ssl_context=verify, network_backend=backend, max_keepalive_connections=_IDLE
    )


class _Body(httpx.SyncByteStream):
    """What comes after the headers, within the same limits."""

    def __init__(self, answer: httpcore.Response, limits: _Limits, timer: threading.Timer) -> None:
        self._answer = answer
        self._limits = limits
        self._timer = timer

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx(self._limits):
            yield from self._answer.iter_stream()
        self._limits.seconds()  # a connection that was cut may look like the end of the body

    def close(self) -> None:
        self._timer.cancel()
        self._answer.close()


@contextmanager
def _as_httpx(limits: _Limits) -> Iterator[None]:
    """What httpcore raises comes out by the same name of httpx; Overdue, if it is because the connection was cut."""
    try:
        yield
    except _FAILURES as error:
        limits.seconds()
        kind = getattr(httpx, type(error).__name__, httpx.TransportError)
        raise kind(str(error)) from error
    except (SOCKSError, AssertionError) as error:  # by the latter httpcore checks what kind of reply a proxy gave
        raise httpx.ProxyError("the proxy answers in a way that makes no sense") from error


def ask(client: httpx.Client, method: str, url: str, *, seconds: float, most: int, **details: Any) -> httpx.Response:
    """One request by a client with a `Transport`, and its whole answer of at most `most` bytes, within `seconds`. The
    connection is closed by then.

    The body is what came over the line: an encoding, which is not asked for, is not undone. Overdue, TooLong or another
    httpx.TransportError if there is no answer; httpx.InvalidURL.
    """
    limits = {_LIMITS: _Limits(seconds, most), **details.pop("extensions", {})}
    headers = {"accept-encoding": "identity", **(details.pop("headers", None) or {})}
    content = bytearray()
    with client.stream(method, url, headers=headers, extensions=limits, **details) as answer:
        for piece in answer.iter_raw():
            content += piece
            if len(content) > most:
                raise TooLong("its answer is too long")
    # As bytes: what is not ASCII in them could not be written anew.
    kept = [(name, value) for name, value in answer.headers.raw if name.lower() in (b"content-type", b"date")]
    return httpx.Response(answer.status_code, headers=kept, content=bytes(content), request=answer.request)
