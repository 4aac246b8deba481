"""Running servers: several in one process, each with its own listener and store, in one event loop.

SIGTERM and SIGINT end them: no new requests, what runs is answered, stores are closed.
"""

import asyncio
import contextlib
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

import uvicorn

from .config import HttpSettings, Server
from .connections import BoundedProtocol, Crowd
from .node import Node
from .sockets import bind
from .tls import server_context
from .tlsgate import TlsGate

_GRACE_SECONDS = 5
_BACKLOG = 2048


class _Listener(uvicorn.Server):
    """uvicorn without its signal handlers, since several of them share a process; tells when it listens. Over TLS it
    accepts through a gate of ours."""

    def __init__(self, config: uvicorn.Config, tls: ssl.SSLContext | None, head_seconds: float) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()
        self._tls = tls
        self._head_seconds = head_seconds
        self._gate: TlsGate | None = None
        self._accepting: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if self._tls is None:
            await super().startup(sockets)
        else:
            await super().startup([])
            assert sockets is not None and len(sockets) == 1
            sockets[0].listen(_BACKLOG)
            self._gate = TlsGate(sockets[0], self._tls, self._make, self._head_seconds)
            self._accepting = asyncio.create_task(self._gate.run())
        self.listening.set()

    def _make(self) -> BoundedProtocol:
        made: BoundedProtocol = self.config.http_protocol_class(  # type: ignore[call-arg, assignment]  # see _protocol
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._accepting is not None and self._gate is not None:
            self._accepting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._accepting
            await self._gate.close()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(servers: Sequence[Server], ready: Callable[[Server], None]) -> None:
    """Serve until a signal comes. `ready` is called for each server when it listens."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with contextlib.AsyncExitStack() as stack:
        for server in servers:
            await stack.enter_async_context(_running(server, stopping))
            ready(server)
        await stopping.wait()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)


@contextlib.asynccontextmanager
async def _running(server: Server, stopping: asyncio.Event) -> AsyncIterator[None]:
    tls = None if server.config.tls is None else server_context(server.folder, server.config.tls)
    listening = bind(server.config)
    node = await Node.open(server)
    try:
        await node.start()
        http = server.config.http
        listener = _Listener(
            uvicorn.Config(
                node.app,
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                date_header=False,  # ours is of anontrace.clock
                backlog=_BACKLOG,
                http=_protocol(http),
                ws="none",
                proxy_headers=bool(http.forwarded_from),
                forwarded_allow_ips=http.forwarded_from,
                timeout_keep_alive=http.idle_seconds,
                timeout_graceful_shutdown=_GRACE_SECONDS,
            ),
            tls,
            http.head_seconds,
        )
        task = asyncio.create_task(listener.serve([listening]))

        def ended(_: "asyncio.Task[None]") -> None:
            listener.listening.set()
            stopping.set()

        task.add_done_callback(ended)
        try:
            await listener.listening.wait()
            yield
        finally:
            listener.should_exit = True
            await task
    finally:
        await node.stop()
        listening.close()


def _protocol(settings: HttpSettings) -> type[BoundedProtocol]:
    """The protocol with a server's own bounds."""

    class Protocol(BoundedProtocol):
        crowd = Crowd(settings)
        head_seconds = settings.head_seconds
        read_seconds = settings.read_seconds

    return Protocol
