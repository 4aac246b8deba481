"""Where TLS connections come in: each counts from its first moment, and has a time limit for its handshake.

An event loop's own TLS servers report a connection only after the handshake, and wait a minute for it. Never reads a
request, and never logs who was turned away.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable

from .connections import BoundedProtocol

_NOT_NOW = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_GONE = (errno.ECONNABORTED, errno.ECONNRESET, errno.EPROTO, errno.EAGAIN, errno.EINTR)
_REST_SECONDS = 0.5


class TlsGate:
    """Accepts connections, from `run` to `close`, and hands those that agree on keys to a protocol of `make`.
    `seconds`: how long that may take."""

    def __init__(
        self, listening: socket.socket, context: ssl.SSLContext, make: Callable[[], BoundedProtocol], seconds: float
    ) -> None:
        self._listening = listening
        self._context = context
        self._make = make
        self._seconds = seconds
        self._agreeing: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Accept for ever. The socket has to listen already."""
        self._listening.setblocking(False)
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, sender = await loop.sock_accept(self._listening)
            except OSError as error:
                if error.errno not in (*_NOT_NOW, *_GONE):
                    raise
                await asyncio.sleep(_REST_SECONDS if error.errno in _NOT_NOW else 0)
                continue
            protocol = self._make()
            site = protocol.crowd.enter(sender[0])
            if site is None:
                connection.close()
                continue
            protocol.entered(site)
            task = asyncio.create_task(self._agree(connection, protocol))
            self._agreeing.add(task)
            task.add_done_callback(self._agreeing.discard)

    async def _agree(self, connection: socket.socket, protocol: BoundedProtocol) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: protocol, connection, ssl=self._context, ssl_handshake_timeout=self._seconds
            )
        except OSError:
            pass  # no TLS, too slow, or gone
        finally:
            if protocol.transport is None:  # else it leaves when it ends
                protocol.leave()

    async def close(self) -> None:
        """Drop who has not agreed on keys yet."""
        tasks = list(self._agreeing)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
