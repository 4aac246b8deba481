"""What registering a day's addresses costs a companion: its processor time, and the bytes that go over the wire.

    python -m tools.bench --only registration

The shipped code against real servers on the loopback: addresses and SURBs are made and stored, the swaps built and
handed to the mixes. Confirming them is apart. Processor time is stated for a core on which an X25519 takes 35
microseconds, and measured in turns with X25519, the least of several days: what else runs on a machine can only add.
"""

import os
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from anontrace.companion.addresses import registration
from anontrace.companion.addresses.swaps import Swaps
from anontrace.companion.network.servers import Servers
from anontrace.companion.store import state
from anontrace.companion.store.network import StoredNetwork
from anontrace.companion.store.state import State
from anontrace.mixnet.sizes import MESSAGE
from anontrace_primitives import x25519, x25519_base
from anontrace_shared.slots import SLOTS_PER_DAY, day_of, slot_of

from tools.bench.network import running
from tools.bench.report import Report

DAYS = 5
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
    with tempfile.TemporaryDirectory() as name, running() as net:
        state.create(Path(name))
        with closing(State(Path(name))) as opened:
            opened.network.put(StoredNetwork("bench", net.file.read_text(), None), int(time.time()))
            days = [_day(opened, slot_of(time.time()) + number * SLOTS_PER_DAY + 1) for number in range(DAYS)]
    best = min(days, key=lambda day: day.seconds / day.x25519)
    messages = best.sent * MESSAGE
    report = Report(f"A day's {SLOTS_PER_DAY} addresses, registered")
    report.add("seconds", "processor time on this machine", best.seconds, "s")
    report.add("x25519s", "the same in X25519s", best.seconds / best.x25519, "")
    report.add("stated_seconds", "where an X25519 takes 35 us", best.seconds / best.x25519 * STATED_X25519, "s")
    report.add("messages", "messages", messages, "bytes")
    report.limit("stated_seconds", MAX_SECONDS)
    report.limit("messages", MAX_MESSAGES)
    if best.wire is None:
        report.remark("No figure for the transport: this system does not count the bytes of a connection.")
    else:
        report.add("transport", "HTTP both ways, of that", best.wire / messages - 1, "")
        report.limit("transport", MAX_TRANSPORT)
    return report


def _day(opened: State, first: int) -> _Day:
    badge = opened.badges.ensure(day_of(first))
    with Servers(opened.network) as known, _counted() as connections:
        assert known.nymserver.number  # the directory is fetched now
        connections.clear()
        before, began = _x25519_seconds(), time.process_time()
        registration.make(opened, known, badge, first, first + SLOTS_PER_DAY, lambda *_: None)
        sent = Swaps(opened, known).send(opened.addresses.pending()[-SLOTS_PER_DAY:])
        seconds = time.process_time() - began
        return _Day(seconds, (before + _x25519_seconds()) / 2, sent, _bytes_of(connections))


def _x25519_seconds() -> float:
    secret, point = os.urandom(32), x25519_base(os.urandom(32))
    began = time.process_time()
    for _ in range(_TURN):
        x25519(secret, point)
    return (time.process_time() - began) / _TURN


@contextmanager
def _counted() -> Iterator[list[socket.socket]]:
    """The connections that are opened meanwhile."""
    found: list[socket.socket] = []
    connect = socket.create_connection

    def noted(*arguments: object, **options: object) -> socket.socket:
        found.append(connect(*arguments, **options))  # type: ignore[arg-type]
        return found[-1]

    with patch.object(socket, "create_connection", noted):
        yield found


def _bytes_of(connections: list[socket.socket]) -> int | None:
    if sys.platform != "linux":
        return None
    size = _TCP_INFO_COUNTS.size
    return sum(sum(_TCP_INFO_COUNTS.unpack(each.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, size)))
               for each in connections)  # fmt: skip
