"""The directory's chain, served by a real discovery: who was away checks how it went on; a fork over the gap shows."""

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from anontrace import clock as the_clock
from anontrace.backend import keyfiles
from anontrace.backend.clockcheck import ClockCheck
from anontrace.backend.errors import PeerError
from anontrace.backend.peers import Peers
from anontrace.backend.store import open_store
from anontrace.companion import database, directory
from anontrace.companion.client import Client
from anontrace.companion.errors import DirectoryError
from anontrace.companion.store.network import NetworkStore, StoredNetwork
from anontrace.companion.vault import Vault
from anontrace.wire import keylist, network
from anontrace.wire.directory import KEPT_DAYS, PAGE
from anontrace.wire.keylist import KeyList
from anontrace_primitives import x25519_base

from .servers import Servers, eventually
from .test_days import DAY, NOON, Clock

JSON = {"Content-Type": "application/json"}


class Discovery:
    """A discovery server in simulated time, and the mixes' lists by hand."""

    def __init__(self, servers: Servers, clock: Clock) -> None:
        self.servers = servers
        self.clock = clock
        self.network = network.load(servers.folder / "network.toml")
        self._issued = 0

    def publish(self, number: int, times: int = 1, url: str | None = None) -> httpx.Response:
        """Lists of a mix that is to be found at `url`, each an edition; the last answer."""
        seed = keyfiles.read(self.servers.folder / f"mix-{number}", keyfiles.SIGNING)
        for _ in range(times):
            self._issued = max(self._issued + 1, int(self.clock.now) - 300)
            made = KeyList(
                number=number,
                name=f"mix-{number}",
                roles=("mix",),
                url=url or f"http://127.0.0.{number}",
                issued=self._issued,
                expires=self._issued + 2 * DAY,
                keys=(keylist.MixKey(day=int(self.clock.now) // DAY, key=x25519_base(bytes(31) + b"\x40")),),
            )
            to = f"{self.network.discovery.url}/v1/lists/{number}"
            answer = self.servers.http.put(to, content=keylist.sign(made, seed).to_json(), headers=JSON)
        return answer

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


Look = Callable[[], dict[int, KeyList]]


def companion(discovery: Discovery, folder: Path) -> Look:
    """What a companion does with the directory at each command; it looks anew each time."""
    folder.mkdir()
    store = NetworkStore(database.open_database(folder), Vault(bytes(32)))
    store.put(StoredNetwork("net", discovery.network.to_toml(), None), int(discovery.clock.now))

    def look() -> dict[int, KeyList]:
        with Client() as client:
            return directory.key_lists(store, discovery.network, client, fresh_seconds=0)

    return look


def server(discovery: Discovery, folder: Path) -> Look:
    """What a server does with it: each look is a restart, with what the one before left in the store."""

    async def refreshed() -> dict[int, KeyList]:
        store = await open_store(folder)
        peers = Peers(store, discovery.network, ClockCheck("me"), "http://me", 20.0)
        try:
            await peers.start()
            await peers.refresh()
            return dict(peers.lists)
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


def test_who_was_away_finds_the_directory_continued_and_no_mix_publishes_without_end(
    discovery: Discovery, readers: list[Look]
) -> None:
    discovery.publish(1)
    assert [sorted(look()) for look in readers] == [[1], [1]]
    assert discovery.publish(1, times=99).status_code == 204
    answer = discovery.publish(1)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, str(DAY // 2 + 1))
    assert discovery.publish(2, times=PAGE - 90).status_code == 204
    assert [sorted(look()) for look in readers] == [[1, 2], [1, 2]]
    discovery.later(DAY // 2)
    assert discovery.publish(1).status_code == 204


def test_whoever_brings_the_lists_of_a_mix_again_does_not_keep_it_from_publishing(discovery: Discovery) -> None:
    url = f"{discovery.network.discovery.url}/v1/lists/1"
    current = f"{discovery.network.discovery.url}/v1/directory"

    def shown() -> str:
        (each,) = discovery.servers.http.get(current).json()["lists"]
        return json.dumps(each)

    discovery.publish(1)
    old = shown()
    discovery.publish(1)
    for body, status in ((shown(), 204), (old, 409)):
        answers = {discovery.servers.http.put(url, content=body, headers=JSON).status_code for _ in range(101)}
        assert answers == {status}
    assert discovery.publish(1).status_code == 204


def test_two_lists_of_one_second_do_not_take_turns(discovery: Discovery) -> None:
    """Or a stranger could bring the one and the other for ever, each time as a new directory."""
    discovery.publish(1)
    discovery._issued -= 1
    assert discovery.publish(1, url="http://127.0.0.99").status_code == 409


def test_another_history_behind_what_was_missed_is_refused_until_it_is_too_long_ago_which_is_told(
    discovery: Discovery,
    readers: list[Look],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    discovery.publish(1, times=3)
    for look in readers:
        look()
    discovery.forget()
    discovery.publish(2, times=9)
    for look in (*readers, *readers):
        with pytest.raises((DirectoryError, PeerError), match="does not continue the directory 4 seen before"):
            look()
    discovery.later((KEPT_DAYS + 1) * DAY)
    discovery.publish(2)
    for look in readers:
        warned(capsys, caplog)
        assert sorted(look()) == [2]
        assert "trusted by its signature alone" in warned(capsys, caplog)
    discovery.publish(2, times=2)
    for look in readers:
        look()
        assert warned(capsys, caplog) == ""


def test_a_network_file_with_another_key_of_discovery_begins_another_history(
    discovery: Discovery, readers: list[Look]
) -> None:
    discovery.publish(1, times=3)
    for look in readers:
        look()
    discovery.forget(key=True)
    discovery.publish(2)
    assert [sorted(look()) for look in readers] == [[2], [2]]


def test_discovery_shows_past_heads_for_30_days_and_a_directory_that_does_not_change_is_told_to_grow_old(
    discovery: Discovery,
    readers: list[Look],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    discovery.publish(1, times=2)
    url = f"{discovery.network.discovery.url}/v1/directory/chain"
    assert len(discovery.servers.http.get(f"{url}/0").json()["heads"]) == 2
    assert discovery.servers.http.get(f"{url}/1").json() == {"heads": []}
    for page in ("-1", "x", str(1 << 53)):
        assert discovery.servers.http.get(f"{url}/{page}").status_code == 422

    for hours, told in ((23, ("", "")), (2, ("25 hours old", "more than a day old"))):
        discovery.later(hours * 3600)
        for look, words in zip(readers, told, strict=True):
            look()
            said = warned(capsys, caplog)
            assert words in said if words else said == ""

    def heads() -> set[str]:
        return set(discovery.servers.http.get(f"{url}/0").json()["heads"])

    def listed() -> set[int | None]:
        lists = discovery.servers.http.get(f"{discovery.network.discovery.url}/v1/directory").json()["lists"]
        return {keylist.number_of(each["document"]) for each in lists}

    first_day = heads()
    discovery.later((KEPT_DAYS - 1) * DAY)
    discovery.publish(2)
    assert listed() == {1, 2}  # nothing is dropped before another server has confirmed what day it is
    discovery.servers.start("mailbox")
    eventually("the mailbox server has published its list", lambda: 5 in listed())
    assert heads() >= first_day
    discovery.later(2 * DAY)
    eventually("what has expired is gone", lambda: not heads() & first_day and not listed() & {1, 2})
