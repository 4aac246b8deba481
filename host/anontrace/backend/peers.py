"""The other servers: where they are, by discovery's directory and the pinned keys; and talking to them.

Keeps the last directory in the store, so that a restart does not depend on discovery. Believes nothing that is not
signed by a pinned key (docs/protocol.md section 10).
"""

import asyncio
import logging
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import httpx
from anontrace_shared.errors import AnontraceError

from anontrace import clock
from anontrace.wire import directory as directories
from anontrace.wire import trust
from anontrace.wire.directory import Directory, Seen
from anontrace.wire.keylist import KeyList
from anontrace.wire.network import Network
from anontrace.wire.signed import Signed

from .clockcheck import CHECK_AGAIN_SECONDS, CHECK_SECONDS, ClockCheck
from .errors import PeerError
from .http import JSON, OCTETS, reason_in, silence_in
from .store import Store

_log = logging.getLogger("anontrace.backend")

_TABLE, _DIRECTORY = "peers", b"directory"
_TIMEOUT = httpx.Timeout(15.0, connect=5.0)  # of one step; the whole of a request is bounded too
_LIMITS = httpx.Limits(max_connections=512, max_keepalive_connections=256, keepalive_expiry=120.0)
_MOST_ANSWER = 4 << 20  # bytes; no directory is longer
_REFRESH_SECONDS = 600.0
_LOOK_SECONDS = 2.0
_SECONDS_BETWEEN_REFRESHES = 10.0
_MISSING_PART, _MOST_MISSING_SECONDS = 0.25, 120.0  # what is missing for long is asked for less and less often
_CLOCKS = 16  # asked for the time in one go
_FIRST_COMPARISON_SECONDS = 3.0


