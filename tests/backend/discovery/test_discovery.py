"""The directory's chain, served by a real discovery: who was away checks how it went on; a fork over the gap shows."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from anontrace import clock as the_clock
from anontrace.backend.errors import PeerError
from anontrace.backend.keys import keyfiles
from anontrace.backend.observing.clockcheck import ClockCheck
from anontrace.backend.peers import Peers
from anontrace.backend.store import open_store
from anontrace.companion.errors import DirectoryError
from anontrace.companion.network import directory as companion_directory
from anontrace.companion.network.client import Client
from anontrace.companion.store import state
from anontrace.companion.store.network import StoredNetwork
from anontrace.wire import announcement, directory, network
from anontrace.wire.content import Content
from anontrace.wire.description import Description
from anontrace.wire.directory import KEPT_DAYS, Difference, Directory
from anontrace.wire.mixes import Mix
from anontrace.wire.network import Network
from anontrace_primitives import x25519_base

from tests.backend.servers import Servers
from tests.backend.test_days import DAY, NOON, Clock
from tests.patience import eventually

OCTETS = {"Content-Type": "application/octet-stream"}


def key_of(number: int, day: int) -> bytes:
    return x25519_base(bytes((number, *day.to_bytes(4, "little"))).ljust(32, b"\0"))


class Discovery:
    """A discovery server in simulated time, and the mixes' announcements by hand."""

    def __init__(self, servers: Servers, clock: Clock) -> None:
        self.servers = servers
        self.clock = clock
        self.network = network.load(servers.folder / "network.toml")
        self._issued = 0

    def publish(self, number: int, times: int = 1, url: str | None = None, days: int = 2) -> httpx.Response:
        """What a mix that is to be found at `url` says of itself, each time anew; the last answer."""
        seed = keyfiles.read(self.servers.folder / f"mix-{number}", keyfiles.SIGNING)
        for _ in range(times):
            self._issued = max(self._issued + 1, int(self.clock.now) - 300)
            made = self.described(number, url)
            today = int(self.clock.now) // DAY
            announced = {
                day: announcement.sign(number, day, key_of(number, day), (), made, seed).encode()
                for day in range(today, today + days)
            }
            answer = self.put(number, Content({number: made}, {number: announced}).encode())
        return answer

    def described(self, number: int, url: str | None = None) -> bytes:
        return Description(
            number=number, roles=("mix",), issued=self._issued, name=f"mix-{number}",
            url=url or f"http://127.0.0.{number}",
        ).encode()  # fmt: skip

    def put(self, number: int, body: bytes) -> httpx.Response:
        return self.servers.http.put(f"{self.url}/v2/announcements/{number}", content=body, headers=OCTETS)

    @property
    def url(self) -> str:
        return self.network.discovery.url

    @property
    def shown(self) -> Directory:
        return directory.parse(self.servers.http.get(f"{self.url}/v2/directory").content, self.network.discovery.key)

    def news(self, day: int) -> Difference:
        body = self.servers.http.get(f"{self.url}/v2/directory/{day}").content
        return directory.parse_difference(body, self.network.discovery.key)

    def forget(self, key: bool = False) -> None:
        """Begin another history, under another key if that is forgotten too."""
        self.servers.kill("discovery")
        home, file = self.servers.folder / "discovery", self.servers.folder / "network.toml"
        shutil.rmtree(home / "store")
        if key:
            (home / keyfiles.SIGNING).unlink()
            made = keyfiles.verify_key(keyfiles.write_new(home, keyfiles.SIGNING))
            file.write_text(file.read_text().replace(self.network.discovery.key.hex(), made.hex()))
            self.network = network.load(file)
        self.servers.start("discovery")

    def later(self, seconds: float) -> None:
        self.clock.set(self.clock.now + seconds)


@pytest.fixture
def discovery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Discovery]:
    clock = Clock(tmp_path / "clock", NOON)
    monkeypatch.setattr(the_clock, "now", lambda: clock.now)
    servers = Servers(tmp_path / "net", clock=clock.path)
    try:
        servers.start("discovery")
        yield Discovery(servers, clock)
    finally:
        servers.close()


