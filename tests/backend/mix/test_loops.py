"""Decoy loops: who drops messages shows, and clients do without it."""

import asyncio
import os
import random
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from anontrace.backend.mix.blame import MIN_LOOPS, Seen, losses
from anontrace.backend.mix.loops import Loops, _Loop
from anontrace.backend.observing.clockcheck import ClockCheck
from anontrace.backend.observing.counters import Counters
from anontrace.backend.peers import Peers
from anontrace.backend.store import open_store
from anontrace.mixnet import keydays
from anontrace.mixnet.sizes import MAILBOX

from tests.backend.servers import Servers
from tests.backend.test_days import DAY, NOON, Clock, Later
from tests.patience import eventually
from tests.wire.samples import NETWORK

NAMES = ("discovery", "mix-1", "mix-2", "mix-3", "nymserver", "mailbox")
MAX_DAYS = 5


class Swallower:
    """Stands before a mix, takes messages with thanks, and drops them while it is `hungry`; the rest it hands on."""

    def __init__(self, behind: str) -> None:
        self.hungry = True
        swallower = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = 202, b""
                if not swallower.hungry:
                    headers = {"Content-Type": self.headers["Content-Type"]}
                    got = httpx.post(behind + self.path, content=body, headers=headers, trust_env=False)
                    status, answer = got.status_code, got.content
                self._answer(status, answer)

            def do_GET(self) -> None:
                got = httpx.get(behind + self.path, trust_env=False)
                self._answer(got.status_code, got.content)

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Dropping(Later):
    """A client of a network in which whatever is sent to mix 2 vanishes."""

    def __init__(self, servers: Servers, clock: Clock, swallower: Swallower) -> None:
        super().__init__(servers, clock)
        self.swallower = swallower

    def newest(self) -> set[int]:
        """The days of the mixes' newest keys."""
        return {mix.keys[-1].day for mix in self.mixes.values()}


@pytest.fixture
def dropping(tmp_path: Path) -> Iterator[Dropping]:
    clock = Clock(tmp_path / "clock", NOON)
    servers = Servers(tmp_path / "net", "--delay", "0.01", "--loops", "0.1", clock=clock.path)
    swallower = Swallower(servers.url("mix-2"))
    try:
        servers.configure("mix-2", f'url = "{servers.url("mix-2")}"', f'url = "{swallower.url}"')
        for name in NAMES[1:]:
            servers.configure(name, "[mix]\n", "[mix]\nloop_patience = 3.0\n")
        servers.start(*NAMES)
        yield Dropping(servers, clock, swallower)
    finally:
        servers.close()
        swallower.close()


def test_a_mix_that_drops_is_told_of_with_the_next_days_keys_and_left_out(dropping: Dropping) -> None:
    servers, others = dropping.servers, ("mix-1", "mix-3", "nymserver", "mailbox")

    def is_noticed() -> bool:
        told = [servers.status(name)["roles"]["mix"]["losses"] for name in others]
        others_are_fine = all(share < 0.2 for each in told for number, share in each.items() if number != "2")
        return all(each.get("2", 0) > 0.5 for each in told) and others_are_fine

    eventually("the dropping mix is noticed, and no other", is_noticed)
    assert not any(mix.lossy for mix in dropping.mixes.values())
    # Whom a mix tells of on a day is settled when it announces its key: on a busy machine perhaps not by that moment.
    for day in range(1, MAX_DAYS + 1):
        dropping.clock.set(NOON + day * DAY)
        newest = keydays.accepted_days(NOON + day * DAY)[-1]
        eventually("the next keys are announced", lambda newest=newest: dropping.newest() == {newest})
        if is_told := sum(mix.lossy == (2,) for mix in dropping.mixes.values()) == 4:
            break
    assert is_told
    ways = [[hop.number for hop in dropping.path(dropping.mailbox, exclude=())] for _ in range(50)]
    assert not any(2 in way for way in ways)
    assert 'anontrace_link_loss{next_mix="2"}' in servers.for_staff("mix-1").get("/metrics").text
    assert servers.count("mix-1", "loops_returned") > 0


def test_a_loop_that_comes_back_at_its_last_moment_is_not_lost(tmp_path: Path) -> None:
    async def body() -> None:
        store, counters = await open_store(tmp_path / "db"), Counters()
        peers = Peers(store, NETWORK, ClockCheck("me"), "http://me", 20.0)
        loops = Loops(
            store, peers, counters, own_number=1, storage_key=bytes(32), every=1.0, patience=600.0, delay=0.0,
            wake=lambda _: None,
        )  # fmt: skip
        nonce = os.urandom(MAILBOX - 16)
        identity = nonce + loops._mark(nonce)
        loops._loops[identity] = _Loop((2, 3), deadline=0.0)
        real = store.get_many

        async def meanwhile(table: str, keys: Sequence[bytes]) -> list[bytes | None]:
            found = await real(table, keys)
            assert await loops.came_back(identity)
            return found

        store.get_many = meanwhile  # type: ignore[method-assign]
        await loops._decide()
        assert +Counter(counters.snapshot()) == {"loops_returned": 1}
        assert loops._loops[identity].returned
        await peers.close()
        await store.close()

    asyncio.run(body())


def simulated(number: int, drops: dict[int, float], first_link: dict[int, float] | None = None) -> list[Seen]:
    """Loops through three of eight mixes, some of which drop."""
    rng = random.Random(number)
    seen = []
    for _ in range(number):
        way = tuple(rng.sample(range(1, 9), 3))
        lost = any(rng.random() < drops.get(each, 0) for each in way)
        lost = lost or rng.random() < (first_link or {}).get(way[0], 0)
        seen.append(Seen(way, lost))
    return seen


@pytest.mark.parametrize("drops", [{}, {3: 1.0}, {3: 0.6}, {3: 1.0, 7: 0.5}], ids=str)
def test_the_blame_falls_on_who_drops(drops: dict[int, float]) -> None:
    found = losses(simulated(400, drops))
    assert set(found) == set(range(1, 9))
    for number, share in found.items():
        assert abs(share - drops.get(number, 0)) < 0.25


def test_a_link_that_loses_is_told_from_a_mix_that_does() -> None:
    found = losses(simulated(500, {}, {5: 1.0}))
    assert found[5] > 0.8
    assert all(share < 0.1 for number, share in found.items() if number != 5)


def test_nothing_is_said_of_a_mix_that_few_loops_passed() -> None:
    assert losses([]) == {}
    assert losses([Seen((1, 2, 3), True)] * (MIN_LOOPS - 1)) == {}
    assert losses([Seen((1, 2, 3), False)] * MIN_LOOPS) == {1: 0, 2: 0, 3: 0}


@pytest.mark.parametrize(
    ("drops", "told"),
    [({}, ()), ({4: 0.1}, ()), ({4: 0.5}, (4,)), ({9: 0.8, 3: 0.6}, (3, 9)), ({1: 0.4, 2: 0.9, 7: 0.6}, (2, 7))],
)
def test_the_two_worst_are_told_of_by_rising_number(
    drops: dict[int, float], told: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(3)
    ways = [tuple(rng.sample(range(1, 11), 3)) for _ in range(512)]
    seen = [Seen(way, any(rng.random() < drops.get(number, 0.0) for number in way)) for way in ways]
    monkeypatch.setattr(Loops, "_seen", lambda _: seen)
    assert Loops.__new__(Loops).lossy == told
