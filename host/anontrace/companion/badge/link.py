"""A session with one badge: the Noise handshake, then one request at a time (docs/protocol.md, section 4).

Works over any pipe of bytes. Never finds or connects a badge, never decides what to ask it. Every request ends,
whatever the badge does: an answer has a time limit, and may have no more bytes than were asked for.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, Protocol

from anontrace_shared import commands
from anontrace_shared.errors import AnontraceError
from anontrace_shared.session import CompanionSession

from anontrace.companion.errors import BadgeAnswerError, BadgeLinkError, BadgeRefusedError

HANDSHAKE_SECONDS = 20.0  # a badge needs about a second for its two scalar multiplications
ANSWER_SECONDS = 20.0  # for each frame of an answer; flash may have to be erased first
STREAM_SECONDS = 30.0  # for all frames of an answer, and beside that what their bytes take:
SLOWEST = 500  # bytes a second; a badge nearby gives thirty times as many
MAX_CRASH_LOG = 1 << 16  # bytes; the reference badge keeps 4096

_REFUSALS = {
    commands.MALFORMED: "the badge did not understand the request; update its firmware or this program",
    commands.NOT_PROVISIONED: "the badge is not provisioned yet; run: anontrace badge provision",
    commands.REFUSED: "the badge refused the request in the state it is in",
    commands.NO_SUCH_THING: "the badge does not have what was asked for",
    commands.STORAGE_FAILED: "the badge could not read or write its flash",
}
_SILENT = "the badge does not answer"


class Pipe(Protocol):
    """Bytes to and from a badge. `advertised` are the 20 bytes, K or beacon, by which it was found."""

    advertised: bytes

    async def write(self, data: bytes) -> None:
        """Hand over all of `data`; BadgeLinkError when the connection is gone."""

    async def read(self) -> bytes:
        """The next bytes from the badge, at least one; BadgeLinkError when the connection is gone."""


class BadgeLink:
    """The requests that a badge answers. `open` first."""

    def __init__(self, pipe: Pipe, owner_key: bytes) -> None:
        self._pipe = pipe
        self._session = CompanionSession(owner_key, pipe.advertised)
        self._plaintexts: list[bytes] = []

    async def open(self) -> None:
        """Shake hands; BadgeLinkError when the other side does not prove the owner key."""
        async with _deadline(
            HANDSHAKE_SECONDS, "the badge does not answer the handshake; it may have another owner key"
        ):
            await self._pipe.write(self._session.open())
            while not self._session.established:
                await self._receive()

    async def ask(self, op: int, *values: Any) -> tuple[Any, ...]:
        """Send a request and return the values of its one response."""
        await self._send(op, values)
        answered: tuple[Any, ...] = (await self._answer(op, ANSWER_SECONDS)).values
        return answered

    async def stream(self, op: int, *values: Any) -> AsyncIterator[bytes]:
        """Send a request whose response comes in several frames; yields the bytes of each as it arrives.

        BadgeAnswerError at more bytes than were asked for, or a frame of none that is not the last; BadgeLinkError when
        they do not all come within the time.
        """
        left = values[2] if op == commands.LOG_READ else MAX_CRASH_LOG
        end = time.monotonic() + STREAM_SECONDS + left / SLOWEST
        await self._send(op, values)
        while True:
            response = await self._answer(op, min(ANSWER_SECONDS, end - time.monotonic()))
            (data,) = response.values
            left -= len(data)
            if left < 0 or (response.status == commands.MORE and not data):
                raise BadgeAnswerError("the badge sends more than it was asked for; update its firmware")
            yield data
            if response.status != commands.MORE:
                return

    async def info(self) -> Any:
        (info,) = await self.ask(commands.INFO)
        return info

    async def _send(self, op: int, values: tuple[Any, ...]) -> None:
        if self._plaintexts:
            raise BadgeAnswerError("the badge answers without being asked; update its firmware")
        async with _deadline(ANSWER_SECONDS, _SILENT):
            await self._pipe.write(self._session.send(commands.encode_request(op, *values)))

    async def _answer(self, op: int, seconds: float) -> Any:
        async with _deadline(seconds, _SILENT):
            while not self._plaintexts:
                await self._receive()
        try:
            response = commands.decode_response(self._plaintexts.pop(0))
        except AnontraceError as error:
            raise BadgeAnswerError(f"the badge answers in a way that this program does not know ({error})") from error
        if response.op != op:
            raise BadgeAnswerError("the badge answers another request than the one sent")
        if response.status not in (commands.DONE, commands.MORE):
            raise BadgeRefusedError(_REFUSALS[response.status])
        return response

    async def _receive(self) -> None:
        data = await self._pipe.read()
        try:
            self._plaintexts += self._session.receive(data)
        except AnontraceError as error:
            raise BadgeLinkError(
                "what the badge sends does not authenticate: wrong owner key, or a disturbed link"
            ) from error


class _deadline:
    """asyncio.timeout that ends in a BadgeLinkError with a sentence."""

    def __init__(self, seconds: float, sentence: str) -> None:
        self._timeout = asyncio.timeout(seconds)
        self._sentence = sentence

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(self, *failure: Any) -> None:
        try:
            await self._timeout.__aexit__(*failure)
        except TimeoutError as error:
            raise BadgeLinkError(self._sentence) from error
