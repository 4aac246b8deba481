"""What nymserver and mailbox server do a second on either store, what an address takes, and how that grows.

    python -m tools.bench --only stores

Both stores run in one run, on one machine: RocksDB in a folder, and a Redis Cluster of six processes that shares the
processor cores with what measures it. Compare the ratios, not the figures of two machines. Costs are processor time of
this process (all threads of RocksDB, none of Redis' own), as multiples of one X25519 of libsodium in the same rounds.
"""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from anontrace.backend.mailbox.boxes import Mailboxes
from anontrace.backend.mix.items import Arrived
from anontrace.backend.nymserver.nyms import TABLE, Nyms, Outcome, Outgoing
from anontrace.backend.observing.counters import Counters
from anontrace.backend.store import Store, address, open_store
from anontrace.mixnet import blob, keydays, surb, swap
from anontrace.mixnet.header import GROUPED
from anontrace.mixnet.notification import Kind, Notification
from anontrace.mixnet.path import Hop
from anontrace.mixnet.sizes import BLOB, CASE_ID, CHAIN_TOKEN, GROUP, PAYLOAD, REPORT_ID
from anontrace.mixnet.swap import Swap
from anontrace.wire.look import SEED, Group, Look
from anontrace_primitives import x25519_base
from anontrace_shared.schedule import nym_key
from anontrace_shared.slots import slot_of
from rich.console import Console
from rich.progress import Progress

from tools.bench.report import Report
from tools.bench.servers import x25519_seconds
from tools.redis import MissingRedis
from tools.redis_cluster import RedisCluster

SIZES = (10_000, 100_000, 1_000_000)
TOGETHER = 256  # calls under way at once
_SWAPS, _SENDS, _LOOKS = 2048, 512, 64
_GROUPS, _EACH = 32, 32  # in a look, and messages in each
_BUCKET_BITS = 8
KEEP_NYM_DAYS = 45
_ROUNDS = 3
_FILL = 1000


@dataclass(frozen=True)
class _Speed:
    """Works a second, and the processor time of one in X25519."""

    rate: float
    cost: float


async def _speed(works: Sequence[Callable[[], Awaitable[object]]]) -> _Speed:
    """Of works done TOGETHER at once."""
    measure = x25519_seconds()
    start, spent = time.perf_counter(), time.process_time()
    waiting = iter(works)

    async def worker() -> None:
        for work in waiting:
            await work()

    await asyncio.gather(*(worker() for _ in range(TOGETHER)))
    spent = time.process_time() - spent
    return _Speed(len(works) / (time.perf_counter() - start), spent / len(works) / measure)


async def _fill(name: str, store: Store, nyms: Nyms, number: int) -> None:
    """Register addresses as one swap does it, but in large writes."""
    expires = keydays.day_at(time.time()) + KEEP_NYM_DAYS
    first = Swap(os.urandom(32), swap.NEW, os.urandom(BLOB))
    await nyms.swap(first)
    (value,) = await store.get_many(TABLE, [first.key])
    assert value is not None
    before, _, after = value.partition(first.blob)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        shown = progress.add_task(f"{name}: {number:,} more addresses", total=number)
        for at in range(1, number, _FILL):
            rows = [(os.urandom(32), before + os.urandom(BLOB) + after) for _ in range(min(_FILL, number - at))]
            await store.put_many(TABLE, rows, expires)
            progress.advance(shown, len(rows))


async def _median(round_of: Callable[[], Awaitable[_Speed]]) -> _Speed:
    """The middle of some rounds: a store that writes its memory to disk meanwhile has slow ones."""
    rounds = [await round_of() for _ in range(_ROUNDS)]
    return _Speed(*(statistics.median(getattr(each, name) for each in rounds) for name in ("rate", "cost")))


async def _swaps(nyms: Nyms) -> _Speed:
    wanted = [Swap(os.urandom(32), swap.NEW, os.urandom(BLOB)) for _ in range(_SWAPS)]
    return await _speed([lambda each=each: nyms.swap(each) for each in wanted])  # type: ignore[misc]


async def _sends(nyms: Nyms) -> _Speed:
    path = [Hop(number, keydays.day_at(time.time()) % 256, x25519_base(os.urandom(32))) for number in range(1, 5)]
    slot = slot_of(time.time())
    told = Notification(
        Kind.NOTIFICATION, os.urandom(CASE_ID), os.urandom(REPORT_ID), bytes(CHAIN_TOKEN), "U07.1", 3, 60, 15, ""
    )
    outgoing = [Outgoing(os.urandom(20), slot, told.encode()) for _ in range(_SENDS)]
    for each in outgoing:
        made, _ = surb.make(path, os.urandom(32))
        await nyms.swap(Swap(nym_key(each.address, slot), swap.NEW, blob.seal(each.address, slot, made)))
    outcomes: list[Outcome] = []

    async def send(each: Outgoing) -> None:
        outcomes.append((await nyms.send(each))[0])

    speed = await _speed([lambda each=each: send(each) for each in outgoing])  # type: ignore[misc]
    assert set(outcomes) == {Outcome.SENT}
    return speed


