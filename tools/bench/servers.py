"""Messages a second through real mix processes, on either store: in by HTTP, unwrapped, durable, out by HTTP.

    python -m tools.bench.servers

A network on the loopback without delays. What posts the messages, the mix that is measured, and the mixes behind it
share the processor cores, so what a hop costs is told in processor time of the measured mix's process, as a multiple of
one X25519 of libsodium, which is timed between the rounds. Nobody asks the measured mix for anything meanwhile: that
all messages went through is seen at the mix behind it. Where their processor time goes is sampled in a round of its own
(shares.py), since sampling costs some, too. Figures in one table come from one run.
"""

import json
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle
from os import urandom
from pathlib import Path
from typing import Any

import httpx
from anontrace.backend import config
from anontrace.backend.keys import keyfiles
from anontrace.backend.operating.nearby import Place
from anontrace.mixnet.packet import forward_many
from anontrace.mixnet.path import Hop
from anontrace.mixnet.sizes import MAILBOX, PAYLOAD
from anontrace.wire import network
from anontrace.wire.choosing_paths import Paths
from nacl import bindings
from rich.console import Console

from tools.bench import shares
from tools.bench.network import mixes_of
from tools.bench.report import Report
from tools.redis import MissingRedis
from tools.redis_cluster import RedisCluster

_COMMAND = Path(sys.executable).with_name("anontrace-server")
_REPOSITORY = Path(__file__).parents[2]
_MESSAGES = 4096
_IN_ONE_POST, _SENDERS = 256, 4
_ROUNDS = 5
_PATIENCE = 300.0
_LOOK_SECONDS = 0.05
_MEASURED = "mix-1"


def _started(command: list[str]) -> subprocess.Popen[bytes]:
    silent = subprocess.DEVNULL  # they say that the others are not there yet
    return subprocess.Popen(command, stdout=silent, stderr=silent, cwd=_REPOSITORY)


