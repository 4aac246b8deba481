"""What registering a day's addresses costs a companion: its processor time, and the bytes that go over the wire.

    python -m tools.bench --only registration

The shipped code against real servers on the loopback: addresses and SURBs are made and stored, the swaps built and
handed to the mixes. Confirming them is apart. Processor time is stated for a core on which an X25519 takes 35
microseconds, and measured in turns with X25519, the least of several days: what else runs on a machine can only add.
Eight X25519 an address cannot be done without, two headers of four hops: the ratio is to so many by libsodium, by each
way to compute them that this machine has.
"""

import os
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from unittest.mock import patch

from anontrace.companion.addresses import registration
from anontrace.companion.addresses.swaps import Swaps
from anontrace.companion.network.servers import Servers
from anontrace.companion.store import state
from anontrace.companion.store.network import StoredNetwork
from anontrace.companion.store.state import State
from anontrace.mixnet.sizes import MESSAGE
from anontrace_primitives import x25519, x25519_base, x25519_batches
from anontrace_shared.slots import SLOTS_PER_DAY, day_of, slot_of

from tools.bench.network import running
from tools.bench.report import Report

DAYS = 4  # by each way
LIMITS = {"ifma": 1.0, "hacl": 1.8}  # by what is chosen
NEEDED = 8 * SLOTS_PER_DAY
STATED_X25519 = 35e-6  # seconds
MAX_SECONDS = 0.5
MAX_MESSAGES = 110_000  # bytes
MAX_TRANSPORT = 0.05  # of these
_TURN = 1000  # X25519s before and after
_TCP_INFO_COUNTS = struct.Struct("120xQQ")  # bytes acknowledged and received, in Linux' struct tcp_info


@dataclass
class _Day:
    seconds: float  # of the processor
    x25519: float  # seconds for one, at the same time
    sent: int  # messages
    wire: int | None  # bytes both ways, None where the system does not count them


def run() -> Report:
    """The figures; they fail if a day costs too much."""
    chosen = x25519_batches.choose().name
    days: dict[str, list[_Day]] = {}
    with tempfile.TemporaryDirectory() as name, running() as net:
        state.create(Path(name))
        with closing(State(Path(name))) as opened:
            opened.network.put(StoredNetwork("bench", net.file.read_text(), None), int(time.time()))
            first = slot_of(time.time()) + 1
            for way in [*_ways()] * DAYS:
                x25519_batches.choose(way)
                days.setdefault(way, []).append(_day(opened, first))
                pending = [each.surb for each in opened.addresses.pending()]
                opened.addresses.set_confirmed(pending, int(time.time()))  # else each day would read those before it
                first += SLOTS_PER_DAY
    x25519_batches.choose(chosen)
    best = {way: min(each, key=lambda day: day.seconds / day.x25519) for way, each in days.items()}
    report = Report(f"A day's {SLOTS_PER_DAY} addresses, registered")
    for way, day in best.items():
        x25519s = day.seconds / day.x25519
        report.add(f"{way}_seconds", f"processor time on this machine, {way}", day.seconds, "s")
        report.add(f"{way}_x25519s", f"the same in X25519s, {way}", x25519s, "")
        report.add(f"{way}_stated_seconds", f"where an X25519 takes 35 us, {way}", x25519s * STATED_X25519, "s")
        report.add(f"{way}_ratio", f"to {NEEDED} X25519, {way}", x25519s / NEEDED, "")
    day = best[chosen]
    messages = day.sent * MESSAGE
    report.add("messages", "messages", messages, "bytes")
    report.remark(f"X25519 in batches is by {chosen} on this machine.")
    report.limit(f"{chosen}_stated_seconds", MAX_SECONDS)
    if chosen in LIMITS:
        report.limit(f"{chosen}_ratio", LIMITS[chosen])
    report.limit("messages", MAX_MESSAGES)
    if day.wire is None:
        report.remark("No figure for the transport: this system does not count the bytes of a connection.")
    else:
        report.add("transport", "HTTP both ways, of that", day.wire / messages - 1, "")
        report.limit("transport", MAX_TRANSPORT)
    return report


def _ways() -> Iterator[str]:
    """The ways to compute X25519 in batches that this machine has."""
    for name in reversed(x25519_batches.NAMES):
        with suppress(x25519_batches.UnavailableError):
            yield x25519_batches.named(name).name


def _day(opened: State, first: int) -> _Day:
    badge = opened.badges.ensure(day_of(first))
    with Servers(opened.network) as known, _counted() as counts:
        assert known.nymserver.number  # the directory is fetched now
        counts.clear()
        before, began = _x25519_seconds(), time.process_time()
        registration.make(opened, known, badge, first, first + SLOTS_PER_DAY, lambda *_: None)
        sent = Swaps(opened, known).send(opened.addresses.pending()[-SLOTS_PER_DAY:])
        seconds = time.process_time() - began
        return _Day(seconds, (before + _x25519_seconds()) / 2, sent, sum(counts) if sys.platform == "linux" else None)


def _x25519_seconds() -> float:
    secret, point = os.urandom(32), x25519_base(os.urandom(32))
    began = time.process_time()
    for _ in range(_TURN):
        x25519(secret, point)
    return (time.process_time() - began) / _TURN


@contextmanager
def _counted() -> Iterator[list[int]]:
    """The bytes both ways of each connection that is opened and closed meanwhile, on Linux."""
    counts: list[int] = []
    connect = socket.create_connection

    class Counted(socket.socket):
        def close(self) -> None:
            if sys.platform == "linux" and self.fileno() >= 0:
                told = self.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_COUNTS.size)
                counts.append(sum(_TCP_INFO_COUNTS.unpack(told)))
            super().close()

        def dup(self) -> Self:  # another handle for the same connection, which is not to be counted twice
            return socket.socket(fileno=os.dup(self.fileno()))  # type: ignore[return-value]

    def noted(*arguments: object, **options: object) -> socket.socket:
        made = connect(*arguments, **options)  # type: ignore[arg-type]
        timeout = made.gettimeout()
        counted = Counted(fileno=made.detach())
        counted.settimeout(timeout)
        return counted

    with patch.object(socket, "create_connection", noted):
        yield counts
