"""A server whose clock is wrong says so and does not serve; one that hears from a liar goes on."""

import asyncio
import os
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from email.utils import formatdate
from pathlib import Path

import pytest
from anontrace import clock as the_clock
from anontrace.backend.discovery.record import Record
from anontrace.backend.keys import keyfiles
from anontrace.backend.mix import items
from anontrace.backend.mix.items import Arrived
from anontrace.backend.observing import clockcheck
from anontrace.backend.observing.clockcheck import HELD_SECONDS, ClockCheck
from anontrace.backend.store import Entry, open_store
from anontrace.mixnet import packet
from anontrace.mixnet.header import NO_MAILBOX
from anontrace.wire.upload import State
from anontrace_shared.slots import slot_of

from tests.backend.client import Client, Registered
from tests.backend.servers import Servers
from tests.backend.test_days import Clock
from tests.patience import eventually

REST = ("discovery", "mix-1", "mix-2", "mix-3", "nymserver")


def at(unix: float) -> str:
    return formatdate(unix, usegmt=True)


async def queue(client: Client, arrived: Arrived, payload: bytes) -> None:
    """Leave in the mailbox server's queues what it took before it was stopped: for itself, and for the nymserver."""
    store = await open_store(client.servers.folder / "mailbox" / "store")
    onward = items.onward(packet.forward(client.hops(client.nymserver), NO_MAILBOX, payload), time.time())
    assert onward is not None
    to_nymserver = Entry(items.queue_to(client.nymserver), 0.0, onward.encode())
    await store.enqueue([Entry(items.DELIVER, 0.0, arrived.encode()), to_nymserver])
    await store.close()


def test_a_mix_whose_clock_is_wrong_says_so_does_not_serve_until_it_is_right_and_loses_nothing(tmp_path: Path) -> None:
    servers = Servers(tmp_path / "net", "--delay", "0")
    right, clock = tmp_path / "right", tmp_path / "clock"
    now = time.time()
    right.write_bytes(struct.pack("<d", now))
    try:
        servers.start(*REST, clock=right)
        servers.start("mailbox", clock=right)
        servers.ready(["mailbox"])
        client = Client(servers)
        mailbox, payload = os.urandom(32), os.urandom(239)
        assert client.post(client.mailbox, packet.forward(client.hops(client.mailbox), mailbox, payload)) == 202
        eventually("it arrived", lambda: client.poll(mailbox) == [payload])
        eventually("it is done with", lambda: servers.status("mailbox")["queues"] == {})
        servers.kill("mailbox")
        waiting, who = os.urandom(239), Registered(os.urandom(20), slot_of(now))
        asyncio.run(queue(client, Arrived(mailbox, waiting), client.arm(who)))

        clock.write_bytes(struct.pack("<d", now + 400 * 86400))
        servers.start("mailbox", clock=clock)
        url = servers.url("mailbox")
        headers = {"Content-Type": "application/octet-stream"}

        def posted() -> int:
            return servers.http.post(url + "/v1/messages", content=bytes(380), headers=headers).status_code

        def set_clock(unix: float) -> None:
            with clock.open("r+b") as file:
                file.write(struct.pack("<d", unix))

        assert servers.http.get(url + "/readyz").json()["clock_wrong"]
        assert servers.http.get(url + "/readyz").status_code == 503
        answer = servers.http.post(url + "/v1/messages", content=bytes(380), headers=headers)
        assert (answer.status_code, "clock" in answer.json()["error"]) == (503, True)
        assert int(answer.headers["retry-after"]) > 0
        set_clock(now + 90)
        eventually("it is off by a minute and a half", lambda: 60 < servers.status("mailbox")["clock_offset"] < 120)
        assert posted() == 503
        assert servers.status("mailbox")["queues"] == {"deliver": 1, f"to-{client.nymserver}": 1}
        assert not servers.http.get(servers.url("mix-1") + "/readyz").json()["clock_wrong"]

        set_clock(now)
        eventually("it serves again", lambda: posted() == 202)
        eventually("what was queued for it is delivered", lambda: client.poll(mailbox) == [payload, waiting])
        eventually("what was queued for others is sent on", lambda: client.is_stored(who))
    finally:
        servers.close()


