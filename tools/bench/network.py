"""Real servers on the loopback for what is measured against them: a fresh network, each server a process of its own."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from anontrace.backend import config
from anontrace.backend.operating.nearby import Place
from anontrace.wire import directory, mixes, network
from anontrace.wire.mixes import Mix
from anontrace.wire.network import Network

_PATIENCE = 300.0


@dataclass(frozen=True)
class Running:
    """A network that runs, and a client to ask its servers."""

    http: httpx.Client
    file: Path
    pinned: Network
    mixes: dict[int, Mix]
    doors: dict[str, Place]  # for operators, by the servers' names


@contextmanager
def running(delay: float = 0.0) -> Iterator[Running]:
    """A fresh network, once all mixes are listed. `delay`: mean seconds that each of them holds a message."""
    with (
        tempfile.TemporaryDirectory() as folder,
        _servers(Path(folder) / "net", delay) as doors,
        httpx.Client(trust_env=False, timeout=60) as http,
    ):
        file = Path(folder) / "net" / "network.toml"
        pinned = network.load(file)
        yield Running(http, file, pinned, _mixes(http, pinned), doors)


@contextmanager
def _servers(folder: Path, delay: float) -> Iterator[dict[str, Place]]:
    """The servers of a fresh network; their doors for operators by name."""
    command = str(Path(sys.executable).with_name("anontrace-server"))
    made = [command, "init", str(folder), "--delay", str(delay), "--pace", "0", "--loops", "0"]
    subprocess.run(made, check=True, capture_output=True)
    homes = sorted(path.parent for path in folder.glob("*/server.toml"))
    processes = []
    try:
        for home in homes:
            silent = subprocess.DEVNULL  # they say that the others are not there yet
            process = subprocess.Popen([command, "run", str(home)], stdout=subprocess.PIPE, stderr=silent, text=True)
            processes.append(process)
        for process in processes:
            assert process.stdout is not None
            if not process.stdout.readline().startswith("listening "):
                raise RuntimeError("a server did not start")
        yield {home.name: Place.for_staff(config.load(home)) for home in homes}
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def mixes_of(http: httpx.Client, pinned: Network) -> dict[int, Mix]:
    """The mixes that are in force in discovery's directory; none if it does not answer."""
    try:
        answer = http.get(pinned.discovery.url + "/v2/directory")
    except httpx.HTTPError:
        return {}
    if not answer.is_success:
        return {}
    now = time.time()
    found = directory.parse(answer.content, pinned.discovery.key)
    return mixes.in_force(mixes.known(found.content, pinned.pins, now).mixes.values(), now)


def _mixes(http: httpx.Client, pinned: Network) -> dict[int, Mix]:
    """The mixes, once all are there."""
    for _ in until("all mixes are listed"):
        found = mixes_of(http, pinned)
        if len(found) == len(pinned.pins):
            return found
    raise AssertionError("unreachable")


def until(what: str) -> Iterator[None]:
    """Goes round until the caller leaves; TimeoutError after five minutes."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        yield
        time.sleep(0.02)
    raise TimeoutError(f"not within {_PATIENCE:.0f} s: {what}")
