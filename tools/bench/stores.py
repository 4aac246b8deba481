"""What a nymserver does a second on either store, what an address takes, and how that grows with their number.

    python -m tools.bench --only stores

Both stores run in one run, on one machine: RocksDB in a folder, and a Redis Cluster of six processes that shares the
processor cores with what measures it. Compare the ratios, not the figures of two machines. Costs are processor time of
this process (all threads of RocksDB), and apart that of Redis' six, as multiples of one X25519 of libsodium in the same
rounds. With so many addresses each has to cost what it does with few of them, in another store of the same kind, in
turns. Looks are in looks.py.
"""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from anontrace.backend.nymserver.nyms import TABLE, Nyms, Outcome, Outgoing
from anontrace.backend.observing.counters import Counters
from anontrace.backend.store import Store, address, open_store
from anontrace.mixnet import blob, keydays, surb, swap
from anontrace.mixnet.notification import Kind, Notification
from anontrace.mixnet.path import Hop
from anontrace.mixnet.sizes import BLOB, CASE_ID, CHAIN_TOKEN, REPORT_ID
from anontrace.mixnet.swap import Swap
from anontrace_primitives import x25519_base
from anontrace_shared.schedule import nym_key
from anontrace_shared.slots import slot_of
from rich.console import Console
from rich.progress import Progress

from tools.bench.report import Report
from tools.bench.servers import x25519_seconds
from tools.redis import MissingRedis
from tools.redis_cluster import RedisCluster

SIZES = {"rocksdb": (10_000, 100_000, 1_000_000, 5_000_000), "redis": (10_000, 100_000, 1_000_000)}
MAX_GROWTH = 1.3  # of what a swap or a send costs, from the fewest addresses to the most
TOGETHER = 256  # calls under way at once
_SWAPS, _SENDS = 2048, 512
_BUCKET_BITS = 8
KEEP_NYM_DAYS = 45
_ROUNDS, _TURNS = 3, 9
_FILL = 1000
_REST_SECONDS, _REST_PART, _MAX_RESTS = 0.5, 0.05, 240


@dataclass(frozen=True)
class _Speed:
    """Works a second, and the processor time of one in X25519: here, and in the cluster's processes."""

    rate: float
    cost: float
    of_cluster: float


async def _speed(
    works: Sequence[Callable[[], Awaitable[object]]], cluster: RedisCluster | None, rewriting: bool = False
) -> _Speed:
    """Of works done TOGETHER at once, while the cluster rewrites its logs or, which is the rule, while it does not."""
    if cluster is not None:
        await asyncio.to_thread(cluster.rewrite if rewriting else cluster.settle)
    measure = x25519_seconds()
    start, spent, others = time.perf_counter(), time.process_time(), cluster.spent() if cluster else 0.0
    waiting = iter(works)

    async def worker() -> None:
        for work in waiting:
            await work()

    await asyncio.gather(*(worker() for _ in range(TOGETHER)))
    spent, others = time.process_time() - spent, (cluster.spent() if cluster else 0.0) - others
    rate = len(works) / (time.perf_counter() - start)
    return _Speed(rate, spent / len(works) / measure, others / len(works) / measure)


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
    return _Speed(
        *(statistics.median(getattr(each, name) for each in rounds) for name in ("rate", "cost", "of_cluster"))
    )


async def _rest() -> None:
    """Wait until this process has nothing to do: what filling has left to RocksDB's threads is no part of a swap."""
    for _ in range(_MAX_RESTS):
        spent = time.process_time()
        await asyncio.sleep(_REST_SECONDS)
        if time.process_time() - spent < _REST_PART * _REST_SECONDS:
            return


async def _swaps(nyms: Nyms, cluster: RedisCluster | None, rewriting: bool = False) -> _Speed:
    wanted = [Swap(os.urandom(32), swap.NEW, os.urandom(BLOB)) for _ in range(_SWAPS)]
    return await _speed([lambda each=each: nyms.swap(each) for each in wanted], cluster, rewriting)  # type: ignore[misc]


async def _sends(nyms: Nyms, cluster: RedisCluster | None) -> _Speed:
    path = [Hop(number, keydays.day_at(time.time()) % 256, x25519_base(os.urandom(32))) for number in range(1, 5)]
    slot = slot_of(time.time())

    def told() -> bytes:
        """Of a report of its own: those of one are sent one after the other."""
        ids = os.urandom(CASE_ID), os.urandom(REPORT_ID)
        return Notification(Kind.NOTIFICATION, *ids, bytes(CHAIN_TOKEN), "U07.1", 3, 60, 15, "").encode()

    outgoing = [Outgoing(os.urandom(20), slot, told()) for _ in range(_SENDS)]
    for each in outgoing:
        made, _ = surb.make(path, os.urandom(32))
        await nyms.swap(Swap(nym_key(each.address, slot), swap.NEW, blob.seal(each.address, slot, made)))
    outcomes: list[Outcome] = []

    async def send(each: Outgoing) -> None:
        outcomes.append((await nyms.send(each))[0])

    speed = await _speed([lambda each=each: send(each) for each in outgoing], cluster)  # type: ignore[misc]
    assert set(outcomes) == {Outcome.SENT}
    return speed