Look = Callable[[], dict[int, Mix]]


def companion(discovery: Discovery, folder: Path) -> Look:
    """What a companion does with the directory at each command; it looks anew each time."""
    state.create(folder)
    store = state.State(folder).network
    store.put(StoredNetwork("net", discovery.network.to_toml(), None), int(discovery.clock.now))

    def look() -> dict[int, Mix]:
        with Client() as client:
            return companion_directory.mixes_in_force(store, few(discovery.network), client, fresh_seconds=0)

    return look


def few(whole: Network) -> Network:
    """As if the network had no other mixes than these tests announce."""
    announced = tuple(mix for mix in whole.mix if mix.number in (1, 2))
    return Network.model_construct(
        network=whole.network, discovery=whole.discovery, authority=whole.authority, mix=announced
    )


def server(discovery: Discovery, folder: Path) -> Look:
    """What a server does with it: each look is a restart, with what the one before left in the store."""

    async def refreshed() -> dict[int, Mix]:
        store = await open_store(folder)
        peers = Peers(store, discovery.network, ClockCheck("me"), "http://me", 20.0)
        try:
            await peers.start()
            await peers.refresh()
            return dict(peers.mixes)
        finally:
            await peers.close()
            await store.close()

    return lambda: asyncio.run(refreshed())


@pytest.fixture
def readers(discovery: Discovery, tmp_path: Path) -> list[Look]:
    return [companion(discovery, tmp_path / "companion"), server(discovery, tmp_path / "server")]


