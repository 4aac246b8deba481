"""What connections over TLS show by sizes and milliseconds: nothing of whether a wearer is idle, was notified of a
meeting of four hours, or hands a log in.

Real servers, the shipped companion, and a tap in between. Each wearer's state folder is as it was before each request,
so that a connection is a trial of its own; kinds come in random order within one run, and ranks are compared, so that a
busy machine is slow to all of them alike. When a request leaves is not part of it: `run` draws that
(tests/companion/schedule/test_run.py).

With 40 connections of each kind and task the best of nine ways exceeds 0.81 by chance in less than one of a thousand
runs. What an observer finds who learns the way from some connections, and then looks at others, is nearer to its limit:
0.55, and four standard errors of the mean over kinds and tasks. ANONTRACE_LINE_CONNECTIONS=200 looks closer.
"""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import combinations
from math import sqrt
from pathlib import Path
from random import Random
from statistics import fmean
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from anontrace import clock
from anontrace.backend.mix.outbox import MAX_MESSAGES
from anontrace.companion.addresses import registration
from anontrace.companion.exposures.cases import assess
from anontrace.companion.exposures.looking import GROUPS
from anontrace.companion.network.servers import Servers as CompanionServers
from anontrace.companion.reports.journey import unsent
from anontrace.companion.schedule import run
from anontrace.companion.schedule.run import Run
from anontrace.companion.store import state
from anontrace.companion.store.badges import RATCHET
from anontrace.companion.store.network import StoredNetwork
from anontrace.companion.store.state import State
from anontrace.foreign import exchange
from anontrace.mixnet import blob, notification, surb
from anontrace.mixnet.header import GROUPED
from anontrace.mixnet.sizes import GROUP, MAILBOX, PAYLOAD
from anontrace.wire import look
from anontrace.wire.levels import Level
from anontrace_shared.slots import day_of, slot_of

from tests.adversary.milliseconds import Connection, Tap, learnt, told_apart
from tests.adversary.table import MAX_AUC
from tests.backend.certificates import Authority
from tests.backend.tls import NAMES, TlsServers
from tests.companion.conftest import SLOT_SECONDS, START, SimulatedClock
from tests.companion.paper import exposure
from tests.companion.schedule.test_shape import hand_in
from tests.patience import eventually

KINDS = ("idle", "notified", "uploading")
TASKS = (run.MESSAGES, run.POLL)
MEETING = 46  # slots: all of it is solved in one look
FRAGMENTS = 1000
EACH = int(os.environ.get("ANONTRACE_LINE_CONNECTIONS", "40"))  # connections of each kind
LEAKY = 25  # of each kind, where the companion or the mailbox server leaks
LEVEL = Level("line", messages=12, batch=8, looks=8, digests=64, sums=64, window_days=5, receipts=4, renewals=6)
LARGEST = replace(LEVEL, digests=look.MAX_DIGESTS, sums=look.MAX_SUMS)
MUCH = 700  # messages


def most(count: int) -> float:
    """The area that is still taken for chance: 0.55, and four standard errors by so many connections of each kind."""
    return 0.55 + 4 * sqrt((2 * count + 1) / (12 * count * count))


@pytest.fixture(scope="module")
def now(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedClock]:
    """Four hours after a morning's first slot, for servers and wearers."""
    found = SimulatedClock(tmp_path_factory.mktemp("clock") / "clock")
    found.advance(MEETING * SLOT_SECONDS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "now", lambda: found.now)
        yield found


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, now: SimulatedClock) -> Iterator[TlsServers]:
    """A look is answered after 10 to 30 ms."""
    running = TlsServers(tmp_path_factory.mktemp("line") / "net", Authority(), delay=0.2, clock=now.path)
    try:
        running.start_apart(["mix-1", "mix-2", "mix-3"], ["mailbox"], ["discovery", "nymserver", "authority"])
        running.ready(NAMES)
        yield running
    finally:
        running.close()


@pytest.fixture
def tap(servers: TlsServers, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tap]:
    """The line of the wearers from now on."""
    ports = {urlsplit(servers.url(name)).port: name for name in ("mix-1", "mix-2", "mix-3", "mailbox")}
    tapped = Tap(*(port for port in ports if port is not None))
    connect = exchange._Backend.connect_tcp

    def through(self: Any, host: str, port: int, *rest: Any, **more: Any) -> Any:
        return connect(self, host, tapped.places.get(port, port), *rest, **more)

    monkeypatch.setattr(exchange._Backend, "connect_tcp", through)
    yield tapped
    tapped.close()


