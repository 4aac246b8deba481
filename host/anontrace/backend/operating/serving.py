"""Running servers: several in one process, each with its own listeners and store, in one event loop.

SIGTERM and SIGINT end them: no new requests, what runs is answered, stores are closed.
"""

import asyncio
import contextlib
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Container, Iterator, Sequence

import uvicorn
from starlette.types import ASGIApp

from anontrace.backend.config import HttpSettings, Server
from anontrace.backend.web import sockets
from anontrace.backend.web.connections import BoundedProtocol, Crowd
from anontrace.backend.web.sockets import BACKLOG
from anontrace.backend.web.tls import server_context
from anontrace.backend.web.tlsgate import TlsGate

from .copies import refuse_copy, refuse_twins
from .node import Node

_GRACE_SECONDS = 5
_LOOK_SECONDS = 0.2


class _Listener(uvicorn.Server):
    """uvicorn without its signal handlers, since several of them share a process; tells when it listens. Over TLS it
    accepts through a gate of ours."""

    def __init__(self, config: uvicorn.Config, tls: ssl.SSLContext | None, head_seconds: float) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()
        self.closing = asyncio.Event()
        self._tls = tls
        self._head_seconds = head_seconds
        self._gates: list[TlsGate] = []
        self._accepting: list[asyncio.Task[None]] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup([])
        for listening in sockets or ():
            if listening.family == socket.AF_UNIX:
                loop = asyncio.get_running_loop()
                self.servers.append(await loop.create_unix_server(self._make, sock=listening, backlog=BACKLOG))
            elif self._tls is None:
                loop = asyncio.get_running_loop()
                self.servers.append(await loop.create_server(self._make, sock=listening, backlog=BACKLOG))
            else:
                self._gates.append(TlsGate(listening, self._tls, self._make, self._head_seconds))
                self._accepting.append(asyncio.create_task(self._gates[-1].run()))
        self.listening.set()

    async def main_loop(self) -> None:
        """Nothing but waiting: what uvicorn does ten times a second is for settings that ours do not have."""
        await self.closing.wait()

    def _make(self) -> BoundedProtocol:
        made: BoundedProtocol = self.config.http_protocol_class(  # type: ignore[call-arg, assignment]  # see _protocol
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for task in self._accepting:
            task.cancel()
        await asyncio.gather(*self._accepting, return_exceptions=True)
        for gate in self._gates:
            await gate.close()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    servers: Sequence[Server], listening: Callable[[Server], None], ready: Callable[[Server], None]
) -> None:
    """Serve until a signal comes. `listening` is called for each server when it takes requests, `ready` when it knows
    the others, as /readyz says."""
    refuse_twins(servers)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with contextlib.AsyncExitStack() as stack:
        looks = [asyncio.create_task(refuse_copy(server)) for server in servers]  # each may take a while
        for look in looks:
            look.add_done_callback(lambda done: done.cancelled() or done.exception())  # not every one is waited for
            stack.callback(look.cancel)
        places: list[tuple[Server, list[list[socket.socket]]]] = []
        for server in _in_order(servers):
            doors = (
                sockets.bound(server.config),
                sockets.bound_for_staff(server),
                sockets.bound_for_portal(server.config),
            )
            places.append((server, [stack.enter_context(each) for each in doors]))
        for look in looks:
            await look
        for server, bound in places:  # what the first ask of the others waits until these start
            sockets.listen(server.config, [each for door in bound for each in door])
        nodes: list[tuple[Server, Node]] = []
        mute = {server.config.url for server in servers}
        for server, bound in places:
            nodes.append((server, await stack.enter_async_context(_running(server, bound, mute, stopping))))
            mute.discard(server.config.url)
            listening(server)
        telling = asyncio.create_task(_tell(nodes, ready))

        def ended(_: "asyncio.Task[None]") -> None:
            if not telling.cancelled() and telling.exception() is not None:
                stopping.set()

        telling.add_done_callback(ended)
        await stopping.wait()
        telling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await telling
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)


def _in_order(servers: Sequence[Server]) -> list[Server]:
    """Discovery first: the others publish their keys there when they start."""
    return sorted(servers, key=lambda each: "discovery" not in each.config.roles)


async def _tell(nodes: list[tuple[Server, Node]], ready: Callable[[Server], None]) -> None:
    """Call `ready` for each server once it is."""
    while nodes:
        for each in [each for each in nodes if each[1].is_ready]:
            nodes.remove(each)
            ready(each[0])
        await asyncio.sleep(_LOOK_SECONDS)


@contextlib.asynccontextmanager
async def _running(
    server: Server,
    bound: Sequence[list[socket.socket]],
    mute: Container[str],
    stopping: asyncio.Event,
) -> AsyncIterator[Node]:
    """A server that serves. `bound`: the sockets of its doors, in the order of the node's. `mute`: the addresses
    (URLs) of those that do not answer before this one does."""
    http = server.config.http
    tls = None if server.config.tls is None else server_context(server.folder, server.config.tls)
    node = await Node.open(server)
    try:
        await node.start(mute)
        async with contextlib.AsyncExitStack() as stack:
            doors = [
                await stack.enter_async_context(opened(app, places, tls, http, stopping))
                for app, places in zip(node.doors, bound, strict=True)
                if app is not None and places
            ]
            try:
                yield node
            finally:
                for door in doors:  # all at once: each takes a moment
                    door.closing.set()
    finally:
        await node.stop()


@contextlib.asynccontextmanager
async def opened(
    app: ASGIApp,
    bound: list[socket.socket],
    tls: ssl.SSLContext | None,
    http: HttpSettings,
    stopping: asyncio.Event,
) -> AsyncIterator[_Listener]:
    """One door of a server, open. `stopping` is set if it closes by itself."""
    listener = _Listener(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            date_header=False,  # ours is of anontrace.clock
            http=_protocol(http),
            ws="none",
            proxy_headers=False,  # ours is web.app.Sender
            timeout_keep_alive=http.idle_seconds,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        ),
        tls,
        http.head_seconds,
    )
    task = asyncio.create_task(listener.serve(bound))

    def ended(_: "asyncio.Task[None]") -> None:
        listener.listening.set()
        stopping.set()

    task.add_done_callback(ended)
    try:
        await listener.listening.wait()
        yield listener
    finally:
        listener.closing.set()
        await task


def _protocol(settings: HttpSettings) -> type[BoundedProtocol]:
    """The protocol with a server's own bounds."""

    class Protocol(BoundedProtocol):
        crowd = Crowd(settings)
        head_seconds = settings.head_seconds
        read_seconds = settings.read_seconds

    return Protocol
