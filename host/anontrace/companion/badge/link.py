"""A session with one badge: the Noise handshake, then one request at a time (docs/protocol.md, section 4).

Works over any pipe of bytes. Never finds or connects a badge, never decides what to ask it.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Protocol

from anontrace_shared import commands
from anontrace_shared.errors import AnontraceError
from anontrace_shared.session import CompanionSession

from anontrace.companion.errors import BadgeLinkError, BadgeRefusedError

HANDSHAKE_SECONDS = 20.0  # a badge needs about a second for its two scalar multiplications
ANSWER_SECONDS = 20.0  # flash may have to be erased first

_REFUSALS = {
    commands.MALFORMED: "the badge did not understand the request; update its firmware or this program",
    commands.NOT_PROVISIONED: "the badge is not provisioned yet; run: anontrace badge provision",
    commands.REFUSED: "the badge refused the request in the state it is in",
    commands.NO_SUCH_THING: "the badge does not have what was asked for",
    commands.STORAGE_FAILED: "the badge could not read or write its flash",
}


class Pipe(Protocol):
    """Bytes to and from a badge."""

    async def write(self, data: bytes) -> None:
        """Hand over all of `data`; BadgeLinkError when the connection is gone."""

    async def read(self) -> bytes:
        """The next bytes from the badge, at least one; BadgeLinkError when the connection is gone."""


class BadgeLink:
    """The requests that a badge answers. `open` first."""

    def __init__(self, pipe: Pipe, owner_key: bytes) -> None:
        self._pipe = pipe
        self._session = CompanionSession(owner_key)
        self._plaintexts: list[bytes] = []

    async def open(self) -> None:
        """Shake hands; BadgeLinkError when the other side does not prove the owner key."""
        await self._pipe.write(self._session.open())
        async with _deadline(
            HANDSHAKE_SECONDS, "the badge does not answer the handshake; it may have another owner key"
        ):
            while not self._session.established:
                await self._receive()

    async def ask(self, op: int, *values: Any) -> tuple[Any, ...]:
        """Send a request and return the values of its one response."""
        await self._send(op, values)
        answered: tuple[Any, ...] = (await self._answer(op)).values
        return answered

    async def stream(self, op: int, *values: Any) -> AsyncIterator[bytes]:
        """Send a request whose response comes in several frames; yields the bytes of each as it arrives."""
        await self._send(op, values)
        while True:
            response = await self._answer(op)
            yield response.values[0]
            if response.status != commands.MORE:
                return

    async def info(self) -> Any:
        (info,) = await self.ask(commands.INFO)
        return info

    async def _send(self, op: int, values: tuple[Any, ...]) -> None:
        await self._pipe.write(self._session.send(commands.encode_request(op, *values)))

    async def _answer(self, op: int) -> Any:
        async with _deadline(ANSWER_SECONDS, "the badge does not answer"):
            while not self._plaintexts:
                await self._receive()
        try:
            response = commands.decode_response(self._plaintexts.pop(0))
        except AnontraceError as error:
            raise BadgeLinkError(f"the badge answers in a way that this program does not know ({error})") from error
        if response.op != op:
            raise BadgeLinkError("the badge answers another request than the one sent")
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