class Peers:
    """What one server knows of the others, and its connections to them. `own_url`: where others reach it; `patience`:
    seconds for a request in all."""

    def __init__(self, store: Store, network: Network, clock_check: ClockCheck, own_url: str, patience: float) -> None:
        self._store = store
        self._network = network
        self._clock_check = clock_check
        self._own_url = own_url
        self._patience = patience
        self._http = httpx.AsyncClient(
            timeout=_TIMEOUT,
            limits=_LIMITS,
            trust_env=False,
            verify=trust.client_context(network.network.ca),
            headers={"Accept-Encoding": "identity"},  # an answer is as long as what comes over the line
            cookies=trust.no_cookies(),
        )
        self._lists: Mapping[int, KeyList] = {}
        self._seen: Seen | None = None
        self._tag: str | None = None
        self._refreshed = -_REFRESH_SECONDS
        self._asking: asyncio.Task[None] | None = None
        self._doubtful = False
        self._is_old = False

    async def start(self) -> None:
        """Take up the directory that was current at the last stop."""
        (value,) = await self._store.get_many(_TABLE, [_DIRECTORY])
        if value is None:
            return
        try:
            self._believe(directories.verify(directories.read(value), self._network.discovery.key))
        except AnontraceError as error:
            # Of another discovery key than is pinned now: its history ends, and that of the new key begins.
            _log.warning("the directory kept from before is not used: %s", error)

    @property
    def lists(self) -> Mapping[int, KeyList]:
        """The key lists that were in force when the directory was read, by number."""
        return self._lists

    async def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])
        await self._http.aclose()

    @property
    def directory(self) -> str | None:
        """Which directory is believed, for people to compare; None before there is any."""
        return None if self._seen is None else self._seen.shown

    @property
    def clock_is_right(self) -> bool:
        """Whether other servers agree with our clock."""
        return self._clock_check.is_right

    @property
    def clock_is_wrong(self) -> bool:
        """Whether other servers disagree with our clock, by more than a server may be off."""
        return self._clock_check.is_wrong

    def knows(self, number: int) -> bool:
        """Whether a mix with this number is pinned in the network."""
        return number in self._network.pins

    def missing(self) -> list[int]:
        """The pinned mixes of which no key list in force is known."""
        now = clock.now()
        return [
            number for number in self._network.pins if number not in self._lists or self._lists[number].expires <= now
        ]

    def table(self) -> list[dict[str, Any]]:
        """The pinned mixes, and what their key lists say."""
        rows = []
        for number in sorted(self._network.pins):
            found = self._lists.get(number)
            row: dict[str, Any] = {"number": number, "roles": list(self._network.pins[number].roles), "listed": False}
            if found is not None and found.expires > clock.now():
                row |= {"listed": True, "name": found.name, "issued": found.issued, "expires": found.expires}
                row |= {"newest_key_day": found.keys[-1].day, "losses": dict(found.losses)}
            rows.append(row)
        return rows

    async def keep_fresh(self) -> None:
        """Ask discovery now and then; soon, while a list is missing, has expired, or led to a server that is not there.

        Raises PeerError when discovery cannot be asked; to be started again then.
        """
        missing: list[int] = []
        since = time.monotonic()
        while True:
            now = time.monotonic()
            if (still := self.missing()) != missing:
                missing, since = still, now
            age = now - self._refreshed
            is_due = age > _REFRESH_SECONDS or (self._doubtful and age > _SECONDS_BETWEEN_REFRESHES)
            if is_due or (missing and age >= min(_MISSING_PART * (now - since), _MOST_MISSING_SECONDS)):
                await self.refresh()
            await asyncio.sleep(_LOOK_SECONDS)

    async def refresh(self) -> None:
        """Ask discovery for its directory. PeerError if it does not answer or cannot be believed. Who comes while it is
        being asked has that answer too: two of different age that overtake each other would look like a fork."""
        asking = self._asking
        if asking is None or asking.done():
            asking = self._asking = asyncio.create_task(self._refresh())
            asking.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # who asked may be gone
        await asyncio.shield(asking)

    async def _refresh(self) -> None:
        headers = {} if not self._tag else {"If-None-Match": self._tag}
        answer = await self._request("discovery", "GET", f"{self._network.discovery.url}/v1/directory", headers=headers)
        self._refreshed = time.monotonic()
        self._doubtful = False
        if answer.status_code == httpx.codes.NOT_MODIFIED:
            self._tell_age()
            return
        try:
            directory = directories.verify(directories.read(answer.content), self._network.discovery.key)
            await self._follow(directory)
        except AnontraceError as error:
            raise PeerError(f"discovery: {error}") from None
        self._believe(directory)
        self._tell_age()
        tag = answer.headers.get("etag", "")
        self._tag = tag if tag.isascii() else None  # what cannot be sent back would end every request from now on
        await self._store.put_many(_TABLE, [(_DIRECTORY, answer.content)])

    async def _follow(self, directory: Directory) -> None:
        """ForkError unless discovery shows that this directory continues the last one, or that is too long ago."""
        now, heads = clock.now(), list[str]()
        for page in directories.pages(self._seen, directory, now):
            url = f"{self._network.discovery.url}/v1/directory/chain/{page}"
            heads += directories.read_page((await self._request("discovery", "GET", url)).content)
        if not directories.follow(self._seen, directory, heads, now):
            _log.warning(
                "the directory kept from before is more than %d days old: whether discovery's history is still the same"
                " cannot be checked; the new one is trusted by its signature alone",
                directories.KEPT_DAYS,
            )

    def _believe(self, directory: Directory) -> None:
        self._seen = directory.seen
        self._lists = directories.usable(directory, self._network.pins, clock.now()).lists

    def _tell_age(self) -> None:
        """Say once that discovery has nothing new, although every mix publishes every few hours."""
        was_old = self._is_old
        self._is_old = self._seen is not None and clock.now() - self._seen.issued > directories.OLD_SECONDS
        if self._is_old and not was_old:
            _log.warning("discovery's directory is more than a day old; it may be keeping newer ones back")

    async def publish(self, number: int, envelope: Signed) -> None:
        """Hand this server's signed key list to discovery."""
        url = f"{self._network.discovery.url}/v1/lists/{number}"
        await self._request("discovery", "PUT", url, content=envelope.to_json(), headers={"Content-Type": JSON})

    async def send_messages(self, number: int, messages: Sequence[bytes]) -> None:
        """Hand messages (380 each, at most 256) to a mix. PeerError unless it has taken them."""
        url = f"{await self._url(number)}/v1/messages"
        body, headers = b"".join(messages), {"Content-Type": OCTETS}
        try:
            await self._request(f"mix {number}", "POST", url, content=body, headers=headers)
        except PeerError:
            self._doubtful = True  # it may have moved
            raise

    async def nymserver_url(self) -> str:
        """Where the network's nymserver is."""
        return await self._url(self._network.with_role("nymserver")[0])

    async def _url(self, number: int) -> str:
        if number not in self._lists:
            await self.refresh()
        found = self._lists.get(number)
        if found is None:
            raise PeerError(f"mix {number}: discovery has no key list of it")
        return found.url

    async def request(
        self, who: str, method: str, url: str, most: int = _MOST_ANSWER, **details: Any
    ) -> httpx.Response:
        """Any answer of another server, an error too. PeerError if there is none, or none of at most `most` bytes, or
        none within the time: one that reads or answers a byte at a time costs us that much, and no more."""
        before = clock.now()
        try:
            async with asyncio.timeout(self._patience), self._http.stream(method, url, **details) as answer:
                body = bytearray()
                async for piece in answer.aiter_raw():
                    body += piece
                    if len(body) > most:
                        raise PeerError(f"{who}: its answer is too long")
        except TimeoutError:
            raise PeerError(f"{who}: takes too long to answer") from None
        except httpx.HTTPError as error:
            raise PeerError(f"{who}: does not answer ({silence_in(error)})") from None
        if not url.startswith(f"{self._own_url}/"):  # we always agree with ourselves
            self._clock_check.observe(who, answer.headers.get("date"), before, clock.now())
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise PeerError(f"{who}: its answer is encoded in a way that was not asked for")
        return httpx.Response(answer.status_code, headers=answer.headers, content=bytes(body), request=answer.request)

    async def compare_clocks(self) -> None:
        """Ask discovery and some of the mixes for the time, now and then; often while it is not right."""
        while True:
            alone = self._clock_check.is_wrong or not self._clock_check.observed
            await asyncio.sleep(CHECK_AGAIN_SECONDS if alone else CHECK_SECONDS)
            await self._compare_clocks()

    async def first_comparison(self) -> None:
        """The same once, before anything is done by our clock; for some seconds, whoever does not answer."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_COMPARISON_SECONDS):
                await self._compare_clocks()

    async def _compare_clocks(self) -> None:
        began = time.monotonic()
        places = {f"mix {number}": each.url for number, each in self._lists.items()}
        chosen = random.sample(sorted(places), min(_CLOCKS, len(places)))
        asked = [("discovery", self._network.discovery.url), *((who, places[who]) for who in chosen)]
        found = await asyncio.gather(
            *(self.request(who, "GET", f"{url}/healthz") for who, url in asked), return_exceptions=True
        )
        if not all(isinstance(each, BaseException) for each in found):
            self._clock_check.forget_before(began)

    async def _request(self, who: str, method: str, url: str, **details: Any) -> httpx.Response:
        answer = await self.request(who, method, url, **details)
        if answer.is_success or answer.status_code == httpx.codes.NOT_MODIFIED:
            return answer
        seconds = answer.headers.get("retry-after", "")
        reason = reason_in(answer.content)
        raise PeerError(
            f"{who}: answers {answer.status_code}{f' ({reason})' if reason else ''}",
            min(float(seconds), 300.0) if seconds.isascii() and seconds.isdigit() else None,
        )
