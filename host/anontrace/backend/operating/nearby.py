"""Asking a server from its own machine, by its folder: where it listens, bypassing any proxy in front of its URL."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext
from typing import Any
from urllib.parse import urlsplit

import httpx

from anontrace.backend.config import Server, TcpPlace
from anontrace.backend.web import sockets
from anontrace.foreign import exchange
from anontrace.wire import trust

_MAX_ANSWER = 1 << 28  # bytes; a report has about 100 for each exposure
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read, not bound


@dataclass(frozen=True, slots=True)
class Place:
    """Where to ask. `name`: the host that certificates and the Host header name. `socket`: the file through which `url`
    is asked, if there is one."""

    url: str
    name: str
    verify: SSLContext | None
    socket: Path | None = None

    @classmethod
    def of(cls, server: Server) -> "Place":
        """Where this server listens for everybody."""
        return cls._at(server, server.config.listen_at)

    @classmethod
    def for_staff(cls, server: Server) -> "Place":
        """Where this server listens for staff and operators."""
        config = server.config
        if config.staff_at is not None:
            return cls._at(server, config.staff_at)
        return cls(f"http://{config.listen_at}", "localhost", None, server.folder / config.staff_listen)

    @classmethod
    def _at(cls, server: Server, place: TcpPlace) -> "Place":
        config = server.config
        host = _ANY.get(place.host, place.host)
        url = f"{'http' if config.tls is None else 'https'}://{TcpPlace(host, place.port)}"
        return cls(url, urlsplit(config.url).netloc, _verify(url, server.network.network.ca))

    @classmethod
    def outside(cls, server: Server) -> "Place":
        """Where others reach this server, or another worker of it."""
        return cls.in_network(server, server.config.url)

    @classmethod
    def in_network(cls, server: Server, url: str) -> "Place":
        """Where one of the servers of this server's network is."""
        return cls(url, urlsplit(url).netloc, _verify(url, server.network.network.ca))

    @classmethod
    def at(cls, url: str) -> "Place":
        """A URL as it stands."""
        return cls(url, urlsplit(url).netloc, _verify(url, None))

    @property
    def where(self) -> str:
        """What to call it in errors."""
        return self.url if self.socket is None else str(self.socket)

    def request(self, method: str, path: str, seconds: float, **details: Any) -> httpx.Response:
        """The whole answer, within so many seconds. httpx.HTTPError if there is none, ConfigError if the socket file is
        out of reach."""
        headers = {"Host": self.name, **details.pop("headers", {})}
        extensions = {"sni_hostname": urlsplit(f"//{self.name}").hostname}
        with ExitStack() as stack:
            short = None if self.socket is None else stack.enter_context(sockets.reachable(self.socket))
            transport = exchange.Transport(self.verify, file=short)
            http = stack.enter_context(httpx.Client(transport=transport, trust_env=False, timeout=seconds))
            return exchange.ask(
                http, method, self.url + path, seconds=seconds, most=_MAX_ANSWER, headers=headers,
                extensions=extensions, **details,
            )  # fmt: skip


def title(name: str) -> str:
    """What a server of this name calls itself in /openapi.json."""
    return f"Anontrace {name}"


def _verify(url: str, ca: str | None) -> SSLContext | None:
    return trust.client_context(ca) if url.startswith("https:") else None
