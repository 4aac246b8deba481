"""Asking a server from its own machine, by its folder: where it listens, past any proxy that stands before its URL."""

from dataclasses import dataclass
from ssl import SSLContext
from typing import Any
from urllib.parse import urlsplit

import httpx

from anontrace.wire import trust

from .config import Server

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read, not bound


@dataclass(frozen=True, slots=True)
class Place:
    """Where to ask. `name`: the host that certificates and the Host header name."""

    url: str
    name: str
    verify: SSLContext | bool

    @classmethod
    def of(cls, server: Server) -> "Place":
        """Where this server listens."""
        config = server.config
        host = _ANY.get(config.host, config.host)
        scheme = "http" if config.tls is None else "https"
        url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{config.port}"
        return cls(url, urlsplit(config.url).netloc, _verify(url, server.network.network.ca))

    @classmethod
    def outside(cls, server: Server) -> "Place":
        """Where others reach this server, or another worker of it."""
        url = server.config.url
        return cls(url, urlsplit(url).netloc, _verify(url, server.network.network.ca))

    @classmethod
    def at(cls, url: str) -> "Place":
        """A URL as it stands."""
        return cls(url, urlsplit(url).netloc, _verify(url, None))

    def request(self, method: str, path: str, timeout: float, **details: Any) -> httpx.Response:
        """The answer. httpx.HTTPError if there is none."""
        headers = {"Host": self.name, **details.pop("headers", {})}
        extensions = {"sni_hostname": urlsplit(f"//{self.name}").hostname}
        with httpx.Client(verify=self.verify, trust_env=False, timeout=timeout) as http:
            return http.request(method, self.url + path, headers=headers, extensions=extensions, **details)


def _verify(url: str, ca: str | None) -> SSLContext | bool:
    return trust.client_context(ca) if url.startswith("https:") else False
