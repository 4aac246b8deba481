"""The other servers: where they are, by discovery's directory and the pinned keys; and talking to them.

Keeps the last directory in the store, so that a restart does not depend on discovery. Believes nothing that is not
signed by a pinned key (docs/protocol.md section 10).
"""

import asyncio
import logging
import random
import ssl
import time
from collections.abc import Container, Mapping, Sequence
from contextlib import suppress
from typing import Any

import httpx
from anontrace_shared.errors import AnontraceError

from anontrace import clock
from anontrace.backend.observing.clockcheck import CHECK_AGAIN_SECONDS, CHECK_SECONDS, ClockCheck
from anontrace.backend.web.http import OCTETS, reason_in, silence_in
from anontrace.mixnet import keydays
from anontrace.wire import catching_up, trust
from anontrace.wire import directory as directories
from anontrace.wire import mixes as wire_mixes
from anontrace.wire.content import Content
from anontrace.wire.description import Description
from anontrace.wire.directory import Directory
from anontrace.wire.mixes import Mix
from anontrace.wire.network import Network

from .errors import PeerError
from .store import Store

_log = logging.getLogger("anontrace.backend")

_TABLE, _KNOWN = "peers", b"known"
_OF_0_2 = b"directory"
_TIMEOUT = httpx.Timeout(15.0, connect=5.0)  # of one step; the whole of a request is bounded too
_LIMITS = httpx.Limits(max_connections=512, max_keepalive_connections=256, keepalive_expiry=120.0)
_MAX_ANSWER = 4 << 20  # bytes; no directory is longer
_REFRESH_SECONDS = 120.0
_ANEW_SECONDS = 60.0  # of our clock, after which it is judged anew which mixes are in force
_LOOK_SECONDS = 2.0
_SECONDS_BETWEEN_REFRESHES = 10.0
_MISSING_PART, _MAX_MISSING_SECONDS = 0.25, 120.0  # what is missing for long is asked for less and less often
_CLOCKS = 16  # asked for the time in one go
_COMPARISON_SECONDS = 3.0  # whoever has not answered by then does not count
_SECONDS_BETWEEN_COMPARISONS = 1.0