async def _measure(
    name: str, store: Store, few: Store, size: Callable[[], int], cluster: RedisCluster | None, report: Report
) -> None:
    nyms = Nyms(store, Counters(), lambda _: True, KEEP_NYM_DAYS)
    begin, filled = size(), 0
    sizes = SIZES[name]
    for wanted in sizes:
        await _fill(name, store, nyms, wanted - filled)
        filled = wanted
        await _rest()
        label = f"{name}, {wanted:,} addresses"
        key = f"{name}_{wanted}"
        report.add(f"{key}_bytes", f"{label}: bytes each", (size() - begin) / filled, "bytes")
        _add(report, f"{key}_swap", f"{label}: swap", await _median(lambda: _swaps(nyms, cluster)))
        _add(report, f"{key}_send", f"{label}: send", await _median(lambda: _sends(nyms, cluster)))
        filled += _ROUNDS * (_SWAPS + _SENDS)
    if cluster is not None:
        busy = await _median(lambda: _swaps(nyms, cluster, rewriting=True))
        _add(report, f"{name}_rewriting_swap", f"{name}, {sizes[-1]:,} addresses, while logs are rewritten: swap", busy)
    small = Nyms(few, Counters(), lambda _: True, KEEP_NYM_DAYS)
    await _fill(f"{name}, few", few, small, sizes[0])
    await _rest()
    for what, work in (("swap", _swaps), ("send", _sends)):
        turns = [(await work(nyms, cluster), await work(small, cluster)) for _ in range(_TURNS)]
        for whose, label in (("cost", ""), ("of_cluster", ", Redis' own processes")):
            ratios = [getattr(many, whose) / getattr(little, whose) for many, little in turns if getattr(little, whose)]
            if ratios:
                growth = f"{name}_{what}_{whose}_growth"
                label = f"{name}: a {what} at {sizes[-1]:,} to one at {sizes[0]:,}{label}"
                report.add(growth, label, statistics.median(ratios), "")
                report.limit(growth, MAX_GROWTH)


def _add(report: Report, name: str, label: str, speed: _Speed) -> None:
    report.add(f"{name}s", f"{label}, how many a second", speed.rate, "")
    report.add(f"{name}_cost", f"{label}, processor time", speed.cost, "X25519")
    report.add(f"{name}_of_cluster", f"{label}, Redis' own", speed.of_cluster, "X25519")


async def _both(report: Report) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        store, few = [await open_store(folder / each) for each in ("rocksdb", "few")]
        await _measure("rocksdb", store, few, lambda: _on_disk(folder / "rocksdb"), None, report)
        for each in (store, few):
            await each.close()
        try:
            cluster = await asyncio.to_thread(RedisCluster, folder / "redis")
        except MissingRedis as error:
            report.remark(f"No figures of Redis: {error}")
            return
        try:
            place = replace(
                address.parse(cluster.url, "bench"), password=cluster.password, buckets={TABLE: _BUCKET_BITS}
            )
            places = (place, replace(place, prefix="few"))
            store, few = [await open_store(folder, cluster=each) for each in places]
            await _measure("redis", store, few, cluster.memory, cluster, report)
            for each in (store, few):
                await each.close()
        finally:
            cluster.close()
    compared: dict[str, str] = {}
    for number in SIZES["redis"]:
        kinds = {"bytes": "bytes", "swaps": "swaps", "sends": "sends"}
        compared |= {f"{number}_{kind}": f"{number:,} addresses: {label}" for kind, label in kinds.items()}
    for what, label in compared.items():
        ratio = report[f"redis_{what}"] / report[f"rocksdb_{what}"]
        report.add(f"redis_to_rocksdb_{what}", f"Redis to RocksDB, {label}", ratio, "")


def _on_disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def run() -> Report:
    """The figures; they fail if a swap or a send costs more with more addresses."""
    report = Report("Stores: swaps, sends")
    asyncio.run(_both(report))
    report.remark("Addresses are registered on one day, which keeps the million short.")
    report.remark("Every swap and send is durable when it counts. Bytes: RocksDB's folder, log included, on disk;")
    report.remark("Redis' masters in memory (a replica takes the same again, and both as much on disk in their logs).")
    report.remark("Redis' own: its six processes, without those that they fork to rewrite their logs.")
    return report
