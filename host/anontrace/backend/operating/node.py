"""One server: its store, its roles, its endpoints, its life. Everything that has one owner per server is owned here."""

import asyncio
from collections.abc import Container

from anontrace.backend.background import Background
from anontrace.backend.config import Server
from anontrace.backend.observing.clockcheck import ClockCheck
from anontrace.backend.observing.counters import Counters
from anontrace.backend.peers import Peers
from anontrace.backend.roles import Context
from anontrace.backend.store import Store
from anontrace.mixnet import keydays

from . import endpoints, storeplace
from .assembly import assemble
from .endpoints import Facts

_TICK_SECONDS = 1.0


class Node:
    """A server that was configured but does not listen yet: `start` it, serve what is behind its `doors`, `stop` it.

    The first door is for everybody, the second for staff and operators, the third, if there is one, for staff's
    browsers.
    """

    def __init__(self, server: Server, store: Store) -> None:
        self._counters = Counters()
        self._background = Background(server.config.name)
        self._clock_check = ClockCheck(server.config.name)
        config = server.config
        self._peers = Peers(store, server.network, self._clock_check, config.url, config.http.peer_seconds)
        self._store = store
        self._server = server
        context = Context(server, store, self._counters, self._background, self._peers)
        roles = assemble(context)
        self._roles = roles.by_name()
        self._expired_day = 0
        self._facts = Facts(server, roles, store, self._counters, self._peers, self._clock_check)
        self.doors = (
            endpoints.for_everybody(self._facts), endpoints.for_staff(self._facts), endpoints.for_browsers(self._facts)
        )  # fmt: skip

    @classmethod
    async def open(cls, server: Server) -> "Node":
        """With the store that the server is configured for. ConfigError or StoreError if it cannot be."""
        store = await storeplace.open_store(server)
        try:
            return cls(server, store)
        except BaseException:
            await store.close()
            raise

    async def start(self, mute: Container[str] = ()) -> None:
        """Make keys, take up queues; from here on background work runs, which also drops what has expired. `mute`: the
        addresses (URLs) of servers that wait for this one and cannot be asked for the time."""
        await self._peers.start()
        await self._peers.compare(mute)
        for role in self._roles.values():
            await role.start()
        self._background.start("clock", self._tick)
        self._background.start("directory", self._peers.keep_fresh)
        self._background.start("clocks", self._peers.compare_clocks)
        self._background.start("scrubbing", self._keep_scrubbing)

    async def stop(self) -> None:
        """End background work and close the store; what is queued stays queued."""
        await self._background.stop()
        await self._peers.close()
        await self._store.close()

    async def _tick(self) -> None:
        while True:
            if await self._peers.clock_holds():
                self._clock_check.note()
            if (held := self._clock_check.held) is not None:
                for role in self._roles.values():
                    await role.tick(held)
                await self._expire(keydays.day_at(held))
            await asyncio.sleep(_TICK_SECONDS)

    async def _keep_scrubbing(self) -> None:
        """What was deleted lies in the store's files until they are written anew: now and then have that done."""
        seconds = self._server.config.scrub_seconds
        while seconds:
            await asyncio.sleep(seconds)
            await self._store.scrub()

    async def _expire(self, today: int) -> None:
        """Drop what is over by a day that has held for a while, if the other servers say so even now: what went by a
        wrong clock is gone."""
        if today == self._expired_day or not await self._peers.compare():
            return
        held = self._clock_check.held
        if held is not None and keydays.day_at(held) >= today:
            self._counters.add("days_dropped", await self._store.expire(today))
            self._expired_day = today

    @property
    def is_ready(self) -> bool:
        """What /readyz says."""
        return self._facts.is_ready
