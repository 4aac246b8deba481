"""Serving the page on loopback, for as long as it is open.

A name of its own under `localhost` keeps the cookie from other programs' pages on this computer: browsers give a cookie
to every port of a name. Both families of loopback are listened at: on a port of `::1` that is free, another user could
wait for the browser.
"""

import asyncio
import contextlib
import platform
import secrets
import socket
from collections.abc import Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

from anontrace.companion.errors import CompanionError

_LOOK_SECONDS = 0.25
_GRACE_SECONDS = 1
_TRIES = 20
_HOSTS = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))


def bound() -> tuple[list[socket.socket], str]:
    """Sockets on one free port of each family of loopback that there is, and the origin of what is served at them."""
    for _ in range(_TRIES):
        found: list[socket.socket] = []
        port = 0
        try:
            for family, host in _HOSTS:
                if (made := _bind(family, host, port)) is not None:
                    found.append(made)
                    port = port or int(made.getsockname()[1])
        except OSError:  # somebody has that port of the second one
            for each in found:
                each.close()
            continue
        if found:
            return found, f"http://{_name()}:{port}"
    raise CompanionError("no port of this computer's loopback is free; close some programs and try again")


def _bind(family: int, host: str, port: int) -> socket.socket | None:
    """None on a computer without this family."""
    try:
        made = socket.socket(family, socket.SOCK_STREAM)
    except OSError:
        return None
    try:
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if exclusive := getattr(socket, "SO_EXCLUSIVEADDRUSE", 0):  # Windows, where another could bind it too
            made.setsockopt(socket.SOL_SOCKET, exclusive, 1)
        made.bind((host, port))
        made.listen(64)
    except OSError:
        made.close()
        if family == socket.AF_INET6 and not _has_ipv6():
            return None
        raise
    return made


def _has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as tried:
        tried.bind(("::1", 0))
        return True
    return False


def _name() -> str:
    """A name that browsers find on this computer; on a Mac they ask its system, which may not."""
    name = f"a{secrets.token_hex(5)}.localhost"
    if platform.system() == "Darwin":
        try:
            socket.getaddrinfo(name, None)
        except OSError:
            return "127.0.0.1"
    return name


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the command's own ones end it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve(app: ASGIApp, sockets: list[socket.socket], is_over: Callable[[], bool], ready: Callable[[], None]) -> None:
    """Serve until it is over; `ready` is called when a browser may come."""

    async def until_over() -> None:
        server = _Server(
            uvicorn.Config(
                app, log_config=None, access_log=False, lifespan="off", server_header=False, date_header=False,
                ws="none", proxy_headers=False, http="h11", loop="asyncio", timeout_graceful_shutdown=_GRACE_SECONDS,
                log_level="critical",  # it says on the terminal that it was interrupted, which the wearer knows
            )
        )  # fmt: skip
        serving = asyncio.create_task(server.serve(sockets))
        while not server.started:  # noqa: ASYNC110 - uvicorn says it by this alone
            await asyncio.sleep(0.01)
        await asyncio.to_thread(ready)  # which may start a browser and wait for it, while it asks
        while not is_over() and not serving.done():  # noqa: ASYNC110 - time passes, and a thread ends
            await asyncio.sleep(_LOOK_SECONDS)
        server.should_exit = True
        await serving

    asyncio.run(until_over())