class Wearer:
    """A state folder with four hours of addresses, all registered, to which it returns before each request."""

    def __init__(self, folder: Path, servers: TlsServers, now: SimulatedClock) -> None:
        self.folder, self._now, self._servers = folder, now, servers
        self.key = state.create(folder)
        with state.changing(folder, self.key) as opened:
            opened.network.put(StoredNetwork("net", (servers.folder / "network.toml").read_text(), None), int(now.now))
            first = slot_of(START)
            badge = opened.badges.ensure(day_of(first))
            opened.badges.set_provisioned(badge, RATCHET, first, first + MEETING, START)
            with CompanionServers(opened.network, run.DIRECTORY_SECONDS) as directory:
                assert directory.catch_up()
                now.now -= MEETING * SLOT_SECONDS  # for the companion alone
                registration.make(opened, directory, badge, first, first + MEETING, lambda *_: None)
                now.now += MEETING * SLOT_SECONDS
            self.made = opened.addresses.pending()
            surbs = [each.surb for each in self.made]
            opened.addresses.set_sent(surbs, START)
            opened.addresses.set_confirmed(surbs, START)

    def notify(self) -> None:
        """As the nymserver does, for a meeting of four hours; returns when it lies in the mailboxes."""
        content = exposure(secrets.token_bytes(16), secrets.token_bytes(8))
        blobs = [blob.open(each.address.contact_address, each.address.slot, each.blob) for each in self.made]
        self._send([(sent, notification.seal(sent.message_key, content)) for sent in map(surb.parse, blobs)])

    def fill(self, count: int) -> None:
        """So many messages more, which nobody expects, come in one of the wearer's groups."""
        with (
            state.changing(self.folder, self.key) as opened,
            CompanionServers(opened.network, run.DIRECTORY_SECONDS) as directory,
        ):
            ((home, (group, *_)),) = opened.groups.live(int(self._now.now), GROUPS).items()
            boxes = [group.address + secrets.token_bytes(MAILBOX - GROUP) for _ in range(count)]
            blocks = [surb.make(directory.path_to(home), box, version=GROUPED)[0] for box in boxes]
        self._send([(sent, secrets.token_bytes(PAYLOAD)) for sent in map(surb.parse, blocks)])

    def _send(self, messages: list[tuple[surb.Surb, bytes]]) -> None:
        before = self._servers.count("mailbox", "mailbox_stored")
        by_first: dict[int, list[bytes]] = {}
        for sent, payload in messages:
            by_first.setdefault(sent.first_mix, []).append(sent.header + payload)
        for first, batch in by_first.items():
            url = self._servers.url(f"mix-{first}")
            for at in range(0, len(batch), MAX_MESSAGES):  # how many go to which mix is up to chance
                some = b"".join(batch[at : at + MAX_MESSAGES])
                assert self._servers.http.post(f"{url}/v1/messages", content=some).is_success
        expected = before + len(messages)  # and some answers to receipts, which other trials asked for
        eventually("all is there", lambda: self._servers.count("mailbox", "mailbox_stored") >= expected)

    def upload(self) -> None:
        """Have a log handed in whose opening is there."""
        with state.changing(self.folder, self.key) as opened:
            hand_in(SimpleNamespace(state=opened, time=self._now), FRAGMENTS)
            (stored,) = opened.uploads.all()
            opened.uploads.set_fragments(stored, range(1, 1 + FRAGMENTS), 0, START)

    def trial(self, task: str, folder: Path, holds: bool, level: Level = LEVEL) -> tuple[int, int]:
        """A task by a copy of the state folder; returns how many exposures the wearer knows of then, and how many
        fragments are still to be sent."""
        shutil.copytree(self.folder, folder)
        outcome = self.do(task, folder, holds, level)
        shutil.rmtree(folder)
        return outcome

    def do(self, task: str, folder: Path, holds: bool = False, level: Level = LEVEL) -> tuple[int, int]:
        """The same by this folder, as `run` does it. `holds`: the connection stays open until all that the answer says
        is stored, as up to 0.2."""
        events: list[run.Event] = []
        outcome = 0, 0

        @contextmanager
        def changing() -> Iterator[State]:
            with closing(State(folder, self.key)) as opened:
                opened._db.run("PRAGMA synchronous = OFF")
                yield opened
                nonlocal outcome
                outcome = len(assess(opened)), sum(len(unsent(each)) for each in opened.uploads.all())

        running = Run(
            changing, lambda opened: CompanionServers(opened.network, run.DIRECTORY_SECONDS),
            level, None, events.append, pause=lambda _: None,
        )  # fmt: skip
        if holds:
            done = running._tasks[task]

            def holding(opened: State, directory: CompanionServers) -> None:
                done(opened, directory)
                directory.__exit__(None, None, None)

            running._tasks[task] = holding
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(exchange, "_IDLE", int(holds))
            running._do(task)
        assert not [each for each in events if "error" in each.document or "offline" in each.document]
        return outcome


