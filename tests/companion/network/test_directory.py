"""Which directories a companion goes by, and what it says of those that lack mixes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from anontrace import clock
from anontrace.companion.errors import DirectoryError, NoSuchThingError
from anontrace.companion.network import directory
from anontrace.companion.network.client import Client
from anontrace.companion.store.network import NetworkStore, StoredDirectory, StoredNetwork
from anontrace.companion.store.state import State, create
from anontrace.wire.directory import Difference, Directory

from tests.wire.samples import NETWORK, NOW, TODAY, content, edition

DAY = 86400


class Discovery:
    """Answers what is asked, from the editions that there are."""

    def __init__(self) -> None:
        self.editions: list[Directory] = []
        self.asked: list[str] = []

    def show(self, *numbers: int, days: tuple[int, ...] = (TODAY, TODAY + 1)) -> None:
        before = self.editions[-1].head if self.editions else None
        sequence, previous = (before.sequence + 1, before.digest) if before else (1, None)
        self.editions.append(edition(sequence, previous, content(numbers, days), int(clock.now())))

    def get(self, _server: str, url: str, _most: int | None = None) -> bytes:
        self.asked.append(url.removeprefix(NETWORK.discovery.url))
        newest = self.editions[-1]
        if url.endswith("/v2/directory"):
            return newest.encode()
        heads = [each.head for each in self.editions]
        return Difference(heads, newest.signature, frozenset(newest.content.descriptions), newest.content).encode()


Look = Callable[..., list[int]]


@pytest.fixture
def discovery() -> Discovery:
    return Discovery()


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [float(NOW)]
    monkeypatch.setattr(clock, "now", lambda: now[0])
    return now


@pytest.fixture
def store(tmp_path: Path, moment: list[float]) -> Iterator[NetworkStore]:
    create(tmp_path / "state")
    opened = State(tmp_path / "state")
    opened.network.put(StoredNetwork("net", NETWORK.to_toml(), None), int(moment[0]))
    yield opened.network
    opened.close()


@pytest.fixture
def look(store: NetworkStore, discovery: Discovery, monkeypatch: pytest.MonkeyPatch) -> Look:
    """The mixes that a command goes by."""
    monkeypatch.setattr(Client, "get", lambda _, *asked: discovery.get(*asked))

    def look(fresh_seconds: int = directory.FRESH_SECONDS) -> list[int]:
        with Client() as client:
            return sorted(directory.mixes_in_force(store, NETWORK, client, fresh_seconds))

    return look


def test_what_is_fetched_once_a_day_is_what_is_new(look: Look, discovery: Discovery, moment: list[float]) -> None:
    discovery.show(*range(1, 7))
    assert look(DAY) == look(DAY) == [1, 2, 3, 4, 5, 6]
    moment[0] += DAY
    discovery.show(*range(1, 7), days=(TODAY + 1, TODAY + 2))
    assert look(DAY) == look(DAY) == [1, 2, 3, 4, 5, 6]
    assert discovery.asked == ["/v2/directory", f"/v2/directory/{TODAY + 1}"]


def test_a_directory_without_two_thirds_of_the_mixes_is_refused_and_names_those_that_are_missing(
    look: Look, discovery: Discovery, store: NetworkStore, capsys: pytest.CaptureFixture[str]
) -> None:
    discovery.show(2, 5, 6)
    with pytest.raises(DirectoryError, match="lacks mix 1, 3, 4: fewer than two thirds of the 6 mixes"):
        look()
    assert store.directory() is None
    discovery.show(2, 3, 5, 6)
    assert look() == [2, 3, 5, 6]
    assert "lacks mix 1, 4 of the network file" in capsys.readouterr().err
    discovery.show(*range(1, 7))
    assert look() == [1, 2, 3, 4, 5, 6]
    assert capsys.readouterr().err == ""


def test_what_a_companion_before_0_3_kept_is_replaced_without_a_word(
    look: Look, discovery: Discovery, store: NetworkStore, capsys: pytest.CaptureFixture[str]
) -> None:
    store.put_directory(StoredDirectory(700, '{"document": "{}", "signature": "00", "lists": []}', NOW))
    discovery.show(*range(1, 7))
    assert look() == [1, 2, 3, 4, 5, 6]
    assert capsys.readouterr().err == ""
    kept = store.directory()
    assert kept is not None and kept.document == discovery.editions[-1].encode()


def test_a_discovery_that_has_no_such_directory_is_older(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_: object) -> bytes:
        raise NoSuchThingError("discovery refuses: not found")

    monkeypatch.setattr(Client, "get", nothing)
    with pytest.raises(DirectoryError, match=r"discovery at 127\.0\.0\.1:8000 is older than this companion"):
        look()
