"""One node of the cluster: commands go to it in batches over kept-open connections, writes with one WAIT a batch.

Tells apart what was certainly not executed from what may have been. Knows nothing of slots, tables or queues.
"""

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hiredis import pack_command
from redis.asyncio import Connection, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, BusyLoadingError, RedisError, ResponseError

from anontrace.wire import trust

_MAX_IN_ONE_BATCH = 256
_CONNECT_SECONDS = 3.0
_ANSWER_SECONDS = 15.0
_WAIT_MILLISECONDS = 500
_COPY_SECONDS = 10.0

Address = tuple[str, int]
Command = tuple[bytes | str | int, ...]


@dataclass(frozen=True, slots=True)
class Access:
    """What it takes to speak to the nodes: user and password, and, if they speak TLS, how they are verified."""

    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None


class Unsent(Exception):
    """The command was certainly not executed."""


class Unanswered(Exception):
    """The command may or may not have been executed, or has too few copies: nothing may be acknowledged."""


@dataclass(slots=True)
class _Job:
    command: Command
    copied: bool
    result: "asyncio.Future[Any]"


class Link:
    """One connection, opened when needed. What is asked for while it is busy goes in the next batch.

    `copies` tells how many replicas have to have a write before it counts; it is asked again while too few have.
    """

    def __init__(self, address: Address, access: Access, copies: Callable[[bool], Awaitable[int]]) -> None:
        self._address = address
        self._access = access
        self._copies = copies
        self._connection: Connection | None = None
        self.connections = 0  # how often it was opened
        self._closed = False
        self._jobs: deque[_Job] = deque()
        self._more = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    async def call(self, command: Command, copied: bool = False) -> Any:
        """The reply, an exception of redis-py's if it is an error. `copied`: wait until the replicas have it too.

        Unsent or Unanswered if there is none.
        """
        if self._closed:
            raise Unsent("closed")
        job = _Job(command, copied, asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        self._more.set()
        return await job.result

    async def close(self) -> None:
        self._closed = True  # a library that loses the cancellation of what it does for us must not keep us
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        for job in self._jobs:
            _answer(job, Unsent("closed"))
        await self._disconnect()

    async def _run(self) -> None:
        while not self._closed:
            await self._more.wait()
            batch: list[_Job] = []
            while self._jobs and len(batch) < _MAX_IN_ONE_BATCH:
                job = self._jobs.popleft()
                if not job.result.done():  # else whoever asked has gone away
                    batch.append(job)
            if not self._jobs:
                self._more.clear()
            if batch:
                await self._serve(batch)

    async def _serve(self, batch: Sequence[_Job]) -> None:
        try:
            connection = await self._connect()
        except BaseException as error:
            for job in batch:
                _answer(job, Unsent(_reason(error)))
            if not isinstance(error, Exception):
                raise
            return
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                replies = await self._exchange(connection, [job.command for job in batch])
            enough = not any(job.copied for job in batch) or await self._wait(connection)
        except BaseException as error:
            await self._disconnect()
            unsent = isinstance(error, BusyLoadingError)  # it starts, and executes nothing
            for job in batch:
                _answer(job, Unsent(_reason(error)) if unsent else Unanswered(_reason(error)))
            if not isinstance(error, Exception):
                raise
            return
        for job, reply in zip(batch, replies, strict=True):
            lacking = job.copied and not enough and not isinstance(reply, ResponseError)
            _answer(job, Unanswered("too few replicas have it") if lacking else reply)

    async def _wait(self, connection: Connection) -> bool:
        """Whether enough replicas have what this connection wrote."""
        needed = await self._copies(False)
        deadline = asyncio.get_running_loop().time() + _COPY_SECONDS
        while needed > 0:
            async with asyncio.timeout(_ANSWER_SECONDS):
                (reached,) = await self._exchange(connection, [("WAIT", needed, _WAIT_MILLISECONDS)])
            if isinstance(reached, ResponseError):
                return False  # it is no master any more
            if reached >= needed:
                break
            needed = await self._copies(True)
            if reached < needed and asyncio.get_running_loop().time() > deadline:
                return False
        return True

    async def _exchange(self, connection: Connection, commands: Sequence[Command]) -> list[Any]:
        # Its stub means a tuple of one word.
        await connection.send_packed_command([pack_command(each) for each in commands])  # type: ignore[arg-type]
        replies: list[Any] = []
        for _ in commands:
            try:
                replies.append(await connection.read_response(disable_decoding=True))
            except ResponseError as error:
                replies.append(error)
        return replies

    async def _connect(self) -> Connection:
        if self._connection is not None and self._connection.is_connected and not await self._stale():
            return self._connection
        await self._disconnect()
        connection = self._made()
        async with asyncio.timeout(_CONNECT_SECONDS):
            await connection.connect()  # type: ignore[no-untyped-call]
        self._connection = connection
        self.connections += 1
        return connection

    def _made(self) -> Connection:
        secured = SSLConnection if self._access.tls is not None else Connection
        connection = secured(
            host=self._address[0],
            port=self._address[1],
            username=self._access.user,
            password=self._access.password,
            protocol=2,
            driver_info=None,
            socket_connect_timeout=_CONNECT_SECONDS,
            # The time limits are ours. With its own it sends by `asyncio.wait_for`, which in Python 3.11 loses a
            # cancellation that comes in the moment in which the sending ends.
            socket_timeout=None,
            socket_keepalive=True,
            retry=Retry(NoBackoff(), 0),  # a write that is repeated unseen could count twice
        )
        if isinstance(connection, SSLConnection):
            connection.ssl_context.context = self._access.tls  # else it would make one that knows the system's only
        return connection

    async def _stale(self) -> bool:
        """Whether the other end has hung up since the last batch: then nothing of the next one is in doubt."""
        assert self._connection is not None
        try:
            return bool(await self._connection.can_read())
        except (RedisError, OSError):
            return True

    async def _disconnect(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            with contextlib.suppress(RedisError, OSError):
                await connection.disconnect(nowait=True)


def _answer(job: _Job, reply: Any) -> None:
    if job.result.done():
        return
    if isinstance(reply, Exception):
        job.result.set_exception(reply)
    else:
        job.result.set_result(reply)


def _reason(error: BaseException) -> str:
    """Why there is no answer, in words that lead somewhere. The text of errors is not for logs."""
    if isinstance(error, AuthenticationError):
        return "it wants a password" if "required" in str(error) else "it does not take this user and password"
    disbelief = trust.disbelief_in(error)
    if disbelief is not None:
        return f"its certificate is not believed: {disbelief.said}"
    cause = error.__cause__ or error.__context__ or error
    if isinstance(cause, ssl.SSLError):
        return "it does not speak TLS"
    return type(error).__name__