class Settable:
    """Servers in groups, each of them a process with a clock of its own, by the name of its first server."""

    def __init__(self, folder: Path, *groups: Sequence[str]) -> None:
        self.servers = Servers(folder / "net", "--delay", "0")
        self.now = int(time.time())
        self.names = [name for group in groups for name in group]
        self.clocks = {group[0]: Clock(folder / group[0], self.now) for group in groups}
        self.log = folder / "log"
        try:
            for group in groups:
                self.servers.launch(*group, clock=self.clocks[group[0]].path, log=self.log)
            for group in groups:
                self.servers.await_start(*group)
            self.servers.ready(self.names)
        except BaseException:
            self.servers.close()
            raise
        self.client = Client(self.servers)

    def is_ready(self, name: str) -> bool:
        return self.servers.http.get(self.servers.url(name) + "/readyz").status_code == 200

    def all_ready(self) -> bool:
        return all(map(self.is_ready, self.names))

    def set(self, unix: float, *names: str) -> None:
        for name in names or self.clocks:
            self.clocks[name].set(unix)

    def last(self, seconds: float) -> None:
        """Let real time pass: for so long a clock shows what it shows."""
        end = time.monotonic() + seconds
        eventually("the time is over", lambda: time.monotonic() >= end)


@pytest.fixture
def settable(tmp_path: Path) -> Iterator[Callable[..., Settable]]:
    made: list[Settable] = []

    def make(*groups: Sequence[str]) -> Settable:
        made.append(Settable(tmp_path, *groups))
        return made[0]

    yield make
    for each in made:
        each.servers.close()


def test_a_clock_that_is_60_days_ahead_is_seen_at_once_and_costs_nothing_however_long_it_is(
    settable: Callable[..., Settable],
) -> None:
    net = settable(("mix-1", "mix-2", "mix-3"), ("discovery",), ("nymserver",), ("mailbox",), ("authority",))
    client, servers = net.client, net.servers
    who, mailbox, payload = client.register(slot_of(net.now)), os.urandom(32), os.urandom(239)
    assert client.post(client.mailbox, packet.forward(client.hops(client.mailbox), mailbox, payload)) == 202
    eventually("it arrived", lambda: client.poll(mailbox) == [payload])
    authorization = client.permit(b"log")
    keys = {number: listed.keys for number, listed in client.mixes.items()}
    assert len(keys) == 5
    for seconds, victim in ((2.0, "mailbox"), (HELD_SECONDS + 3, "nymserver")):
        victims = ("discovery", victim, "authority")
        net.set(net.now + 60 * 86400, *victims)
        for name in victims:
            url = servers.url(name) + "/readyz"
            eventually("it says so", lambda url=url: servers.http.get(url).json()["clock_wrong"])
        net.last(seconds)
        assert net.is_ready("mix-1")  # the others are in order, and know it
        net.set(net.now, *victims)
        eventually("all are ready again", net.all_ready)
        assert {number: listed.keys for number, listed in client.mixes.items()} == keys
        assert client.is_stored(who)
        assert client.poll(mailbox) == [payload]
        assert client.register(slot_of(net.now)).blob
    assert client.upload(authorization, b"log").state is State.ACCEPTED
    said = net.log.read_text()
    assert said.count("s ahead of those of the other servers") >= 4
    assert "the clock is right again" in said


def test_when_all_clocks_were_ahead_together_nobody_has_to_wait_for_that_time(
    settable: Callable[..., Settable],
) -> None:
    net = settable(("discovery", "mix-1", "mix-2", "mix-3", "nymserver", "mailbox", "authority"))
    client = net.client
    who, keys = client.register(slot_of(net.now)), {n: listed.keys for n, listed in client.mixes.items()}
    net.set(net.now + 5 * 86400)
    eventually("it is told", lambda: "has jumped ahead by 5 days" in net.log.read_text())
    assert not net.all_ready()  # by that date all key lists have expired
    assert {n: listed.keys for n, listed in client.mixes.items()} == keys  # which has not lasted
    net.set(net.now)
    eventually("all are ready", net.all_ready)
    assert {n: listed.keys for n, listed in client.mixes.items()} == keys
    assert client.register(slot_of(net.now))

    net.set(net.now + 5 * 86400)
    eventually("what has lasted is published, for nobody whose clock is right", lambda: not client.mixes)
    net.set(net.now)
    eventually("there are mixes again", lambda: len(client.mixes) == 5)
    eventually("all are ready", net.all_ready)
    assert client.is_stored(who)
    assert client.register(slot_of(net.now))


