"""Real servers on the loopback for what is measured against them: a fresh network, each server a process of its own."""

import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from anontrace.wire import directory
from anontrace.wire.keylist import KeyList
from anontrace.wire.network import Network

_PATIENCE = 300.0


@contextmanager
def servers(folder: Path) -> Iterator[dict[str, str]]:
    """A fresh network without delays, each server in its own process; their URLs by name."""
    command = str(Path(sys.executable).with_name("anontrace-server"))
    made = [command, "init", str(folder), "--delay", "0", "--pace", "0", "--loops", "0"]
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
            if not process.stdout.readline().startswith("ready "):
                raise RuntimeError("a server did not start")
        yield {home.name: str(tomllib.loads((home / "server.toml").read_text())["url"]) for home in homes}
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def key_lists(http: httpx.Client, net: Network, number: int) -> dict[int, KeyList]:
    """The key lists, once all are there."""
    for _ in until("all mixes are listed"):
        answer = http.get(net.discovery.url + "/v1/directory")
        if answer.is_success:
            found = directory.verify(directory.read(answer.content), net.discovery.key)
            lists = directory.usable(found, net.pins, time.time()).lists
            if len(lists) == number:
                return lists
    raise AssertionError("unreachable")


def until(what: str) -> Iterator[None]:
    """Goes round until the caller leaves; TimeoutError after five minutes."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        yield
        time.sleep(0.02)
    raise TimeoutError(f"not within {_PATIENCE:.0f} s: {what}")
