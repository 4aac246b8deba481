"""Load on real servers over the loopback: messages a second through four hops, and whether memory stays flat.

Each server is a process of its own. Messages are built before the clock runs; what counts is what the mailbox server
has stored. Memory is what /metrics tells of each process after a warm-up and at the end.
"""

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
from anontrace.mixnet import message
from anontrace.wire import network, paths
from anontrace.wire.keylist import KeyList
from anontrace.wire.network import Network

from tools.bench.network import key_lists, servers, until
from tools.bench.report import Report

ROUNDS = 5
MESSAGES = 1500  # in each round
BATCH = 250
MOST_GROWTH = 1.35  # of the memory of all servers together, from after the first round to the end
HEADERS = {"Content-Type": "application/octet-stream"}


def run() -> Report:
    """The benchmark."""
    report = Report("Messages through four hops, real servers on the loopback")
    with (
        tempfile.TemporaryDirectory() as folder,
        servers(Path(folder) / "net") as urls,
        httpx.Client(trust_env=False, timeout=60) as http,
    ):
        net = network.load(Path(folder) / "net" / "network.toml")
        lists = key_lists(http, net, len(net.pins))
        seconds: list[float] = []
        memory: list[float] = []
        for number in range(1, ROUNDS + 1):
            seconds.append(_round(http, net, lists, urls["mailbox"], number * MESSAGES))
            memory.append(sum(_memory(http, url) for url in urls.values()))
    report.add("rate", "messages a second, all rounds", ROUNDS * MESSAGES / sum(seconds), "1/s")
    report.add("hops", "hops a second (each unwrapped, durable, sent on)", 4 * ROUNDS * MESSAGES / sum(seconds), "1/s")
    report.add("memory", "memory of all servers at the end", memory[-1] / 2**20, "MiB")
    report.add("growth", "memory at the end, of that after the first round", memory[-1] / memory[0], "")
    report.limit("growth", MOST_GROWTH)
    report.remark(
        f"{ROUNDS} rounds of {MESSAGES} messages; {os.cpu_count()} cores for {len(urls)} servers and the sender."
    )
    return report


def _round(http: httpx.Client, net: Network, lists: dict[int, KeyList], mailbox_url: str, total: int) -> float:
    """Send MESSAGES and wait until the mailbox server has stored `total`; the seconds from the first to the last."""
    by_first: dict[int, list[bytes]] = {}
    for _ in range(MESSAGES):
        way = paths.choose(lists, net.with_role("mailbox")[0], time.time())
        by_first.setdefault(way[0].number, []).append(message.forward(way, os.urandom(32), os.urandom(239)))
    began = time.perf_counter()
    for first, messages in by_first.items():
        for at in range(0, len(messages), BATCH):
            _post(http, lists[first].url, messages[at : at + BATCH])
    for _ in until("all messages are stored"):
        counters = http.get(mailbox_url + "/v1/status").json()["counters"]
        if counters.get("mailbox_stored", 0) >= total:
            return time.perf_counter() - began
    raise AssertionError("unreachable")


def _post(http: httpx.Client, url: str, messages: Sequence[bytes]) -> None:
    http.post(url + "/v1/messages", content=b"".join(messages), headers=HEADERS).raise_for_status()


def _memory(http: httpx.Client, url: str) -> float:
    """Resident bytes of a server's process."""
    lines = http.get(url + "/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("process_resident_memory_bytes "))