def warned(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> str:
    """What the companion said on stderr, or the server in its log, since the last time."""
    said = capsys.readouterr().err + caplog.text
    caplog.clear()
    return said


def test_who_was_away_finds_the_directory_continued_and_no_mix_changes_without_end(
    discovery: Discovery, readers: list[Look]
) -> None:
    discovery.publish(1)
    discovery.publish(2)
    assert [sorted(look()) for look in readers] == [[1, 2], [1, 2]]
    assert discovery.publish(1, times=11).status_code == 204
    answer = discovery.publish(1)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, str(DAY // 2 + 1))
    assert discovery.publish(2, times=5).status_code == 204
    assert [sorted(look()) for look in readers] == [[1, 2], [1, 2]]
    discovery.later(DAY // 2)
    assert discovery.publish(1).status_code == 204
    discovery.publish(2)
    assert [sorted(look()) for look in readers] == [[1, 2], [1, 2]]


def test_whoever_brings_what_a_mix_said_again_does_not_keep_it_from_publishing(discovery: Discovery) -> None:
    def own() -> bytes:
        made = discovery.shown.content
        return Content({1: made.descriptions[1]}, {1: made.announcements[1]}).encode()

    discovery.publish(1)
    old = own()
    discovery.publish(1)
    for body, status in ((own(), 204), (old, 409)):
        assert {discovery.put(1, body).status_code for _ in range(30)} == {status}
    assert discovery.publish(1).status_code == 204


def test_two_descriptions_of_one_second_do_not_take_turns(discovery: Discovery) -> None:
    """Or a stranger could bring the one and the other for ever, each time as a new directory."""
    discovery.publish(1)
    discovery._issued -= 1
    assert discovery.publish(1, url="http://127.0.0.99").status_code == 409


def test_the_next_days_keys_come_in_one_edition_that_costs_a_key_a_mix(discovery: Discovery) -> None:
    discovery.publish(1)
    discovery.publish(2)

    def announce(number: int, day: int) -> None:
        text = discovery.shown.content.descriptions[number]
        seed = keyfiles.read(discovery.servers.folder / f"mix-{number}", keyfiles.SIGNING)
        made = announcement.sign(number, day, key_of(number, day), (), text, seed).encode()
        assert discovery.put(number, Content({number: text}, {number: {day: made}}).encode()).status_code == 204

    for _ in range(2):
        discovery.later(DAY)
        before = discovery.shown
        tomorrow = int(discovery.clock.now) // DAY + 1
        announce(1, tomorrow)
        assert discovery.shown == before  # the other one's is waited for
        announce(2, tomorrow)
        after = discovery.shown
        assert after.head.sequence == before.head.sequence + 1
        assert discovery.news(tomorrow - 1).applied_to(before.content) == after
        assert discovery.news(tomorrow).news == Content()
        assert discovery.servers.http.get(f"{discovery.url}/v2/directory/{tomorrow + 1}").status_code == 404
    news = discovery.news(tomorrow - 1).news
    assert news.descriptions == {}
    assert {number: set(days) for number, days in news.announcements.items()} == {1: {tomorrow}, 2: {tomorrow}}


def test_the_keys_of_a_mix_that_is_alone_in_time_do_not_wait_for_ever(discovery: Discovery) -> None:
    discovery.publish(1, days=1)
    discovery.publish(2, days=1)
    text, today = discovery.shown.content.descriptions[1], int(discovery.clock.now) // DAY
    seed = keyfiles.read(discovery.servers.folder / "mix-1", keyfiles.SIGNING)
    made = announcement.sign(1, today + 1, key_of(1, today + 1), (), text, seed).encode()
    discovery.put(1, Content({1: text}, {1: {today + 1: made}}).encode())
    assert max(discovery.shown.content.announcements[1]) == today
    discovery.later(601)
    eventually("it is taken up", lambda: max(discovery.shown.content.announcements[1]) == today + 1)


def test_another_history_behind_what_was_missed_is_refused_until_it_is_too_long_ago_which_is_told(
    discovery: Discovery,
    readers: list[Look],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    discovery.publish(1)
    discovery.publish(2, times=2)
    for look in readers:
        look()
    discovery.forget()
    discovery.publish(1)
    discovery.publish(2, times=9)
    for look in (*readers, *readers):
        with pytest.raises((DirectoryError, PeerError), match="does not continue the directory 4 seen before"):
            look()
    discovery.later((KEPT_DAYS + 1) * DAY)
    discovery.publish(1)
    discovery.publish(2)
    for look in readers:
        warned(capsys, caplog)
        assert sorted(look()) == [1, 2]
        assert "trusted by its signature alone" in warned(capsys, caplog)
    discovery.publish(2, times=2)
    for look in readers:
        look()
        assert warned(capsys, caplog) == ""


def test_a_network_file_with_another_key_of_discovery_begins_another_history(
    discovery: Discovery, readers: list[Look]
) -> None:
    discovery.publish(1, times=3)
    discovery.publish(2)
    for look in readers:
        look()
    discovery.forget(key=True)
    discovery.publish(1)
    discovery.publish(2)
    assert [sorted(look()) for look in readers] == [[1, 2], [1, 2]]


def test_discovery_shows_past_heads_for_30_days_and_a_directory_that_does_not_change_is_told_to_grow_old(
    discovery: Discovery,
    readers: list[Look],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    discovery.publish(1)
    discovery.publish(2)
    day = discovery.shown.content.day
    assert [head.sequence for head in discovery.news(day).heads] == [2, 3]
    for path in ("-1", "x", "65536"):
        assert discovery.servers.http.get(f"{discovery.url}/v2/directory/{path}").status_code == 422

    for hours, told in ((29, ("", "")), (2, ("31 hours old", "more than a day old"))):
        discovery.later(hours * 3600)
        for look, words in zip(readers, told, strict=True):
            look()
            said = warned(capsys, caplog)
            assert words in said if words else said == ""

    def listed() -> set[int]:
        return set(discovery.shown.content.descriptions)

    discovery.later((KEPT_DAYS + 1) * DAY - 31 * 3600)
    discovery.publish(2)
    assert listed() == {1, 2}  # nothing is dropped before another server has confirmed what day it is
    discovery.servers.start("mailbox")
    eventually("the mailbox server has announced itself", lambda: 5 in listed())
    eventually("who has no key alive is gone", lambda: listed() == {2, 5})
    assert [head.sequence for head in discovery.news(day).heads][:2] == [2, 3]
    discovery.later(31 * DAY)
    eventually("so is the other, in time", lambda: 2 not in listed())
