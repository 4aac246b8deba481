"""Requests to the backend: time-outs, retries with a randomised pause, and one sentence when it does not work out.

Owns the HTTP connections. Knows no formats; every request that is sent through here is safe to repeat. What a server
answers is bounded, whatever it means by it.
"""

import json
import random
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx

from anontrace.companion.errors import OfflineError, RefusedError, SetupError
from anontrace.wire import trust
from anontrace.wire.fields import plain

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 30.0
WHOLE_SECONDS = 180.0  # for an answer to come that comes in pieces
MOST_ANSWER = 16 << 20  # bytes; no answer is longer
ATTEMPTS = 4
FIRST_PAUSE = 0.4  # the mean of the first pause; doubles each time

PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")
_OCTETS = "application/octet-stream"
_TRY_AGAIN = frozenset((408, 425, 429, 500, 502, 503, 504))


def check_proxy(proxy: str) -> None:
    """SetupError unless this is the URL of a proxy. What is wrong with it is not repeated: it may hold a password."""
    try:
        parts = urlsplit(proxy)
        if parts.scheme in PROXY_SCHEMES and parts.hostname and parts.port != 0:
            return
    except ValueError:  # no number for a port, or an address in brackets that is none
        pass
    raise SetupError(
        f"the proxy is no URL like socks5h://127.0.0.1:9050; it begins with one of {', '.join(PROXY_SCHEMES)}"
    )


def shown_proxy(proxy: str) -> str:
    """A proxy as it may be shown: without user and password."""
    parts = urlsplit(proxy)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


class Client:
    """HTTP to servers, each addressed by what the wearer calls it and its URL."""

    def __init__(self, proxy: str | None = None, ca: str | None = None) -> None:
        self._proxy = proxy
        self._ca = ca
        self._by_scheme: dict[str, httpx.Client] = {}

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for client in self._by_scheme.values():
            client.close()

    def _client(self, scheme: str) -> httpx.Client:
        """Made when first needed; for plain HTTP without the 20 ms that it takes to load the certificates."""
        if scheme not in self._by_scheme:
            try:
                self._by_scheme[scheme] = httpx.Client(
                    proxy=self._proxy,
                    trust_env=False,  # only the proxy that the wearer chose
                    verify=trust.client_context(self._ca) if scheme != "http" or self._proxy is not None else False,
                    timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
                    headers={"user-agent": "anontrace", "accept-encoding": "identity"},
                    cookies=trust.no_cookies(),
                )
            except (ValueError, ImportError, httpx.InvalidURL) as error:
                # Only what an older companion has stored unchecked; the error repeats it, and with it a password.
                raise SetupError(
                    "the proxy cannot be used; set it again: anontrace init NETWORK --proxy URL"
                ) from error
        return self._by_scheme[scheme]

    def get(self, server: str, url: str) -> bytes:
        return self._request(server, "GET", url, None, None)

    def post(self, server: str, url: str, body: bytes) -> bytes:
        return self._request(server, "POST", url, body, _OCTETS)

    def probe(self, server: str, url: str) -> tuple[int, str | None]:
        """One request without a repeat: the status, and the Date that the server gave."""
        try:
            response = self._client(urlsplit(url).scheme).get(url)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            said = f"{server} at {_host(url)} cannot be reached{self._way()}; {type(error).__name__}"
            raise OfflineError(said) from error
        return response.status_code, response.headers.get("date")

    def post_json(self, server: str, url: str, document: Mapping[str, Any]) -> bytes:
        return self._request(server, "POST", url, json.dumps(document).encode(), "application/json")

    def _request(self, server: str, method: str, url: str, body: bytes | None, content_type: str | None) -> bytes:
        headers = {"content-type": content_type} if content_type else None
        reason = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(random.uniform(0.5, 1.5) * FIRST_PAUSE * 2 ** (attempt - 1))  # noqa: S311 - spreads retries
            try:
                response = self._ask(server, method, url, body, headers)
            except httpx.InvalidURL as error:
                raise RefusedError(f"{server} has an address that cannot be used: {error}") from error
            except httpx.TransportError as error:
                reason = "no connection" if isinstance(error, httpx.ConnectError) else "no answer"
                continue
            if response.status_code in _TRY_AGAIN:
                reason = f"it answers with status {response.status_code}"
                continue
            if not response.is_success:
                raise RefusedError(f"{server} refuses: {_said(response)}")
            return response.content
        raise OfflineError(
            f"{server} at {_host(url)} cannot be reached{self._way()} ({reason}); nothing is lost, try again when you"
            " are online"
        )

    def _way(self) -> str:
        return "" if self._proxy is None else f" through the proxy {shown_proxy(self._proxy)}"

    def _ask(
        self, server: str, method: str, url: str, body: bytes | None, headers: Mapping[str, str] | None
    ) -> httpx.Response:
        """One request and its whole answer, as it came. RefusedError if that is longer or slower than any real one."""
        deadline = time.monotonic() + WHOLE_SECONDS
        client, content = self._client(urlsplit(url).scheme), bytearray()
        with client.stream(method, url, content=body, headers=headers) as answer:
            for piece in answer.iter_raw():
                content += piece
                if len(content) > MOST_ANSWER or time.monotonic() > deadline:
                    raise RefusedError(f"{server} answers without end; its operator should know")
            kind = answer.headers.get("content-type", "")
        return httpx.Response(answer.status_code, headers={"content-type": kind}, content=bytes(content))


def _said(response: httpx.Response) -> str:
    try:
        said = response.json()["error"]
    except (ValueError, KeyError, TypeError, RecursionError):
        said = None
    return plain(said) if isinstance(said, str) and said else f"status {response.status_code}"


def _host(url: str) -> str:
    return urlsplit(url).netloc or url
