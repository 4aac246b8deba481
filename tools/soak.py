"""Two months of a server's life in minutes: is it on day 60 as it was on day 1, and with ten times the addresses?

    python -m tools.soak [--days 60] [--output build/soak.json]

A process of its own runs the parts of all roles that keep state, over one store in a folder and a simulated clock:
messages are unwrapped, queued and sent on, addresses registered, armed again and written to, mailboxes filled and
asked, days dropped, files scrubbed, the store closed and opened again. Exits 1 if what is measured does not stay flat.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from anontrace import clock
from anontrace.backend.keys import keyfiles
from anontrace.backend.mailbox.boxes import Mailboxes
from anontrace.backend.mix.admission import Admission
from anontrace.backend.mix.items import Arrived
from anontrace.backend.mix.keys import MixKeys
from anontrace.backend.nymserver.nyms import Nyms, Outgoing
from anontrace.backend.observing.counters import Counters
from anontrace.backend.store import Store, open_store
from anontrace.mixnet import blob, keydays, packet, surb, swap
from anontrace.mixnet.header import GROUPED
from anontrace.mixnet.notification import Kind, Notification
from anontrace.mixnet.path import Hop
from anontrace.mixnet.sizes import CASE_ID, CHAIN_TOKEN, GROUP, MAILBOX, PAYLOAD, REPORT_ID
from anontrace.mixnet.swap import Swap
from anontrace.wire.look import SEED, Group, Look
from anontrace_primitives import x25519_base
from anontrace_shared.schedule import nym_key
from anontrace_shared.slots import slot_of
from nacl import bindings
from rich.console import Console
from rich.table import Column, Table

OUTPUT = Path(__file__).parent.parent / "build" / "soak.json"
_DAY_SECONDS = 86400
_BEGIN = 20_000 * _DAY_SECONDS + 43_200
_KEEP_NYM_DAYS, _QUOTA, _GROUP_QUOTA, _QUEUE_LIMIT = 45, 255, 4096, 1 << 20
_ADDRESSES = 50  # registered a day, or ten times as many
_MORE = 10
_REMEMBERED = 20  # of a day's: what a wearer's companion knows is not to weigh on the server
_MESSAGES, _BATCH, _GROUPS, _LOOKS, _SENDS = 320, 64, 32, 4, 16
_BATCHES_BETWEEN_SCRUBBINGS = 4
_IN_ONE_POST, _LEASE = 256, 30.0
_MEASURE = 100  # X25519, before each batch
_RESTART_DAYS = 7
_FIRST, _FULL, _LAST = slice(0, 5), slice(31, 36), slice(-5, None)  # the days that are compared
_MIN_DAYS_FULL = 46  # of a life in which the second and the third of these are well apart
_CLOCK = struct.Struct("<d")


@dataclass(frozen=True)
class Day:
    """What a server was at the end of a day. The first six: processor time for each thing of that kind done in it, in
    X25519 of libsodium on that day, since a machine that others use is not as fast on all of them. Kinds apart, since
    with more addresses a larger part of what is done are swaps, which cost more than messages."""

    hop: float
    delivery: float
    swap: float
    send: float
    look: float
    keeping: float  # for each thing of any kind: expiring, sending on and scrubbing
    memory: int  # bytes
    descriptors: int
    files: int
    log: int  # bytes of the engine's own
    manifest: int  # bytes
    data: int  # bytes of all files


# The most that each may be on the last days, of what it was on the first, of what it was when each table first had all
# its days, and with ten times the addresses of what it is without. The engine's buffers fill once: hence memory's.
# A look goes through each day of its table, of which there are thirty in the end: hence its 2.
LIMITS = {
    "hop": 1.5, "delivery": 2.0, "swap": 1.5, "send": 1.5, "look": 2.0, "keeping": 2.0,
    "memory": 2.0, "descriptors": 1.5, "files": 1.5, "log": 1.0, "manifest": 2.0,
}  # fmt: skip
KINDS = HOP, DELIVERY, SWAP, SEND, LOOK, KEEPING = "hop", "delivery", "swap", "send", "look", "keeping"
LABELS = {
    HOP: "a hop, X25519",
    DELIVERY: "a delivery",
    SWAP: "a registration",
    SEND: "a notification",
    LOOK: "a look",
    KEEPING: "upkeep for each",
    "memory": "memory, MB",
    "descriptors": "descriptors",
    "files": "files",
    "log": "engine's log, B",
    "manifest": "manifest, B",
}
UNITS = {"memory": 1e6}


class _Server:
    """What keeps state in a nymserver, a mailbox server and a mix, over one store."""

    def __init__(self, store: Store, storage_key: bytes, known: dict[bytes, tuple[int, bytes]]) -> None:
        counters = Counters()
        self.store = store
        self.keys = MixKeys(store, storage_key, retire=False, key_file=Path(keyfiles.STORAGE))
        self.admission = Admission(
            store, self.keys, counters, delay=0.0, queue_limit=_QUEUE_LIMIT, known_mix=lambda _: True, stuck=frozenset,
            wake=lambda _: None,
        )  # fmt: skip
        self.nyms = Nyms(store, counters, lambda _: True, _KEEP_NYM_DAYS)
        self.boxes = Mailboxes(store, counters, _QUOTA, _GROUP_QUOTA)
        self.known = known  # for each address its slot and blob
        self.seconds, self.done = dict.fromkeys(KINDS, 0.0), dict.fromkeys(KINDS, 0)
        self.measures: list[float] = []  # seconds for an X25519, at moments of the day

    async def work(self, kind: str, number: int, what: Callable[[], Awaitable[object]]) -> None:
        """Do something that counts as so many things of a kind, and note what it took."""
        before = time.process_time()
        await what()
        self.seconds[kind] += time.process_time() - before
        self.done[kind] += number

    def costs(self) -> dict[str, float]:
        """For each kind the processor time of one in X25519, since this was asked last."""
        self.done[KEEPING] = sum(self.done.values())
        measure = statistics.fmean(self.measures)
        found = {kind: self.seconds[kind] / self.done[kind] / measure if self.done[kind] else 0.0 for kind in KINDS}
        self.seconds, self.done = dict.fromkeys(KINDS, 0.0), dict.fromkeys(KINDS, 0)
        self.measures = []
        return found

    async def day(self, addresses: int) -> None:
        """One day's work."""
        now = clock.now()
        today = keydays.day_at(now)
        await self.work(KEEPING, 0, lambda: self.store.expire(today))
        await self.work(KEEPING, 0, lambda: self.keys.roll(now))
        slot = slot_of(now)
        path = [Hop(2 + each, keydays.key_select(today), x25519_base(os.urandom(32))) for each in range(4)]
        own = [Hop(1, keydays.key_select(key.day), key.public) for key in self.keys.all()]
        for each in [each for each, (made, _) in self.known.items() if slot - made > _KEEP_NYM_DAYS * 288]:
            del self.known[each]
        batches = _MESSAGES // _BATCH
        for batch in range(batches):
            self.measures.append(_x25519_seconds())
            messages = [
                packet.forward([random.choice(own), *path[:3]], os.urandom(MAILBOX), os.urandom(PAYLOAD))
                for _ in range(_BATCH)
            ]
            await self.work(HOP, _BATCH, lambda messages=messages: self.admission.accept(messages))  # type: ignore[misc]
            await self._swap(addresses // batches, slot, path)
            groups = [os.urandom(GROUP) for _ in range(_BATCH // 8)]
            arrived = [
                Arrived(random.choice(groups) + os.urandom(GROUP), os.urandom(PAYLOAD), GROUPED) for _ in range(_BATCH)
            ]
            await self.work(DELIVERY, _BATCH, lambda arrived=arrived: self.boxes.deliver(arrived))  # type: ignore[misc]
            await self.work(KEEPING, 0, self._drain)
            if batch % _BATCHES_BETWEEN_SCRUBBINGS == 0:
                await self.work(KEEPING, 0, self.store.scrub)
        notification = Notification(
            Kind.NOTIFICATION, os.urandom(CASE_ID), os.urandom(REPORT_ID), bytes(CHAIN_TOKEN), "U07.1", 3, 60, 15, ""
        ).encode()
        for each in random.sample(sorted(self.known), min(_SENDS, len(self.known))):
            told = Outgoing(each, self.known[each][0], notification)
            await self.work(SEND, 1, lambda told=told: self.nyms.send(told))  # type: ignore[misc]
        await self.work(KEEPING, 0, self._drain)
        for _ in range(_LOOKS):
            strangers = [Group(os.urandom(GROUP), 0, 0) for _ in range(_GROUPS)]
            asked = Look(192, 10, 0, os.urandom(SEED), strangers)
            await self.work(LOOK, 1, lambda asked=asked: self.boxes.answer(asked))  # type: ignore[misc]
        await self.work(KEEPING, 0, self.store.scrub)

    async def _swap(self, number: int, slot: int, path: Sequence[Hop]) -> None:
        """Register addresses, and arm as many of earlier days again."""
        old = random.sample(sorted(self.known), min(number, len(self.known)))
        for address in [*old, *(os.urandom(20) for _ in range(number))]:
            of, before = self.known.get(address, (slot, b""))
            made = blob.seal(address, of, surb.make(path, os.urandom(MAILBOX))[0])
            shown = swap.authentication(before) if before else swap.NEW
            wanted = Swap(nym_key(address, of), shown, made)
            await self.work(SWAP, 1, lambda wanted=wanted: self.nyms.swap(wanted))  # type: ignore[misc]
            if before or sum(each == slot for each, _ in self.known.values()) < _REMEMBERED:
                self.known[address] = of, made

    async def _drain(self) -> None:
        """Send on what waits."""
        for queue in await self.store.backlog():
            while taken := (await self.store.take(queue, time.time(), _IN_ONE_POST, _LEASE)).entries:
                await self.store.done(queue, [each.id for each in taken])


def _x25519_seconds() -> float:
    """Of processor time, by libsodium."""
    scalar, point = os.urandom(32), x25519_base(os.urandom(32))
    begin = time.thread_time()
    for _ in range(_MEASURE):
        bindings.crypto_scalarmult(scalar, point)
    return (time.thread_time() - begin) / _MEASURE


def _measured(folder: Path, costs: dict[str, float]) -> Day:
    sizes = {}
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # the engine unlinks what it has replaced
            sizes[path.name] = path.stat().st_size
    return Day(
        **costs,
        memory=int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE"),
        descriptors=len(list(Path("/proc/self/fd").iterdir())),
        files=len(sizes),
        log=sum(size for name, size in sizes.items() if name.startswith("LOG")),
        manifest=sum(size for name, size in sizes.items() if name.startswith("MANIFEST")),
        data=sum(sizes.values()),
    )


async def _live(folder: Path, days: int, addresses: int) -> None:
    """A life, a line of JSON a day."""
    storage_key = os.urandom(32)
    known: dict[bytes, tuple[int, bytes]] = {}
    for first in range(0, days, _RESTART_DAYS):
        server = _Server(await open_store(folder / "store"), storage_key, known)
        for number in range(first, min(first + _RESTART_DAYS, days)):
            (folder / "clock").write_bytes(_CLOCK.pack(_BEGIN + number * _DAY_SECONDS))
            await server.day(addresses)
            print(json.dumps(asdict(_measured(folder / "store", server.costs()))), flush=True)
        await server.store.close()


def lived(days: int, addresses: int, told: Callable[[int], None]) -> list[Day]:
    """A server's days, each as it ended. `told` is called with each that is over."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "clock").write_bytes(_CLOCK.pack(_BEGIN))
        command = [sys.executable, "-m", "tools.soak", "--live", name, "--days", str(days)]
        with subprocess.Popen(
            [*command, "--addresses", str(addresses)],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {clock.ENVIRONMENT: str(folder / "clock")},
        ) as process:
            found = []
            assert process.stdout is not None
            for line in process.stdout:
                found.append(Day(**json.loads(line)))
                told(len(found))
        if process.returncode or len(found) != days:
            raise RuntimeError(f"the server ended on day {len(found) + 1}, with status {process.returncode}")
        return found


def compared(first: Sequence[Day], last: Sequence[Day]) -> dict[str, float]:
    """For each measure what it is on the last of these days, of what it was on the first. Nothing to nothing is 1."""
    found = {}
    for what in LIMITS:
        before, after = _mean(first, what), _mean(last, what)
        found[what] = after / before if before else after or 1.0
    return found


def _mean(days: Sequence[Day], what: str) -> float:
    return statistics.fmean(getattr(each, what) for each in days)


def judged(few: Sequence[Day], many: Sequence[Day]) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Two lives, the second with ten times the addresses: what they are compared in, and what is not flat."""
    ratios = {
        "a life": compared(few[_FIRST], few[_LAST]),
        f"a life with {_MORE} times the addresses": compared(many[_FIRST], many[_LAST]),
        f"{_MORE} times the addresses, at the end": compared(few[_LAST], many[_LAST]),
    }
    failures = _over(LIMITS, ratios)
    if len(few) >= _MIN_DAYS_FULL:
        full = {
            "since its tables are full": compared(few[_FULL], few[_LAST]),
            f"since its tables are full, with {_MORE} times the addresses": compared(many[_FULL], many[_LAST]),
        }
        failures += _over(LIMITS, full)
        ratios |= full
    return ratios, failures


def _over(limits: Mapping[str, float], ratios: Mapping[str, Mapping[str, float]]) -> list[str]:
    return [
        f"{LABELS[what]}, {name}: {ratio:.2f} is over {limits[what]:g}"
        for name, column in ratios.items()
        for what, ratio in column.items()
        if ratio > limits[what]
    ]


def run(days: int, addresses: int, console: Console) -> tuple[dict[str, object], list[str]]:
    """The figures, and what is not flat."""
    with console.status("") as status:
        few = lived(days, addresses, lambda day: status.update(f"day {day} of {days}"))
        many = lived(days, addresses * _MORE, lambda day: status.update(f"day {day} of {days}, {_MORE} times as many"))
    ratios, failures = judged(few, many)
    table = Table(
        Column(no_wrap=True),
        "day 1",
        f"day {days}",
        "ratio",
        f"with {_MORE}x",
        f"{_MORE}x to 1x",
        "from full",
        "at most",
    )
    for what, most in LIMITS.items():
        values = (_mean(each, what) / UNITS.get(what, 1) for each in (few[_FIRST], few[_LAST]))
        columns = [f"{column[what]:.2f}" for column in ratios.values()]
        columns = [*columns[:3], " ".join(columns[3:])]
        table.add_row(LABELS[what], *(f"{value:.3g}" for value in values), *columns, f"{most:g}")
    console.print(table)
    console.print(
        f"Days are means of five. {_MORE}x: with {_MORE} times the addresses. From full: of what it was when each table"
        " first had all its days, without and with them.",
        highlight=False,
    )
    names = [each.name for each in fields(Day)]
    lives = {str(n): [[getattr(day, each) for each in names] for day in life] for n, life in ((1, few), (_MORE, many))}
    return {"measures": names, "ratios": ratios, "limits": LIMITS, "lives": lives, "failures": failures}, failures


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.soak", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--days", type=int, default=60, help="how long the server lives, 10 or more (60)")
    parser.add_argument("--addresses", type=int, default=_ADDRESSES, help=f"registered a day ({_ADDRESSES})")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="where the figures go as JSON (build/soak.json)")
    parser.add_argument("--live", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.live:
        asyncio.run(_live(options.live, options.days, options.addresses))
        return 0
    if options.days < 10:
        parser.error("--days: 10 or more, since the first five are compared with the last five")
    console = Console()
    began = time.monotonic()
    found, failures = run(options.days, options.addresses, console)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(found, indent=1) + "\n")
    for failure in failures:
        console.print(f"FAILED {failure}", style="bold red", highlight=False)
    console.print(f"Took {time.monotonic() - began:.0f} s. Figures: {options.output}", highlight=False)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