async def _looks(store: Store) -> _Speed:
    """Looks of 32 groups with 1024 messages, one tenth of them new, each wearer's another."""
    boxes = Mailboxes(store, Counters(), 255, 4096)
    asked = []
    for _ in range(_LOOKS):
        groups = [os.urandom(GROUP) for _ in range(_GROUPS)]
        await boxes.deliver(
            [Arrived(each + os.urandom(GROUP), os.urandom(PAYLOAD), GROUPED) for each in groups for _ in range(_EACH)]
        )
        asked.append(Look(192, 10, 0, os.urandom(SEED), [Group(each, 0, _EACH - _EACH // 10) for each in groups]))
    return await _speed([lambda each=each: boxes.answer(each) for each in asked])  # type: ignore[misc]


async def _measure(name: str, store: Store, size: Callable[[], int], sizes: Sequence[int], report: Report) -> None:
    nyms = Nyms(store, Counters(), lambda _: True, KEEP_NYM_DAYS)
    begin, filled = size(), 0
    for wanted in sizes:
        await _fill(name, store, nyms, wanted - filled)
        filled = wanted
        label = f"{name}, {wanted:,} addresses"
        key = f"{name}_{wanted}"
        report.add(f"{key}_bytes", f"{label}: bytes each", (size() - begin) / filled, "bytes")
        _add(report, f"{key}_swap", f"{label}: swap", await _median(lambda: _swaps(nyms)))
        filled += _ROUNDS * _SWAPS
    for what, label in (("swaps", "swaps a second"), ("swap_cost", "cost of a swap")):
        growth = report[f"{name}_{sizes[-1]}_{what}"] / report[f"{name}_{sizes[0]}_{what}"]
        report.add(f"{name}_{what}_growth", f"{name}: {label} at {sizes[-1]:,} to that at {sizes[0]:,}", growth, "")
    _add(report, f"{name}_send", f"{name}: send", await _median(lambda: _sends(nyms)))
    _add(report, f"{name}_look", f"{name}: look at {_GROUPS * _EACH} messages", await _median(lambda: _looks(store)))


def _add(report: Report, name: str, label: str, speed: _Speed) -> None:
    report.add(f"{name}s", f"{label}, how many a second", speed.rate, "")
    report.add(f"{name}_cost", f"{label}, processor time", speed.cost, "X25519")


async def _both(sizes: Sequence[int], report: Report) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        store = await open_store(folder / "rocksdb")
        await _measure("rocksdb", store, lambda: _on_disk(folder / "rocksdb"), sizes, report)
        await store.close()
        try:
            cluster = await asyncio.to_thread(RedisCluster, folder / "redis")
        except MissingRedis as error:
            report.remark(f"No figures of Redis: {error}")
            return
        try:
            place = replace(
                address.parse(cluster.url, "bench"), password=cluster.password, buckets={TABLE: _BUCKET_BITS}
            )
            store = await open_store(folder, cluster=place)
            await _measure("redis", store, cluster.memory, sizes, report)
            await store.close()
        finally:
            cluster.close()
    compared = {"sends": "sends", "looks": "looks"}
    for each in sizes:
        kinds = {"bytes": "bytes", "swaps": "swaps"}
        compared |= {f"{each}_{kind}": f"{each:,} addresses: {label}" for kind, label in kinds.items()}
    for what, label in compared.items():
        ratio = report[f"redis_{what}"] / report[f"rocksdb_{what}"]
        report.add(f"redis_to_rocksdb_{what}", f"Redis to RocksDB, {label}", ratio, "")


def _on_disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def measure(sizes: Sequence[int]) -> Report:
    """Both stores at each size."""
    report = Report("Stores: swaps, sends, looks")
    asyncio.run(_both(sizes, report))
    report.remark("Addresses are registered on one day, which keeps the million short.")
    report.remark(
        "Every swap, send and delivery is durable when it counts. Bytes: RocksDB's folder, log included, on disk;"
    )
    report.remark("Redis' masters in memory (a replica takes the same again, and both as much on disk in their logs).")
    return report


def run() -> Report:
    """The figures."""
    return measure(SIZES)
