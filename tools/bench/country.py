"""The plan of `anontrace-server plan` against runs: the traffic of some ten thousand wearers through real servers.

    python -m tools.bench --only country

As many messages a second as so many companions at level normal send in the mean, in requests as large as theirs: swaps,
relays by real reply blocks and their arrival in mailboxes, and looks. Each server is a process of its own, on the
loopback; messages are built before, and the sender is not counted. Compared is the processor time of all servers
together, without what they use while nothing comes, with what the plan's formula says for X25519 as fast as in this
run.

The plan's figures are of 256 messages at once, as a country's servers get them. With a ten-thousandth of its traffic
messages come one by one, and each has a share of a request and of a write that is many times as large: so what is
measured is more than what is planned, and comes nearer the more there is.
"""

import os
import random
import time
from collections.abc import Sequence
from dataclasses import replace

import httpx
from anontrace.backend.operating import planning
from anontrace.backend.operating.planning import FIGURES, Figure, Wish
from anontrace.mixnet import packet, relay, surb, swap
from anontrace.mixnet.header import NO_MAILBOX
from anontrace.mixnet.path import Hop
from anontrace.mixnet.sizes import BLOB, GROUP, MAILBOX
from anontrace.mixnet.swap import Swap
from anontrace.wire.choosing_paths import Paths
from anontrace.wire.levels import GROUPS, NORMAL
from anontrace.wire.look import SEED, Group, Look
from anontrace_primitives import x25519_batches

from tools.bench.network import Running, running
from tools.bench.report import Report
from tools.bench.servers import x25519_seconds

WEARERS = 10_000, 30_000
DELAY = 2.0  # seconds at each mix: until all is steady, four times that
_SECONDS = 30.0
_IDLE, _BEGIN = 8.0, 10.0  # seconds: while nothing comes, and until the stream is steady
_DAY = 86400
_HEADERS = {"Content-Type": "application/octet-stream"}
_EXCHANGES = 2  # of a hop
_LANES = 0.21  # of an X25519 in eight lanes


def _requests(net: Running, number: int) -> list[tuple[str, bytes]]:
    """So many requests of companions, each with the first mix that it goes to."""
    paths, nymserver = Paths(net.mixes, time.time()), net.pinned.with_role("nymserver")[0]
    mailbox = net.pinned.with_role("mailbox")[0]
    share = NORMAL.renewals / (NORMAL.messages * NORMAL.batch)  # of all messages that are relays

    def payload() -> bytes:
        if random.random() > share:
            return Swap(os.urandom(32), swap.NEW, os.urandom(BLOB)).encode()
        back = paths.choose(mailbox)
        return relay.of(surb.make(back, os.urandom(MAILBOX))[0], os.urandom(32)).encode()

    made = []
    for _ in range(number):
        first = paths.choose(nymserver)[0]
        ways = [_behind(paths, first, nymserver) for _ in range(NORMAL.batch)]
        messages = packet.forward_many(ways, NO_MAILBOX, [payload() for _ in ways])
        made.append((net.mixes[first.number].url, b"".join(messages)))
    return made


def _behind(paths: Paths, first: Hop, last: int) -> list[Hop]:
    """A path whose first mix is this one."""
    while (way := paths.choose(last))[0] != first:
        pass
    return way


def _look() -> bytes:
    groups = [Group(os.urandom(GROUP), 0, 0) for _ in range(GROUPS)]
    return Look(NORMAL.digests, NORMAL.sums, 0, os.urandom(SEED), groups).encode()


def _post(http: httpx.Client, url: str, path: str, body: bytes) -> None:
    http.post(url + path, content=body, headers=_HEADERS).raise_for_status()


def _spent(net: Running) -> float:
    """Seconds of processor time that all servers have used."""
    told = (line for each in net.doors.values() for line in each.request("GET", "/metrics", 60).text.splitlines())
    return sum(float(line.split()[1]) for line in told if line.startswith("process_cpu_seconds_total "))


def _stream(net: Running, requests: Sequence[tuple[str, bytes]], looks: int, seconds: float) -> None:
    """Send these at even distances, and so many looks among them."""
    mailbox = net.mixes[net.pinned.with_role("mailbox")[0]].url
    began, step = time.monotonic(), seconds / len(requests)
    every = max(1, len(requests) // max(looks, 1))
    for number, (url, body) in enumerate(requests):
        time.sleep(max(0.0, began + number * step - time.monotonic()))
        _post(net.http, url, "/v1/messages", body)
        if looks and number % every == 0:
            _post(net.http, mailbox, "/v2/look", _look())
    time.sleep(max(0.0, began + seconds - time.monotonic()))


def run() -> Report:
    """The figures."""
    report = Report("A country's traffic, planned and measured", tuple(f"{each:,} wearers" for each in WEARERS))
    chosen = x25519_batches.choose().name
    rows: dict[str, dict[str, float]] = {}
    with running(DELAY) as net:
        time.sleep(1.0)
        before = _spent(net)
        time.sleep(_IDLE)
        idle = (_spent(net) - before) / _IDLE
        for wearers in WEARERS:
            cores, measure = _run(net, wearers)
            found = planning.plan(Wish(wearers, NORMAL, peak=1.0), _figures(measure, chosen))
            planned = sum(each.cores for each in found.needs) * planning.USED
            rows[f"_{wearers}"] = {"planned": planned, "measured": cores - idle, "ratio": (cores - idle) / planned}
        swapped, arrived = _counted(net, "nymserver", "swap_new"), _counted(net, "mailbox", "mailbox_stored")
    for name, label in (
        ("planned", "cores planned"),
        ("measured", "measured, without what idling servers take"),
        ("ratio", "measured to planned"),
    ):
        report.add_row(label, "", {name + key: each[name] for key, each in rows.items()})
    report.add("idle", "what they take while nothing comes", idle, "cores")
    report.remark(f"{swapped:,.0f} swaps were stored, and {arrived:,.0f} dummies arrived in mailboxes.")
    report.remark(f"{len(net.doors)} servers, {DELAY:g} s at each mix, {_SECONDS:.0f} s each; X25519 by {chosen}.")
    return report


def _run(net: Running, wearers: int) -> tuple[float, float]:
    """Cores that the servers are busy with at the traffic of so many; seconds for an X25519 meanwhile."""
    a_second = wearers * NORMAL.messages / _DAY
    beginning, measured = (_requests(net, round(a_second * each)) for each in (_BEGIN, _SECONDS))
    _stream(net, beginning, 0, _BEGIN)
    measure, before, began = x25519_seconds(), _spent(net), time.monotonic()
    _stream(net, measured, round(wearers * NORMAL.looks / _DAY * _SECONDS), _SECONDS)
    cores = (_spent(net) - before) / (time.monotonic() - began)
    return cores, (measure + x25519_seconds()) / 2


def _figures(measure: float, chosen: str) -> dict[str, Figure]:
    """The plan's, for this run's X25519: by lanes, as they were measured, or one by one."""
    hop = FIGURES["hop"].value + (0.0 if chosen == "ifma" else _EXCHANGES * (1 - _LANES))
    return FIGURES | {
        "x25519": replace(FIGURES["x25519"], value=measure * 1e6),
        "hop": replace(FIGURES["hop"], value=hop),
        "look": replace(FIGURES["look"], value=32.0),  # nothing has come for these
    }


def _counted(net: Running, name: str, what: str) -> float:
    counters = net.doors[name].request("GET", "/v1/status", 60).json()["counters"]
    return float(counters.get(what, 0))