class Mixes:
    """A network of processes in a folder. `store`: the line of mix-1's server.toml, and the cluster's password.
    `sampled`: where the measured mix is to write what its time went into."""

    def __init__(self, folder: Path, store: tuple[str, str] | None, sampled: Path | None) -> None:
        self.folder = folder
        self._sampled = sampled
        self._command("init", str(folder), "--delay", "0")
        self.pinned = network.load(folder / "network.toml")
        self.http = httpx.Client(trust_env=False, timeout=60)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._workers: dict[str, subprocess.Popen[bytes]] = {}  # of the measured mix, by their URLs
        if store is not None:
            url, password = store
            path = folder / _MEASURED / "server.toml"
            path.write_text(path.read_text().replace("network =", f'store = "{url}"\nnetwork =', 1))
            secret = folder / _MEASURED / keyfiles.STORE
            secret.touch(mode=0o600)
            secret.write_text(password)

    def _command(self, *arguments: str) -> None:
        subprocess.run([_COMMAND, *arguments], check=True, stdout=subprocess.DEVNULL)

    def start(self) -> None:
        """One process for the measured mix, one for all others; until all know each other."""
        names = sorted(path.parent.name for path in self.folder.glob("*/server.toml"))
        for group in ([name for name in names if name != _MEASURED], [_MEASURED]):
            command = [str(_COMMAND)]
            if group == [_MEASURED] and self._sampled is not None:
                command = [sys.executable, "-m", "tools.bench.shares", str(self._sampled)]
            command += ["run", *(str(self.folder / name) for name in group)]
            self._processes.append(_started(command))
        until("the mixes know each other", lambda: len(self.hops()) == len(self.pinned.pins) and self.ready())
        self._workers[self.url(1)] = self._processes[-1]

    def ready(self) -> bool:
        """Whether the measured mix is."""
        return self._get(self.url(1) + "/readyz").is_success

    def add_worker(self) -> None:
        """Start a second process of the measured mix, on the same cluster; what is posted from now on goes to both."""
        home, copy = self.folder / _MEASURED, self.folder / "second"
        shutil.copytree(home, copy, ignore=shutil.ignore_patterns("store", "*.sock"))
        with socket.create_server(("127.0.0.1", 0)) as probe:
            place = f"127.0.0.1:{probe.getsockname()[1]}"
        path = copy / "server.toml"
        path.write_text(re.sub(r'(?m)^listen = ".*"$', f'listen = "{place}"', path.read_text()))
        self._processes.append(_started([str(_COMMAND), "run", str(copy)]))
        until("the second worker is ready", lambda: self._get(f"http://{place}/readyz").is_success)
        self._workers[f"http://{place}"] = self._processes[-1]

    def _get(self, url: str) -> httpx.Response:
        try:
            return self.http.get(url)
        except httpx.HTTPError:
            return httpx.Response(503)

    def hops(self) -> dict[int, Hop]:
        """Every mix that is in discovery's directory."""
        found = mixes_of(self.http, self.pinned)
        self._urls = {number: each.url for number, each in found.items()}
        paths = Paths(found, time.time())
        return {number: paths.hop(number) for number in found}

    def url(self, number: int) -> str:
        return self._urls[number]

    def spent(self) -> float:
        """Seconds of processor time that the measured mix's processes have used."""
        clocks = ((~each.pid << 3) | 2 for each in self._workers.values())  # Linux: the clock of a process by its id
        return sum(map(time.clock_gettime, clocks))

    def begin_samples(self) -> None:
        """Count from now on what the measured mix's time goes into."""
        self._processes[-1].send_signal(signal.SIGUSR1)

    def counters(self, number: int) -> dict[str, Any]:
        homes = (path.parent for path in self.folder.glob("*/server.toml"))
        server = next(each for each in map(config.load, homes) if each.config.number == number)
        return dict(Place.for_staff(server).request("GET", "/v1/status", 60).json()["counters"])

    def post(self, messages: Sequence[bytes]) -> None:
        """To mix 1, many connections at once, to its workers in turns."""
        urls = cycle(self._workers)
        bodies = [messages[at : at + _IN_ONE_POST] for at in range(0, len(messages), _IN_ONE_POST)]

        def send(url: str, body: Sequence[bytes]) -> None:
            headers = {"Content-Type": "application/octet-stream"}
            self.http.post(url + "/v1/messages", content=b"".join(body), headers=headers).raise_for_status()

        with ThreadPoolExecutor(_SENDERS) as pool:
            list(pool.map(send, urls, bodies))

    def close(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(30)
        self.http.close()


def until(what: str, check: Callable[[], object]) -> None:
    """Wait for something; TimeoutError if it does not come."""
    deadline = time.monotonic() + _PATIENCE
    while not check():
        if time.monotonic() > deadline:
            raise TimeoutError(f"still not so after {_PATIENCE:.0f} s: {what}")
        threading.Event().wait(_LOOK_SECONDS)


def through(net: Mixes, way: Sequence[int]) -> tuple[float, float]:
    """Seconds of the measured mix's processor time for each message on their way along `way`, which begins there; and
    messages a second that reached its end."""
    hops = net.hops()
    path = [hops[number] for number in way]
    messages = forward_many([path] * _MESSAGES, urandom(MAILBOX), [urandom(PAYLOAD) for _ in range(_MESSAGES)])
    last = way[-1]
    before, spent, start = net.counters(last).get("accepted", 0), net.spent(), time.perf_counter()
    net.post(messages)
    until("all went through", lambda: net.counters(last).get("accepted", 0) >= before + _MESSAGES)
    return (net.spent() - spent) / _MESSAGES, _MESSAGES / (time.perf_counter() - start)


def x25519_seconds() -> float:
    """Of processor time, by libsodium."""
    scalar, point = urandom(32), bindings.crypto_scalarmult_base(urandom(32))
    begin = time.thread_time()
    for _ in range(_MESSAGES):
        bindings.crypto_scalarmult(scalar, point)
    return (time.thread_time() - begin) / _MESSAGES


@contextmanager
def running(folder: Path, store: tuple[str, str] | None, sampled: Path | None = None) -> Iterator[Mixes]:
    net = Mixes(folder, store, sampled)
    try:
        net.start()
        yield net
    finally:
        net.close()


def run() -> Report:
    """The figures of both stores."""
    report = Report("Servers: whole hops")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with running(folder / "rocksdb", None) as net:
            _hop(net, "rocksdb", report)
            mailbox = net.pinned.with_role("mailbox")[0]
            _, whole = through(net, [1, 2, 3, mailbox])
            report.add("rocksdb_four_hops", "rocksdb: through four hops into mailboxes, a second", whole, "")
        _shares(folder / "sampled", report)
        try:
            cluster = RedisCluster(folder / "redis-nodes")
        except MissingRedis as error:
            report.remark(f"No figures of Redis: {error}")
            return report
        try:
            with running(folder / "redis", (cluster.url, cluster.password)) as net:
                _hop(net, "redis", report)
        finally:
            cluster.close()
    ratio = report["redis_hop_cost"] / report["rocksdb_hop_cost"]
    report.add("redis_to_rocksdb_hop", "Redis to RocksDB: processor time of a hop, without Redis' own", ratio, "")
    report.remark(f"{_MESSAGES} messages, {_IN_ONE_POST} a request, {_SENDERS} requests at once; one process a mix.")
    report.remark(f"The middle of {_ROUNDS} rounds. Whole hops a second: everything on this machine, sender included.")
    return report


def _hop(net: Mixes, name: str, report: Report) -> None:
    through(net, [1, 2])  # connections, scripts, column families
    ratios, spent, rates = [], [], []
    for _ in range(_ROUNDS):
        measure = x25519_seconds()
        cost, rate = through(net, [1, 2])
        spent.append(cost)
        rates.append(rate)
        ratios.append(2 * cost / (measure + x25519_seconds()))
    middle = statistics.median
    report.add(f"{name}_hop_cost", f"{name}: a hop (HTTP in, unwrap, durable, HTTP out)", middle(ratios), "X25519")
    report.add(f"{name}_hop_time", f"{name}: the same in processor time", middle(spent) * 1e6, "us")
    report.add(f"{name}_hop", f"{name}: whole hops a second", middle(rates), "")


def _shares(folder: Path, report: Report) -> None:
    """What the time of a hop goes into."""
    written = folder.with_suffix(".json")
    with running(folder, None, written) as net:
        through(net, [1, 2])
        net.begin_samples()
        for _ in range(_ROUNDS):
            through(net, [1, 2])
    found = json.loads(written.read_text())
    for number, name in enumerate(shares.NAMES):
        report.add(f"rocksdb_hop_share_{number}", f"rocksdb: of a hop's processor time: {name}", 100 * found[name], "%")


def main() -> None:
    """The command."""
    from tools.bench.__main__ import show

    show(run(), Console())


if __name__ == "__main__":
    main()
