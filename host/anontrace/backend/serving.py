"""Running servers: several in one process, each with its own listener and store, in one event loop.

SIGTERM and SIGINT end them: no new requests, what runs is answered, stores are closed.
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

import uvicorn

from .config import HttpSettings, Server
from .connections import BoundedProtocol, Crowd
from .node import Node
from .sockets import bind
from .tls import server_context

_GRACE_SECONDS = 5
_BACKLOG = 2048


class _Listener(uvicorn.Server):
    """uvicorn without its signal handlers, since several of them share a process; tells when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

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
                ssl_context_factory=None if tls is None else lambda config, default: tls,
                timeout_keep_alive=http.idle_seconds,
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
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
