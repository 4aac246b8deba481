"""Requests to the backend: timeouts, retries after a randomised pause, and one clear sentence on failure.

Owns the HTTP connections. Knows no formats; every request that is sent through here is safe to repeat. Answers are
bounded in bytes and in time, repeats included, whatever a server sends.
"""

import json
import random
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx

from anontrace.companion.errors import CertificateError, NoSuchThingError, OfflineError, RefusedError, SetupError
from anontrace.companion.network.proxy import shown_proxy
from anontrace.foreign import exchange
from anontrace.foreign.lines import plain
from anontrace.wire import trust

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 30.0  # of nothing
WHOLE_SECONDS = 90.0  # for a request and its repeats, from the name that is resolved to the last byte of the answer
PROBE_SECONDS = 15.0
MAX_ANSWER = 16 << 20  # bytes; no answer is longer
MAX_PROBE = 1 << 16
ATTEMPTS = 4
TOO_OFTEN_MINUTES = 10  # for which a server counts, wrong tokens for example
FIRST_PAUSE = 0.4  # the mean of the first pause; doubles each time

_OCTETS = "application/octet-stream"
_MENDS = {  # by what is wrong with a certificate
    trust.TIME: "set this computer's date and time if they are wrong; if not, the server's operator has to renew it",
    trust.HOST: "another server answers there, or its operator has to mend it; nothing was sent",
    trust.SIGNER: "log in to the Wi-Fi if it asks for that; else ask for a new network file, or the server's operator",
    trust.OTHER: "its operator has to mend it; nothing was sent",
}
_ELSEWHERE = frozenset((301, 302, 303, 307, 308))
_TRY_AGAIN = frozenset((408, 425, 429, 500, 502, 503, 504))


class Client:
    """HTTP to servers, each addressed by what the wearer calls it and its URL."""

    def __init__(self, proxy: str | None = None, ca: str | None = None) -> None:
        self._proxy = proxy
        self._ca = ca
        self._by_scheme: dict[str, httpx.Client] = {}
        self.carried = [0, 0, 0]  # requests, and bytes of bodies: sent, received

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
                uses_tls = scheme != "http" or self._proxy is not None
                self._by_scheme[scheme] = httpx.Client(
                    transport=exchange.Transport(trust.small_context(self._ca) if uses_tls else None, self._proxy),
                    trust_env=False,  # only the proxy that the wearer chose
                    timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
                    headers={"user-agent": "anontrace"},
                    cookies=trust.no_cookies(),
                )
            except (ValueError, ImportError, httpx.InvalidURL) as error:
                # Only what an older companion has stored unchecked; the error repeats it, and with it a password.
                raise SetupError(
                    "the proxy cannot be used; set it again: anontrace init NETWORK --proxy URL"
                ) from error
        return self._by_scheme[scheme]

    def get(self, server: str, url: str, most: int | None = None) -> bytes:
        """The answer, of `most` bytes at most, or of as many as any has."""
        return self._request(server, "GET", url, None, None, most)

    def post(self, server: str, url: str, body: bytes) -> bytes:
        return self._request(server, "POST", url, body, _OCTETS)

    def probe(self, server: str, url: str) -> tuple[int, str | None]:
        """One request without a repeat: the status, and the Date that the server gave."""
        try:
            response = exchange.ask(
                self._client(urlsplit(url).scheme), "GET", url, seconds=PROBE_SECONDS, most=MAX_PROBE
            )
        except (httpx.TransportError, httpx.InvalidURL) as error:
            self._check_belief(server, url, error)
            said = f"{server} at {_host(url)} cannot be reached{self._way()}; {type(error).__name__}"
            raise OfflineError(said) from error
        return response.status_code, response.headers.get("date")

    def post_json(self, server: str, url: str, document: Mapping[str, Any]) -> bytes:
        return self._request(server, "POST", url, json.dumps(document).encode(), "application/json")

    def _request(
        self,
        server: str,
        method: str,
        url: str,
        body: bytes | None,
        content_type: str | None,
        most: int | None = None,
    ) -> bytes:
        headers = {"content-type": content_type} if content_type else None
        reason, status, end = "", 0, time.monotonic() + WHOLE_SECONDS
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(random.uniform(0.5, 1.5) * FIRST_PAUSE * 2 ** (attempt - 1))  # noqa: S311 - spreads retries
            self.carried[0] += 1
            self.carried[1] += len(body or b"")
            try:
                response = exchange.ask(
                    self._client(urlsplit(url).scheme), method, url, seconds=end - time.monotonic(),
                    most=most or MAX_ANSWER, content=body, headers=headers,
                )  # fmt: skip
            except exchange.TooLong as error:
                raise RefusedError(f"{server} answers without end; its operator should know") from error
            except exchange.Overdue:
                reason = reason or f"no answer within {WHOLE_SECONDS:.0f} seconds"
                break
            except httpx.InvalidURL as error:
                raise RefusedError(f"{server} has an address that cannot be used: {error}") from error
            except httpx.TransportError as error:
                self._check_belief(server, url, error)  # which no repeat would change
                reason, status = "no connection" if isinstance(error, httpx.ConnectError) else "no answer", 0
                continue
            self.carried[2] += len(response.content)
            if (status := response.status_code) in _TRY_AGAIN:
                reason = f"it answers with status {status}"
                continue
            if status in _ELSEWHERE:
                raise RefusedError(
                    f"{server} is said to be at another address (status {status}), and nobody is followed; the address"
                    " has to be the one where it is"
                )
            if not response.is_success:
                kind = NoSuchThingError if response.status_code == httpx.codes.NOT_FOUND else RefusedError
                raise kind(f"{server} refuses: {_said(response)}")
            return response.content
        if status == httpx.codes.TOO_MANY_REQUESTS:
            raise OfflineError(
                f"{server} at {_host(url)} was asked too often of late from this connection; nothing is lost, try again"
                f" in {TOO_OFTEN_MINUTES} minutes"
            )
        if status:
            raise OfflineError(
                f"{server} at {_host(url)} does not serve now ({reason}); nothing is lost, try again later"
            )
        raise OfflineError(
            f"{server} at {_host(url)} cannot be reached{self._way()} ({reason}); nothing is lost, try again when you"
            " are online"
        )

    def _check_belief(self, server: str, url: str, error: Exception) -> None:
        """CertificateError if it is by its certificate that a server was not reached."""
        disbelief = trust.disbelief_in(error)
        if disbelief is not None:
            raise CertificateError(
                f"the certificate of {server} at {_host(url)} is not believed{self._way()}, {disbelief.said};"
                f" {_MENDS[disbelief.kind]}"
            ) from error

    def _way(self) -> str:
        return "" if self._proxy is None else f" through the proxy {shown_proxy(self._proxy)}"


def _said(response: httpx.Response) -> str:
    try:
        said = response.json()["error"]
    except (ValueError, KeyError, TypeError, RecursionError):
        said = None
    return plain(said) if isinstance(said, str) and said else f"status {response.status_code}"


def _host(url: str) -> str:
    return urlsplit(url).netloc or url