def test_no_connection_shows_what_a_wearer_is_told_or_hands_in(
    servers: TlsServers, now: SimulatedClock, tap: Tap, tmp_path: Path
) -> None:
    wearers = {(task, kind): Wearer(tmp_path / f"{task}-{kind}", servers, now) for task in TASKS for kind in KINDS}
    for (task, kind), wearer in wearers.items():
        if kind == "uploading":
            wearer.upload()
        if kind == "notified":
            wearer.notify()
            if task == run.MESSAGES:  # who was told, and has addresses to re-arm
                wearer.do(run.POLL, wearer.folder)
                tap.next()
    # Answers are drawn from a tenth of this: on a busy machine a look takes longer than a tenth of 0.2 s.
    set_delay(servers, 0.2, 1.0)
    mailbox = urlsplit(servers.url("mailbox")).port
    trials = [(task, kind, False) for task in TASKS for kind in KINDS] * EACH
    trials += [(run.POLL, kind, True) for kind in ("idle", "notified")] * LEAKY  # the leak
    seen: dict[tuple[str, str, bool], list[Connection]] = {each: [] for each in trials}
    for number, trial in enumerate(Random(1).sample(trials, len(trials))):
        task, kind, holds = trial
        known, left = wearers[task, kind].trial(task, tmp_path / str(number), holds)
        seen[trial].append(tap.next())
        assert (seen[trial][-1].port == mailbox) == (task == run.POLL)  # one connection for each task, and no more
        assert known == (kind == "notified")
        assert left == 0 if kind != "uploading" else 0 < left < FRAGMENTS or (left, task) == (FRAGMENTS, run.POLL)
    found = {
        (task, one, other): told_apart(seen[task, one, False], seen[task, other, False])
        for task in TASKS
        for one, other in combinations(KINDS, 2)
    }
    leak = told_apart(seen[run.POLL, "idle", True], seen[run.POLL, "notified", True])
    at_once = told_apart(*answered_at_once(servers, wearers, tap, tmp_path))
    by_learning = fmean(
        learnt(seen[task, one, False], seen[task, other, False])
        for task in TASKS
        for one, other in combinations(KINDS, 2)
    )
    worst = {pair: max((round(area, 3), name) for name, area in areas.items()) for pair, areas in found.items()}
    print(worst, round(by_learning, 3), leak, at_once)
    # The mean of six figures, of which four are independent.
    assert by_learning <= MAX_AUC + 4 * sqrt((2 * EACH + 1) / (12 * EACH * EACH) / 4), by_learning
    for pair, areas in found.items():
        assert max(areas.values()) <= most(EACH), (pair, areas)
    assert leak["until it closes"] > most(40), leak
    assert at_once["until the answer"] > most(40), at_once


def set_delay(servers: TlsServers, before: float, after: float) -> None:
    """Another mean delay, in seconds, for the mailbox server."""
    servers.configure("mailbox", f"delay = {before}", f"delay = {after}")
    assert servers.terminate("mailbox") == 0
    servers.start("mailbox")


def answered_at_once(
    servers: TlsServers, wearers: dict[tuple[str, str], Wearer], tap: Tap, folder: Path
) -> tuple[list[Connection], list[Connection]]:
    """The leak of the other side: looks, as large as they may be, of who is idle and of whom much came for, by a
    mailbox server that answers as soon as it has worked its answer out."""
    set_delay(servers, 1.0, 0.0)
    wearers[run.POLL, "notified"].fill(MUCH)
    seen: dict[str, list[Connection]] = {"idle": [], "notified": []}
    trials = [*seen] * LEAKY
    for number, kind in enumerate(Random(2).sample(trials, len(trials))):
        wearers[run.POLL, kind].trial(run.POLL, folder / f"at-once-{number}", False, LARGEST)
        seen[kind].append(tap.next())
    return seen["idle"], seen["notified"]