def test_a_mix_announces_itself_again_to_a_discovery_that_has_lost_it(settable: Callable[..., Settable]) -> None:
    net = settable(("discovery",), ("mailbox",), ("mix-1", "mix-2", "mix-3", "nymserver", "authority"))
    servers, number = net.servers, 1
    assert number in net.client.mixes
    message = packet.forward(net.client.hops(number, net.client.mailbox), os.urandom(32), os.urandom(239))
    headers = {"Content-Type": "application/octet-stream"}

    async def lose() -> None:
        """An edition without that mix, as by an operator's mistake or a store of yesterday."""
        folder = servers.folder / "discovery"
        store = await open_store(folder / "store")
        (value,) = await store.get_many("discovery", [b"editions"])
        assert value is not None
        old = Record.model_validate_json(value)
        await store.put_many("heads", [(head.sequence.to_bytes(8, "big"), old.head)])
        new = old.next(frozenset(), frozenset((number,)), net.now, keyfiles.read(folder, keyfiles.SIGNING))
        await store.put_many("discovery", [(b"editions", new.model_dump_json().encode())])
        await store.close()

    head = net.client.directory.head
    servers.terminate("discovery")
    asyncio.run(lose())
    servers.start("discovery", clock=net.clocks["discovery"].path)
    assert number not in net.client.mixes
    # A mix reads the directory every two minutes, and sooner when it cannot hand a message on: who it is for may have
    # moved.
    servers.kill("mailbox")
    assert servers.http.post(servers.url("mix-1") + "/v1/messages", content=message, headers=headers).status_code == 202
    eventually("it is there again", lambda: number in net.client.mixes)


def test_a_jump_shows_before_anybody_is_asked_and_is_over_as_soon_as_it_is_taken_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    moment = [1_000_000.0, 500.0]  # this clock, and monotonic time
    monkeypatch.setattr(the_clock, "now", lambda: moment[0])
    monkeypatch.setattr(clockcheck.time, "monotonic", lambda: moment[1])

    def live(seconds: int, theirs: float | None = None) -> None:
        """Real seconds, in each of which another server tells its time, if it does."""
        for _ in range(seconds):
            moment[0] += 1
            moment[1] += 1
            if theirs is not None:
                check.observe("other", at(moment[0] - theirs), moment[0], moment[0])
                check.judge(moment[1])
            check.note()

    check = ClockCheck("me")
    assert check.held is None
    live(9, 0)
    assert check.held is None  # it has not lasted yet
    live(3, 0)
    assert check.held is not None and moment[0] - check.held <= 11
    before = check.held
    moment[0] += 60 * 86400
    moment[1] += 3
    assert (check.is_wrong, check.held) == (True, None)
    live(30, 60 * 86400)
    assert (check.is_wrong, check.held) == (True, None)
    moment[0] -= 60 * 86400
    assert not check.is_wrong
    assert check.held is not None and before <= check.held < before + 60  # as if nothing had been
    live(2, 0)
    moment[0] += 5 * 86400  # all together
    moment[1] += 3
    assert check.is_wrong  # until somebody has been asked
    live(5, 0)
    assert not check.is_wrong
    assert check.held is not None and check.held < before + 86400
    live(8, 0)
    assert check.held > before + 4 * 86400
    said = [record.getMessage() for record in caplog.records]
    assert [line.split(";")[0].split(",")[0] for line in said] == [
        "me: the clock is 60 days ahead of those of the other servers",
        "me: the clock is right again",
        "me: the clock has jumped ahead by 5 days",
    ]


def test_a_clock_that_others_have_not_confirmed_since_it_jumped_is_not_gone_by(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = [1_000_000.0, 500.0]
    monkeypatch.setattr(the_clock, "now", lambda: moment[0])
    monkeypatch.setattr(clockcheck.time, "monotonic", lambda: moment[1])
    check = ClockCheck("me")
    check.observe("other", at(moment[0]), moment[0], moment[0])
    assert check.judge(moment[1])
    moment[0] -= 86400
    moment[1] += 5
    assert not check.judge(moment[1])  # all were asked, and nobody answered
    assert check.is_wrong and check.in_question


def test_what_counts_is_the_middle_of_the_others() -> None:
    check = ClockCheck("me")
    assert not check.observed
    check.observe("liar", at(10_000), 1000, 1001)
    assert check.is_wrong
    check.observe("a", at(1000), 1000, 1001)
    assert (check.offset, check.is_wrong) == (0, False)
    check.observe("b", at(1000), 1070, 1071)
    check.observe("c", at(1000), 1070, 1071)
    check.observe("d", at(1000), 1070, 1071)
    assert (check.offset, check.is_wrong) == (69, True)


def test_a_slow_answer_is_not_a_wrong_clock_and_a_date_that_is_none_is_ignored() -> None:
    check = ClockCheck("me")
    check.observe("slow", at(1100), 1000, 1200)
    assert check.offset == 0
    for date in (None, "", "yesterday", "Mon, 99 Nov 2026 00:00:00 GMT"):
        check.observe("odd", date, 0, 0)
    assert check.offset == 0
    check.observe("other", at(2000), 1000, 1001)
    check.observe("third", at(2000), 1000, 1001)
    check.forget_before(time.monotonic() + 1)
    assert (check.observed, check.is_wrong) == (False, False)
