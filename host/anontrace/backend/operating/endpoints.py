"""What a server answers at its two doors: everybody at `listen`, staff and operators at `staff_listen`.

What is for staff and operators (the authority's staff paths, status, metrics) does not exist at the first door: no
proxy in front of it, however it reads a path, can let a stranger through. Decides who may ask; the answers themselves
come from the roles and the node.
"""

import logging
from dataclasses import dataclass
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response

from anontrace.backend import senders
from anontrace.backend.config import Server
from anontrace.backend.errors import Refused
from anontrace.backend.observing import metrics
from anontrace.backend.observing.clockcheck import ClockCheck
from anontrace.backend.observing.counters import Counters
from anontrace.backend.observing.documents import Health, Readiness, Status
from anontrace.backend.peers import Peers
from anontrace.backend.senders import Senders
from anontrace.backend.store import Store
from anontrace.backend.web import tls
from anontrace.backend.web.app import application
from anontrace.backend.web.describing import gives, gives_octets

from .assembly import Roles
from .nearby import title

_log = logging.getLogger("anontrace.backend")
_CLOCK_RETRY_SECONDS = 60
_FORWARDED = ("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "forwarded", "via")  # by a proxy


@dataclass(frozen=True, slots=True)
class Facts:
    """What a server tells of itself, by whom it is known."""

    server: Server
    roles: Roles
    store: Store
    counters: Counters
    peers: Peers
    clock_check: ClockCheck

    @property
    def is_ready(self) -> bool:
        """What /readyz says."""
        return bool(self.readiness()["ready"])

    def readiness(self) -> dict[str, Any]:
        missing, wrong, unfit = self.peers.missing(), self.peers.clock_is_wrong, self.store.fault is not None
        ready = not (missing or wrong or unfit)
        return {"ready": ready, "missing": missing, "clock_wrong": wrong, "store_unfit": unfit}


def for_everybody(facts: Facts) -> FastAPI:
    """What is answered at `listen`."""
    config = facts.server.config
    app = application(title(config.name), config.http, config.http.forwarded_from)

    for name, role in facts.roles.by_name().items():
        # What discovery shows is signed and dated; by whom it is read judges that.
        app.include_router(role.router, dependencies=[] if name == "discovery" else [_right_clock(facts)])
    _add_health(app, facts)
    return app


def for_staff(facts: Facts) -> FastAPI:
    """What is answered at `staff_listen`."""
    config = facts.server.config
    certificate_end = None if config.tls is None else tls.certificate_end(facts.server.folder, config.tls)
    app = application(f"{title(config.name)}, for its staff and operators", config.http, [])
    watchers = Senders(config.http.watchers)
    if config.staff_at is None and "watchers" in config.http.model_fields_set:
        _log.warning("%s: `watchers` opens nothing as long as `staff_listen` is a socket file", config.name)

    async def watching(request: Request) -> None:
        if any(each in request.headers for each in _FORWARDED):
            raise Refused(403, "not through a proxy: see `staff_listen` in docs/operations.md")
        if config.staff_at is None:
            return  # whom the socket file lets in
        if request.client is None or senders.address(request.client.host) not in watchers:
            raise Refused(403, "not for you: see `watchers` in docs/operations.md")

    for_watchers = [Depends(watching)]
    if (authority := facts.roles.authority) is not None:
        app.include_router(authority.staff_router, dependencies=[*for_watchers, _right_clock(facts)])
    _add_health(app, facts)

    @app.get(
        "/metrics",
        dependencies=for_watchers,
        response_class=Response,
        responses=gives_octets("Prometheus' text format.", "text/plain"),
    )
    async def numbers() -> Response:
        """The same numbers as /v1/status, and the process', for Prometheus."""
        mix, nymserver, found = facts.roles.mix, facts.roles.nymserver, facts.readiness()
        snapshot = metrics.Snapshot(
            counters=facts.counters.snapshot(),
            queues=await facts.store.backlog(),
            missing_peers=len(found["missing"]),
            clock_offset=facts.clock_check.offset,
            ready=found["ready"],
            clock_wrong=found["clock_wrong"],
            store_unfit=found["store_unfit"],
            newest_key=None if config.number is None else facts.peers.newest_key(config.number),
            certificate_end=certificate_end,
            losses={} if mix is None else mix.losses,
            gauges={} if nymserver is None else nymserver.gauges,
        )
        return Response(metrics.exposition(snapshot), media_type=metrics.CONTENT_TYPE)

    @app.get("/v1/status", dependencies=for_watchers, responses=gives(Status, "What there is to tell."))
    async def status() -> dict[str, Any]:
        """Counts since the start, lengths of queues, and what the roles tell of themselves."""
        return {
            "name": config.name,
            "number": config.number,
            "counters": facts.counters.snapshot(),
            **facts.readiness(),
            "clock_offset": round(facts.clock_check.offset, 1),
            "directory": facts.peers.directory,
            "peers": facts.peers.table(),
            "queues": await facts.store.backlog(),
            "roles": {name: role.status() for name, role in facts.roles.by_name().items()},
        }

    return app


def for_browsers(facts: Facts) -> FastAPI | None:
    """What is answered at `portal_listen`; None where there is no portal."""
    config, authority = facts.server.config, facts.roles.authority
    if config.portal_listen is None or authority is None:
        return None
    from anontrace.backend.portal.app import portal  # with all that its pages need

    return portal(config, authority.office, facts.server.network.network.name, _right_clock(facts))


def _right_clock(facts: Facts) -> Any:
    """What an endpoint depends on that a server with a wrong clock must not answer."""

    async def right_clock() -> None:
        if not await facts.peers.clock_holds():
            raise Refused(503, "this server's clock is wrong", _CLOCK_RETRY_SECONDS)

    return Depends(right_clock)


def _add_health(app: FastAPI, facts: Facts) -> None:
    @app.get("/healthz")
    async def health() -> Health:
        """The process serves."""
        return Health(alive=True)

    @app.get("/readyz", responses=gives(Readiness, "Ready.") | gives(Readiness, "Not ready.", 503))
    async def ready() -> JSONResponse:
        """Whether this server knows every other one, and is known itself, and its clock is right (503 if not)."""
        await facts.peers.clock_holds()  # asks, if it has jumped
        found = facts.readiness()
        return JSONResponse(found, 200 if found["ready"] else 503)
