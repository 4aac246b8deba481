"""Load on real servers over the loopback: messages a second through four hops, whether memory stays flat, and what a
hop costs in a steady stream.

Each server is a process of its own. Messages are built before the clock runs; what counts is what the mailbox server
has stored. Memory and processor time are what /metrics tells of each process. In rounds all messages come at once and
no mix delays any; in the stream they come a few at a time and become due one by one, as in service.
"""

import os
import time
from collections.abc import Sequence

import httpx
from anontrace.backend.operating.nearby import Place
from anontrace.mixnet import packet
from anontrace.wire.choosing_paths import Paths

from tools.bench.network import Running, running, until
from tools.bench.report import Report

ROUNDS = 5
MESSAGES = 1500  # in each round
BATCH = 250
MAX_GROWTH = 1.35  # of the memory of all servers together, from after the first round to the end
STREAM = 100  # messages a second
STREAM_DELAY = 2.0  # seconds, mean, at each mix
STREAM_SECONDS = 15.0, 10.0  # until the stream is steady, and measured
STEP = 0.1  # seconds between two posts
HEADERS = {"Content-Type": "application/octet-stream"}


def run() -> Report:
    """The benchmark."""
    report = Report("Messages through four hops, real servers on the loopback")
    with running() as net:
        seconds: list[float] = []
        memory: list[float] = []
        for number in range(1, ROUNDS + 1):
            seconds.append(_round(net, number * MESSAGES))
            memory.append(_measured(net, "process_resident_memory_bytes"))
    report.add("rate", "messages a second, all rounds", ROUNDS * MESSAGES / sum(seconds), "1/s")
    report.add("hops", "hops a second (each unwrapped, durable, sent on)", 4 * ROUNDS * MESSAGES / sum(seconds), "1/s")
    report.add("memory", "memory of all servers at the end", memory[-1] / 2**20, "MiB")
    report.add("growth", "memory at the end, of that after the first round", memory[-1] / memory[0], "")
    report.limit("growth", MAX_GROWTH)
    with running(STREAM_DELAY) as net:
        report.add("stream", "processor time of a hop in a steady stream", _stream(net) * 1e6, "us")
    report.remark(f"Stream: {STREAM} messages a second, {STREAM_DELAY:g} s at each mix; idling servers included.")
    report.remark(
        f"{ROUNDS} rounds of {MESSAGES} messages; {os.cpu_count()} cores for {len(net.doors)} servers and the sender."
    )
    return report


def _round(net: Running, total: int) -> float:
    """Send MESSAGES and wait until the mailbox server has stored `total`; the seconds from the first to the last."""
    by_first = _messages(net, MESSAGES)
    began = time.perf_counter()
    for first, messages in by_first.items():
        for at in range(0, len(messages), BATCH):
            _post(net, first, messages[at : at + BATCH])
    for _ in until("all messages are stored"):
        counters = _told(net.doors["mailbox"], "/v1/status").json()["counters"]
        if counters.get("mailbox_stored", 0) >= total:
            return time.perf_counter() - began
    raise AssertionError("unreachable")


def _told(server: Place, path: str) -> httpx.Response:
    return server.request("GET", path, 60)


def _post(net: Running, first: int, messages: Sequence[bytes]) -> None:
    net.http.post(net.mixes[first].url + "/v1/messages", content=b"".join(messages), headers=HEADERS).raise_for_status()


def _messages(net: Running, number: int) -> dict[int, list[bytes]]:
    """Messages to as many mailboxes over four hops, by the number of the first."""
    by_first: dict[int, list[bytes]] = {}
    paths = Paths(net.mixes, time.time())
    for _ in range(number):
        way = paths.choose(net.pinned.with_role("mailbox")[0])
        by_first.setdefault(way[0].number, []).append(packet.forward(way, os.urandom(32), os.urandom(239)))
    return by_first


def _stream(net: Running) -> float:
    """Seconds of processor time that all servers together spend for a hop, once the stream is steady."""
    steps = [round(seconds / STEP) for seconds in STREAM_SECONDS]
    waiting = [_messages(net, round(STREAM * STEP)) for _ in range(sum(steps))]
    began, spent, hops = time.perf_counter(), 0.0, 0
    for step, by_first in enumerate(waiting):
        if step == steps[0]:
            spent, hops = _measured(net, "process_cpu_seconds_total"), _hops(net)
        time.sleep(max(0.0, began + step * STEP - time.perf_counter()))
        for first, messages in by_first.items():
            _post(net, first, messages)
    return (_measured(net, "process_cpu_seconds_total") - spent) / (_hops(net) - hops)


def _hops(net: Running) -> int:
    """How many messages all mixes have taken in so far."""
    return sum(_told(each, "/v1/status").json()["counters"].get("accepted", 0) for each in net.doors.values())


def _measured(net: Running, name: str) -> float:
    """What the servers' processes measure of themselves under a name, added up."""
    lines = (line for each in net.doors.values() for line in _told(each, "/metrics").text.splitlines())
    return sum(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))
