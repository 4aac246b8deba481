"""What a directory of 255 mixes costs a client, over HTTP from a real discovery's endpoints."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import httpx
import pytest
from anontrace import clock as the_clock
from anontrace.backend.discovery import routes
from anontrace.backend.discovery.editions import Editions
from anontrace.backend.keys import keyfiles
from anontrace.backend.observing.clockcheck import ClockCheck
from anontrace.backend.observing.counters import Counters
from anontrace.backend.peers import Peers
from anontrace.backend.store import Store
from anontrace.backend.web.app import install_error_handlers
from anontrace.mixnet.sizes import MAX_MIXES
from anontrace.wire import announcement, directory
from anontrace.wire.content import Content
from anontrace.wire.description import Description
from anontrace.wire.fields import Role
from anontrace.wire.network import Named, Network, PinnedMix, Service
from anontrace_primitives import x25519_base
from fastapi import FastAPI

from tests.backend.places import Place
from tests.backend.test_days import DAY, NOON

DISCOVERY = bytes(range(32))
SEEDS = {number: bytes((number,)) * 32 for number in range(1, MAX_MIXES + 1)}
ROLES: dict[int, tuple[Role, ...]] = dict.fromkeys(SEEDS, ("mix",)) | {1: ("mix", "nymserver"), 2: ("mix", "mailbox")}
NETWORK = Network(
    network=Named(name="large"),
    discovery=Service(url="http://discovery", key=keyfiles.verify_key(DISCOVERY)),
    authority=Service(url="http://authority", key=keyfiles.verify_key(bytes(32))),
    mix=tuple(PinnedMix(number=n, key=keyfiles.verify_key(seed), roles=ROLES[n]) for n, seed in SEEDS.items()),
)
TODAY = NOON // DAY


def described(number: int) -> bytes:
    """As long as a description can be."""
    return Description(
        number=number, roles=ROLES[number], issued=NOON - DAY, name=f"{number:064}",
        url=f"https://{'a' * 50}.example/{number:0133}", log_key=x25519_base(bytes(32)) if number == 1 else None,
        bucket_bits=8 if number == 1 else None,
    ).encode()  # fmt: skip


def published(number: int, today: int) -> bytes:
    """What a mix hands to discovery on a day."""
    text = described(number)
    announced = {
        day: announcement.sign(
            number, day, x25519_base(bytes((number, day % 256)) * 16), (), text, SEEDS[number]
        ).encode()
        for day in (today, today + 1)
    }
    return Content({number: text}, {number: announced}).encode()


Body = Callable[[httpx.AsyncClient, Store], Awaitable[None]]


@pytest.fixture
def discovery(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Body], None]]:
    """Runs something with a client of discovery's endpoints, on either store."""

    async def around(body: Body) -> None:
        store = await place.open()
        peers = Peers(store, NETWORK, ClockCheck("me"), "http://me", 20.0)
        editions = Editions(store, Counters(), NETWORK.pins, DISCOVERY, peers)
        app = FastAPI()
        install_error_handlers(app)
        app.include_router(routes.router(editions))
        await editions.start()
        try:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://discovery") as http:
                await body(http, store)
        finally:
            await peers.close()
            await store.close()

    monkeypatch.setattr(the_clock, "now", lambda: float(NOON))
    yield lambda body: asyncio.run(around(body))


async def publish(http: httpx.AsyncClient, today: int) -> None:
    for number in SEEDS:
        headers = {"Content-Type": "application/octet-stream"}
        answer = await http.put(f"/v2/announcements/{number}", content=published(number, today), headers=headers)
        assert answer.status_code == 204, answer.text


def test_255_mixes_cost_100_bytes_each_a_day_and_130_kB_at_first(
    discovery: Callable[[Body], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(http: httpx.AsyncClient, store: Store) -> None:
        moment = float(NOON)
        monkeypatch.setattr(the_clock, "now", lambda: moment)
        await publish(http, TODAY)
        moment += 601  # of so many changes in one day the last ones wait
        known = None
        for day in (1, 2):
            moment = NOON + day * DAY
            await publish(http, TODAY + day)
            whole = await http.get("/v2/directory")
            assert len(whole.content) <= 130_000
            now = directory.parse(whole.content, NETWORK.discovery.key)
            assert len(now.content.descriptions) == MAX_MIXES
            if known is not None:
                news = await http.get(f"/v2/directory/{known.content.day}")
                assert len(news.content) <= 100 * MAX_MIXES + 1000
                found = directory.parse_difference(news.content, NETWORK.discovery.key)
                assert directory.follow(known.seen, found.heads, moment)
                assert found.applied_to(known.content) == now
            known = now

    discovery(body)


def test_what_discovery_0_2_left_in_a_store_does_no_harm(place: Place) -> None:
    async def body() -> None:
        store = await place.open()
        await store.put_many("discovery", [(b"directory", b'{"document": "{}"}')])
        await store.put_many("chain", [(bytes(8), b"{}")], expires=TODAY + 30)
        await store.put_many("peers", [(b"directory", b'{"document": "{}"}')])
        peers = Peers(store, NETWORK, ClockCheck("me"), "http://me", 20.0)
        await peers.start()
        assert peers.directory is None
        editions = Editions(store, Counters(), NETWORK.pins, DISCOVERY, peers)
        await editions.start()
        found = directory.parse((await editions.whole())[0], NETWORK.discovery.key)
        assert found.head.sequence == directory.FIRST
        assert await store.get_many("discovery", [b"directory"]) == [None]
        await peers.close()
        await store.close()

    asyncio.run(body())