class _OverTls(httpx.AsyncBaseTransport):
    """Connections by TLS. Whose certificates are believed is read when the first is made: a network on one machine may
    need none, and reading the system's authorities takes a fifth of a second."""

    def __init__(self, ca: str | None) -> None:
        self._ca = ca
        self._transport: httpx.AsyncHTTPTransport | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._transport is None:
            self._transport = httpx.AsyncHTTPTransport(verify=trust.client_context(self._ca), limits=_LIMITS)
        return await self._transport.handle_async_request(request)

    async def aclose(self) -> None:
        if self._transport is not None:
            await self._transport.aclose()


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
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),  # believes nobody
            mounts={"https://": _OverTls(network.network.ca)},
            headers={"Accept-Encoding": "identity"},  # an answer is as long as what comes over the line
            cookies=trust.no_cookies(),
        )
        self._directory: Directory | None = None
        self._known: Mapping[int, Mix] = {}
        self._mixes: Mapping[int, Mix] = {}
        self._read_at = 0.0  # by which time they were in force
        self._compared = -_SECONDS_BETWEEN_COMPARISONS
        self._comparing: asyncio.Task[bool] | None = None
        self._tag = ("", "")  # of the answer to a path
        self._refreshed = -_REFRESH_SECONDS
        self._asking: asyncio.Task[None] | None = None
        self._doubtful = False
        self._is_old = False

    async def start(self) -> None:
        """Take up the directory that was current at the last stop."""
        await self._store.delete_many(_TABLE, [_OF_0_2])
        (value,) = await self._store.get_many(_TABLE, [_KNOWN])
        if value is None:
            return
        try:
            self._believe(directories.parse(value, self._network.discovery.key))
        except AnontraceError as error:
            # Of another discovery key than is pinned now: its history ends, and that of the new key begins.
            _log.warning("the directory kept from before is not used: %s", error)

    @property
    def mixes(self) -> Mapping[int, Mix]:
        """The mixes that are in force, or were within the last minute, by number. A wrong clock ends none."""
        now = clock.now()
        if abs(now - self._read_at) > _ANEW_SECONDS and not self.clock_is_wrong:
            self._mixes, self._read_at = wire_mixes.in_force(self._known.values(), now), now
        return self._mixes

    async def close(self) -> None:
        under_way = [task for task in (self._asking, self._comparing) if task is not None]
        for task in under_way:
            task.cancel()
        if under_way:
            await asyncio.wait(under_way)
        await self._http.aclose()

    @property
    def directory(self) -> str | None:
        """Which directory is believed, for people to compare; None before there is any."""
        return None if self._directory is None else self._directory.seen.shown

    @property
    def clock_is_wrong(self) -> bool:
        """Whether other servers disagree with our clock, by more than a server may be off, or have not been asked since
        it jumped."""
        return self._clock_check.is_wrong

    @property
    def held(self) -> float | None:
        """The time (unix seconds) by which something may be dropped or published; None if none may be now."""
        return self._clock_check.held

    async def clock_holds(self) -> bool:
        """Whether this server may go by its clock. If that has jumped, the others are asked first."""
        check = self._clock_check
        is_answer_old = check.has_jumped or time.monotonic() - self._compared >= _SECONDS_BETWEEN_COMPARISONS
        if check.in_question and is_answer_old:
            return await self.compare()
        return not check.is_wrong

    def knows(self, number: int) -> bool:
        """Whether a mix with this number is pinned in the network."""
        return number in self._network.pins

    def missing(self) -> list[int]:
        """The pinned mixes that are not known to be in force."""
        found = wire_mixes.in_force(self.mixes.values(), clock.now())
        return [number for number in self._network.pins if number not in found]

    def lacks(self, number: int, since: float) -> bool:
        """Whether a mix is not in force in discovery's directory, read after a monotonic time."""
        return self._refreshed > since and number not in self.mixes

    def described(self, number: int) -> Description | None:
        """What a mix says of itself by discovery's directory; None if it is not there."""
        found = self._known.get(number)
        return None if found is None else found.described

    def newest_key(self, number: int) -> float | None:
        """When the day of a mix' newest key begins (unix seconds), as the directory shows it; None of a mix that is not
        in it, or that makes no more keys."""
        found = self._known.get(number)
        if found is None or found.described.retiring:
            return None
        return keydays.begins(found.keys[-1].day)

    def table(self) -> list[dict[str, Any]]:
        """The pinned mixes, and what they say of themselves and others."""
        rows = []
        missing = self.missing()
        for number in sorted(self._network.pins):
            row: dict[str, Any] = {"number": number, "roles": list(self._network.pins[number].roles), "listed": False}
            found = self._known.get(number)
            if found is not None and number not in missing:
                row |= {"listed": True, "name": found.name, "described": found.described.issued}
                row |= {"newest_key_day": found.keys[-1].day, "lossy": list(found.lossy)}
                row |= {"retiring": found.described.retiring}
            rows.append(row)
        return rows

    async def keep_fresh(self) -> None:
        """Ask discovery now and then; soon, while a mix is missing, or led to a server that is not there.

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
            if is_due or (missing and age >= min(_MISSING_PART * (now - since), _MAX_MISSING_SECONDS)):
                await self.refresh()
            await asyncio.sleep(_LOOK_SECONDS)

    async def refresh(self) -> None:
        """Ask discovery for its directory, unless our clock is wrong: no directory can be checked by that. PeerError if
        it does not answer or cannot be believed. Who comes while it is being asked has that answer too: two of
        different age that overtake each other would look like a fork."""
        if not await self.clock_holds():
            return
        asking = self._asking
        if asking is None or asking.done():
            asking = self._asking = asyncio.create_task(self._refresh())
            asking.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # who asked may be gone
        await asyncio.shield(asking)

    async def _refresh(self) -> None:
        asking = catching_up.catch_up(self._directory, self._network.discovery.key, clock.now())
        path, tag = next(asking), self._tag
        try:
            while True:
                answer = await self._asked(path)
                if answer is None:
                    self._tell_age()
                    return
                is_found = answer.status_code != httpx.codes.NOT_FOUND
                etag = answer.headers.get("etag", "")
                tag = (path, etag) if etag.isascii() else ("", "")  # one that cannot be sent back would end all asking
                path = asking.send(answer.content if is_found else None)
        except StopIteration as end:
            caught: catching_up.Caught = end.value
        except AnontraceError as error:
            if isinstance(error, PeerError):
                raise
            raise PeerError(f"discovery: {error}") from None
        if not caught.checked:
            _log.warning(
                "the directory kept from before is more than %d days old: whether discovery's history is still the same"
                " cannot be checked; the new one is trusted by its signature alone",
                directories.KEPT_DAYS,
            )
        self._believe(caught.directory)
        self._tell_age()
        self._tag = tag
        await self._store.put_many(_TABLE, [(_KNOWN, caught.directory.encode())])

    async def _asked(self, path: str) -> httpx.Response | None:
        """What discovery answers; None if there is nothing new. PeerError if it is not there, or of another time."""
        headers = {"If-None-Match": self._tag[1]} if self._tag[0] == path and self._tag[1] else {}
        answer = await self.request("discovery", "GET", f"{self._network.discovery.url}{path}", headers=headers)
        if answer.status_code == httpx.codes.NOT_MODIFIED:
            self._refreshed, self._doubtful = time.monotonic(), False
            return None
        if answer.status_code == httpx.codes.NOT_FOUND:
            if path == catching_up.WHOLE:
                raise PeerError("discovery: it is older than this server, and has no directory that this one can read")
            return answer
        self._check(answer, "discovery")
        self._refreshed, self._doubtful = time.monotonic(), False
        return answer

    def _believe(self, directory: Directory) -> None:
        self._directory, self._read_at = directory, clock.now()
        # By the time of the directory: by whatever our clock says, the mixes can be asked for the time.
        latest = max(self._read_at, directory.head.issued)
        self._known = wire_mixes.known(directory.content, self._network.pins, latest).mixes
        self._mixes = wire_mixes.in_force(self._known.values(), self._read_at)

    def _tell_age(self) -> None:
        """Say once that discovery has nothing new, although every mix announces a key every day."""
        was_old = self._is_old
        issued = None if self._directory is None else self._directory.head.issued
        self._is_old = issued is not None and clock.now() - issued > directories.OLD_SECONDS
        if self._is_old and not was_old:
            _log.warning("discovery's directory is more than a day old; it may be keeping newer ones back")

    async def publish(self, number: int, made: Content) -> None:
        """Hand this server's description and announcements to discovery."""
        url = f"{self._network.discovery.url}/v2/announcements/{number}"
        await self._request("discovery", "PUT", url, content=made.encode(), headers={"Content-Type": OCTETS})

    async def send_messages(self, number: int, messages: Sequence[bytes]) -> None:
        """Hand messages (380 each, at most 256) to a mix. PeerError unless it says that it has taken them: 202, which
        no page is that somebody on the way answers with."""
        url = f"{await self._url(number)}/v1/messages"
        body, headers = b"".join(messages), {"Content-Type": OCTETS}
        try:
            answer = await self._request(f"mix {number}", "POST", url, content=body, headers=headers)
            if answer.status_code != httpx.codes.ACCEPTED:
                raise PeerError(f"mix {number}: answers {answer.status_code}, which is not how a mix takes messages")
        except PeerError:
            self._doubtful = True  # it may have moved
            raise

    async def nymserver_url(self) -> str:
        """Where the network's nymserver is."""
        return await self._url(self._network.with_role("nymserver")[0])

    async def _url(self, number: int) -> str:
        if number not in self._known:
            await self.refresh()
        found = self._known.get(number)
        if found is None:
            raise PeerError(f"mix {number}: it is not in discovery's directory")
        return found.url

    async def request(self, who: str, method: str, url: str, most: int = _MAX_ANSWER, **details: Any) -> httpx.Response:
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
            await self.compare()

    async def compare(self, mute: Container[str] = ()) -> bool:
        """Ask them now, for some seconds, whoever does not answer; whether our clock is right. Who comes while they are
        being asked has that answer too. `mute`: the addresses (URLs) of those that are known not to answer."""
        comparing = self._comparing
        if comparing is None or comparing.done():
            comparing = self._comparing = asyncio.create_task(self._compare(mute))
        return await asyncio.shield(comparing)

    async def _compare(self, mute: Container[str]) -> bool:
        began = time.monotonic()
        chosen = random.sample(sorted(self._known), min(_CLOCKS, len(self._known)))
        asked = [("discovery", self._network.discovery.url), *((f"mix {n}", self._known[n].url) for n in chosen)]
        tasks = {
            who: asyncio.create_task(self._ask_time(who, f"{url}/healthz"))
            for who, url in asked
            if url != self._own_url and url not in mute
        }
        try:
            if tasks:
                await asyncio.wait(tasks.values(), timeout=_COMPARISON_SECONDS)
            slow = [who for who, task in tasks.items() if not task.done()]
        finally:
            for task in tasks.values():
                task.cancel()
        if any(task.result() for who, task in tasks.items() if who not in slow):
            self._clock_check.forget_before(began, slow)
        self._compared = time.monotonic()
        return self._clock_check.judge(began)

    async def _ask_time(self, who: str, url: str) -> bool:
        """Whether it answered; `request` has noted its Date."""
        with suppress(PeerError):
            await self.request(who, "GET", url)
            return True
        return False

    async def _request(self, who: str, method: str, url: str, **details: Any) -> httpx.Response:
        answer = await self.request(who, method, url, **details)
        self._check(answer, who)
        return answer

    @staticmethod
    def _check(answer: httpx.Response, who: str) -> None:
        """PeerError, with what it says, unless the answer is one of success."""
        if answer.is_success:
            return
        seconds = answer.headers.get("retry-after", "")
        reason = reason_in(answer.content)
        raise PeerError(
            f"{who}: answers {answer.status_code}{f' ({reason})' if reason else ''}",
            min(float(seconds), 300.0) if seconds.isascii() and seconds.isdigit() else None,
        )
