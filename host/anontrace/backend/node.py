"""One server: its store, its roles, its endpoints, its life. Everything that has one owner per server is owned here."""

import asyncio
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response

from anontrace import clock
from anontrace.mixnet import keydays

from . import metrics, senders, storeplace
from .authority.role import AuthorityRole
from .background import Background
from .clockcheck import ClockCheck
from .config import Server
from .counters import Counters
from .describing import ERRORS, gives, gives_octets
from .discovery.role import DiscoveryRole
from .errors import Refused
from .mailbox.role import MailboxRole
from .mix.delivery import for_nobody
from .mix.role import MixRole
from .nymserver.role import NymserverRole
from .peers import Peers
from .reporting import Health, Readiness, Status
from .roles import Context, Role
from .senders import Senders
from .store import Store
from .web import BodyLimit, Dated, install_error_handlers

_MOST_BODY = 128 << 10  # the longest body that any endpoint takes is 256 messages
_TICK_SECONDS = 1.0
_CLOCK_RETRY_SECONDS = 60
_FORWARDED = ("x-forwarded-for", "forwarded", "x-real-ip")


class Node:
    """A server that was configured but does not listen yet: `start` it, serve `app`, `stop` it."""

    def __init__(self, server: Server, store: Store) -> None:
        self._counters = Counters()
        self._background = Background(server.config.name)
        self._clock_check = ClockCheck(server.config.name)
        config = server.config
        self._peers = Peers(store, server.network, self._clock_check, config.url, config.http.peer_seconds)
        self._store = store
        self._server = server
        context = Context(server, store, self._counters, self._background, self._peers)
        self._roles = _roles(context)
        self._expired_day = 0
        self.app = self._assemble()

    @classmethod
    async def open(cls, server: Server) -> "Node":
        """With the store that the server is configured for. ConfigError or StoreError if it cannot be."""
        store = await storeplace.open_store(server)
        try:
            return cls(server, store)
        except BaseException:
            await store.close()
            raise

    async def start(self) -> None:
        """Make keys, take up queues; from here on background work runs, which also drops what has expired."""
        await self._peers.start()
        await self._peers.first_comparison()
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
            now = clock.now()
            for role in self._roles.values():
                await role.tick(now)
            await self._expire(keydays.day_at(now))
            await asyncio.sleep(_TICK_SECONDS)

    async def _keep_scrubbing(self) -> None:
        """What was deleted lies in the store's files until they are written anew: now and then have that done."""
        seconds = self._server.config.scrub_seconds
        while seconds:
            await asyncio.sleep(seconds)
            await self._store.scrub()

    async def _expire(self, today: int) -> None:
        """Drop what is over, once another server has confirmed what day it is: what went by a wrong clock is gone."""
        if today != self._expired_day and self._clock_check.is_right:
            self._counters.add("days_dropped", await self._store.expire(today))
            self._expired_day = today

    def _readiness(self) -> dict[str, Any]:
        missing, wrong = self._peers.missing(), self._clock_check.is_wrong
        return {"ready": not (missing or wrong), "missing": missing, "clock_wrong": wrong}

    def _assemble(self) -> FastAPI:
        config = self._server.config
        app = FastAPI(
            title=f"Anontrace {config.name}", docs_url=None, redoc_url=None, redirect_slashes=False, responses=ERRORS
        )
        app.add_middleware(BodyLimit, most=_MOST_BODY, seconds=config.http.body_seconds)
        app.add_middleware(Dated)
        install_error_handlers(app)

        async def right_clock() -> None:
            if self._clock_check.is_wrong:
                raise Refused(503, "this server's clock is wrong", _CLOCK_RETRY_SECONDS)

        for role in self._roles.values():
            app.include_router(role.router, dependencies=[Depends(right_clock)] if config.is_mix else [])

        @app.get("/healthz")
        async def health() -> Health:
            """The process serves."""
            return Health(alive=True)

        @app.get("/readyz", responses=gives(Readiness, "Ready.") | gives(Readiness, "Not ready.", 503))
        async def ready() -> JSONResponse:
            """Whether this server knows every other one, and is known itself, and its clock is right (503 if not)."""
            found = self._readiness()
            return JSONResponse(found, 200 if found["ready"] else 503)

        watchers = Senders(config.http.watchers)

        async def watching(request: Request) -> None:
            # Behind a proxy that this server was not told of, everybody comes from the proxy's address.
            if not config.http.forwarded_from and any(each in request.headers for each in _FORWARDED):
                raise Refused(403, "not for you: see `forwarded_from` in docs/operations.md")
            if senders.address(request.client.host if request.client else "") not in watchers:
                raise Refused(403, "not for you: see `watchers` in docs/operations.md")

        for_watchers = [Depends(watching)]

        @app.get(
            "/metrics",
            dependencies=for_watchers,
            response_class=Response,
            responses=gives_octets("Prometheus' text format.", "text/plain"),
        )
        async def numbers() -> Response:
            """The same numbers as /v1/status, and the process', for Prometheus."""
            mix = self._roles.get("mix")
            snapshot = metrics.Snapshot(
                counters=self._counters.snapshot(),
                queues=await self._store.backlog(),
                missing_peers=len(self._peers.missing()),
                clock_offset=self._clock_check.offset,
                ready=bool(self._readiness()["ready"]),
                losses=mix.losses if isinstance(mix, MixRole) else {},
            )
            return Response(metrics.exposition(snapshot), media_type=metrics.CONTENT_TYPE)

        @app.get("/v1/status", dependencies=for_watchers, responses=gives(Status, "What there is to tell."))
        async def status() -> dict[str, Any]:
            """Counts since the start, lengths of queues, and what the roles tell of themselves."""
            return {
                "name": config.name,
                "number": config.number,
                "counters": self._counters.snapshot(),
                **self._readiness(),
                "clock_offset": round(self._clock_check.offset, 1),
                "directory": self._peers.directory,
                "peers": self._peers.table(),
                "queues": await self._store.backlog(),
                "roles": {name: role.status() for name, role in self._roles.items()},
            }

        return app


def _roles(context: Context) -> dict[str, Role]:
    """The roles of a server. A mix hands what ends at it to the nymserver or the mailboxes beside it."""
    wanted = context.server.config.roles
    roles: dict[str, Role] = {}
    if "discovery" in wanted:
        roles["discovery"] = DiscoveryRole(context)
    if "authority" in wanted:
        roles["authority"] = AuthorityRole(context)
    if "nymserver" in wanted:
        nymserver = NymserverRole(context)
        mix = MixRole(context, nymserver.deliver, nymserver.facts)
        nymserver.connect(mix.wake)
        roles |= {"nymserver": nymserver, "mix": mix}
    elif "mailbox" in wanted:
        mailbox = MailboxRole(context)
        roles |= {"mailbox": mailbox, "mix": MixRole(context, mailbox.mailboxes.deliver, None)}
    elif "mix" in wanted:
        roles["mix"] = MixRole(context, for_nobody(context.counters), None)
    return roles
