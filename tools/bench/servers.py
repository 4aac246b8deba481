"""Messages a second through real mix processes, on either store: in by HTTP, unwrapped, durable, out by HTTP.

    python -m tools.bench.servers

A network on the loopback without delays. What posts the messages, the mix that is measured, and the mixes behind it
share the processor cores. Figures in one table come from one run.
"""

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from os import urandom
from pathlib import Path
from typing import Any

import httpx
from anontrace.backend import config
from anontrace.backend.keys import keyfiles
from anontrace.backend.operating.nearby import Place
from anontrace.mixnet.packet import forward
from anontrace.mixnet.path import Hop
from anontrace.mixnet.sizes import MAILBOX, PAYLOAD
from anontrace.wire import network
from anontrace.wire.choosing_paths import Paths
from rich.console import Console

from tools.bench.network import mixes_of
from tools.bench.report import Report
from tools.redis import MissingRedis
from tools.redis_cluster import RedisCluster

_COMMAND = Path(sys.executable).with_name("anontrace-server")
_MESSAGES = 4096
_IN_ONE_POST, _SENDERS = 256, 4
_PATIENCE = 300.0
_MEASURED = "mix-1"


class _Network:
    """A network of processes in a folder. `store`: the line of mix-1's server.toml, and the cluster's password."""

    def __init__(self, folder: Path, store: tuple[str, str] | None) -> None:
        self.folder = folder
        self._command("init", str(folder), "--delay", "0")
        self.pinned = network.load(folder / "network.toml")
        self.http = httpx.Client(trust_env=False, timeout=60)
        self._processes: list[subprocess.Popen[bytes]] = []
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
            command = [str(_COMMAND), "run", *(str(self.folder / name) for name in group)]
            silent = subprocess.DEVNULL  # they say that the others are not there yet
            self._processes.append(subprocess.Popen(command, stdout=silent, stderr=silent))
        until("the mixes know each other", lambda: len(self.hops()) == len(self.pinned.pins) and self.ready())

    def ready(self) -> bool:
        """Whether the measured mix is."""
        return self._get(self.url(1) + "/readyz").is_success

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

    def counters(self, number: int) -> dict[str, Any]:
        homes = (path.parent for path in self.folder.glob("*/server.toml"))
        (server,) = (each for each in map(config.load, homes) if each.config.number == number)
        return dict(Place.for_staff(server).request("GET", "/v1/status", 60).json()["counters"])

    def post(self, messages: Sequence[bytes]) -> None:
        """To mix 1, many connections at once."""
        bodies = [messages[at : at + _IN_ONE_POST] for at in range(0, len(messages), _IN_ONE_POST)]

        def send(body: Sequence[bytes]) -> None:
            headers = {"Content-Type": "application/octet-stream"}
            self.http.post(self.url(1) + "/v1/messages", content=b"".join(body), headers=headers).raise_for_status()

        with ThreadPoolExecutor(_SENDERS) as pool:
            list(pool.map(send, bodies))

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
        threading.Event().wait(0.01)


def through(net: _Network, way: Sequence[int]) -> tuple[float, float]:
    """Messages a second that mix 1 took in, and that left it, on their way along `way`."""
    hops = net.hops()
    path = [hops[number] for number in way]
    messages = [forward(path, urandom(MAILBOX), urandom(PAYLOAD)) for _ in range(_MESSAGES)]
    last, counter = (way[0], "forwarded") if len(way) == 2 else (way[-1], "delivered")
    before = net.counters(last).get(counter, 0)
    start = time.perf_counter()
    net.post(messages)
    taken = time.perf_counter()
    until("all went through", lambda: net.counters(last).get(counter, 0) >= before + _MESSAGES)
    return _MESSAGES / (taken - start), _MESSAGES / (time.perf_counter() - start)


@contextmanager
def _running(folder: Path, store: tuple[str, str] | None) -> Iterator[_Network]:
    net = _Network(folder, store)
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
        with _running(folder / "rocksdb", None) as net:
            _hop(net, "rocksdb", report)
            mailbox = net.pinned.with_role("mailbox")[0]
            _, whole = through(net, [1, 2, 3, mailbox])
            report.add("rocksdb_four_hops", "rocksdb: through four hops into mailboxes, a second", whole, "")
        try:
            cluster = RedisCluster(folder / "redis-nodes")
        except MissingRedis as error:
            report.remark(f"No figures of Redis: {error}")
            return report
        try:
            with _running(folder / "redis", (cluster.url, cluster.password)) as net:
                _hop(net, "redis", report)
        finally:
            cluster.close()
    ratio = report["redis_hop"] / report["rocksdb_hop"]
    report.add("redis_to_rocksdb_hop", "Redis to RocksDB: hops", ratio, "")
    report.remark(f"{_MESSAGES} messages, {_IN_ONE_POST} a request, {_SENDERS} requests at once; one process a mix.")
    return report


def _hop(net: _Network, name: str, report: Report) -> None:
    through(net, [1, 2])  # connections, scripts, column families
    taken, whole = through(net, [1, 2])
    report.add(f"{name}_in", f"{name}: messages taken in durably, a second", taken, "")
    report.add(f"{name}_hop", f"{name}: whole hops (HTTP in, durable, HTTP out) a second", whole, "")


def main() -> None:
    """The command."""
    from tools.bench.__main__ import show

    show(run(), Console())


if __name__ == "__main__":
    main()
