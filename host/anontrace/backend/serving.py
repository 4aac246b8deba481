"""Running servers: several in one process, each with its own listener and store, in one event loop.

SIGTERM and SIGINT end them: no new requests, what runs is answered, stores are closed.
"""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

import uvicorn

from .config import Server
from .errors import ConfigError
from .node import Node

_GRACE_SECONDS = 5
_KEEP_ALIVE_SECONDS = 75
_MOST_CONNECTIONS = 4096
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
    listening = _bind(server)
    node = await Node.open(server)
    try:
        await node.start()
        listener = _Listener(
            uvicorn.Config(
                node.app,
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                date_header=False,  # ours is of anontrace.clock
                backlog=_BACKLOG,
                limit_concurrency=_MOST_CONNECTIONS,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
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


def _bind(server: Server) -> socket.socket:
    config = server.config
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((config.host, config.port))
    except OSError as error:
        listening.close()
        raise ConfigError(f"{config.name}: cannot listen on {config.listen}: {error.strerror}") from None
    return listening


def set_up_logging(debug: bool) -> None:
    """To standard error. No library may log requests: httpx and uvicorn would name addresses."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("anontrace").setLevel(logging.DEBUG if debug else logging.INFO)
    logging.getLogger("uvicorn.access").disabled = True
    if not debug:  # it would log the text of an exception, which may quote a request
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
