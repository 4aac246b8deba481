"""Whether notifications go out: a record that every worker looks at before each message, so that a stop holds at once.

What is stopped waits, in the queue or with its nym, and goes on when sending is resumed.
"""

import asyncio

from anontrace.backend.store import Store

SEND = "send"  # the queue of what is to go out
_TABLE, _KEY = "sending", b"stopped"
_LOOK_SECONDS = 0.5


class Sending:
    """The health authority's stop for all notifications and retractions of this nymserver."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def is_stopped(self) -> bool:
        (value,) = await self._store.get_many(_TABLE, [_KEY])
        return value is not None

    async def stop(self) -> None:
        """From here on no worker hands a message to the mixes. What they have already cannot be called back."""
        await self._store.put_many(_TABLE, [(_KEY, b"")])

    async def resume(self) -> None:
        await self._store.delete_many(_TABLE, [_KEY])

    async def wait(self) -> None:
        """Until it is not stopped."""
        while await self.is_stopped():  # noqa: ASYNC110 - another worker may have heard of it
            await asyncio.sleep(_LOOK_SECONDS)
