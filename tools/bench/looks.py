"""What a look costs a mailbox server, on either store: processor time, for wearers to whom more or less has come.

    python -m tools.bench --only looks

A look of level `normal` names 31 groups, in which a wearer has some 4032 mailboxes: here they were begun on 31 days and
filled as dummies and answers fill them, so that a store has all days that it has in service. Measured are whole looks,
from the request's bytes to the answer's, in turns: at groups in which nothing is; at a thousand messages; and at what
comes to a wearer of that level in the days that their sums go over. Processor time is that of this process, RocksDB's
threads included and Redis' own processes not, in multiples of one X25519 of libsodium in the same rounds; milliseconds
are for a core on which that takes 35 microseconds.
"""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

from anontrace.backend.mailbox.boxes import Mailboxes
from anontrace.backend.mix.items import Arrived
from anontrace.backend.observing.counters import Counters
from anontrace.backend.store import Store, address, open_store
from anontrace.mixnet.header import GROUPED
from anontrace.mixnet.sizes import GROUP, PAYLOAD
from anontrace.wire.levels import GROUPS, NORMAL
from anontrace.wire.look import SEED, Group, Look

from tools.bench.registration import STATED_X25519
from tools.bench.report import Report
from tools.bench.servers import x25519_seconds
from tools.redis import MissingRedis
from tools.redis_cluster import RedisCluster

DAYS = GROUPS - 1  # a group is begun each day, and looked into for so many
A_DAY = round(NORMAL.renewals + NORMAL.receipts)  # messages to a wearer
SOUGHT = 1000
MAX_MS = 3.0  # of a look that finds nothing
_WEARERS = 8  # of each kind, who look at once
_ROUNDS = 9
_DAY = 86400


@dataclass(frozen=True)
class Kind:
    """Wearers of one kind. `comes`: messages to each, a day. `window`: days over which sums go."""

    name: str
    label: str
    comes: int
    window: float


_SINCE = 1 / NORMAL.looks  # days since the look before
KINDS = (
    Kind("empty", "nothing came", 0, NORMAL.window_days),
    Kind("sought", f"at {SOUGHT:,} messages", round(SOUGHT / (NORMAL.window_days + _SINCE)), NORMAL.window_days),
    Kind("normal", f"at what comes at level normal, {A_DAY} a day", A_DAY, NORMAL.window_days),
)


class Wearer:
    """Somebody's groups, the oldest first."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.groups = [os.urandom(GROUP) for _ in range(DAYS)]
        self.came = [0] * DAYS

    def day(self, number: int) -> list[Arrived]:
        """What comes on one day, to the groups that were begun until then."""
        live = number + 1
        arrived = []
        for at in range(self.kind.comes * live // DAYS):
            self.came[at % live] += 1
            arrived.append(Arrived(self.groups[at % live] + os.urandom(GROUP), os.urandom(PAYLOAD), GROUPED))
        return arrived

    def look(self) -> bytes:
        """Their request: what came since the last one is not known, and sums go over all of some days."""
        a_day = self.kind.comes / DAYS  # to one group
        asked = []
        for group, came in zip(self.groups, self.came, strict=True):
            known = max(0, came - round(a_day * _SINCE))
            asked.append(Group(group, max(0, known - round(a_day * self.kind.window)), known))
        asked += [Group(os.urandom(GROUP), 0, 0)] * (GROUPS - DAYS)
        return Look(NORMAL.digests, NORMAL.sums, 0, os.urandom(SEED), asked).encode()


async def _answered(boxes: Mailboxes, body: bytes) -> None:
    asked = Look.parse(body)
    (await boxes.answer(asked)).encode(asked)


async def costs(store: Store, wearers: int = _WEARERS, rounds: int = _ROUNDS) -> dict[str, float]:
    """For each kind what a look costs, in X25519: the middle of the rounds."""
    boxes = Mailboxes(store, Counters(), 255, 4096)
    crowd = {kind: [Wearer(kind) for _ in range(wearers)] for kind in KINDS}
    now = time.time()
    for number in range(DAYS):
        with patch("anontrace.clock.now", return_value=now - (DAYS - 1 - number) * _DAY):
            for each in (each for same in crowd.values() for each in same):
                await boxes.deliver(each.day(number))
    found: dict[str, list[float]] = {kind.name: [] for kind in KINDS}
    for _ in range(rounds):
        for kind, same in crowd.items():
            bodies = [each.look() for each in same]
            before, spent = x25519_seconds(), time.process_time()
            await asyncio.gather(*(_answered(boxes, body) for body in bodies))
            spent = (time.process_time() - spent) / wearers
            found[kind.name].append(2 * spent / (before + x25519_seconds()))
    return {name: statistics.median(each) for name, each in found.items()}


async def _both() -> dict[str, dict[str, float] | str]:
    """Costs by store; of one that cannot be had, why."""
    found: dict[str, dict[str, float] | str] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        store = await open_store(folder / "rocksdb")
        found["rocksdb"] = await costs(store)
        await store.close()
        try:
            cluster = await asyncio.to_thread(RedisCluster, folder / "redis")
        except MissingRedis as error:
            return found | {"redis": str(error)}
        try:
            place = replace(address.parse(cluster.url, "bench"), password=cluster.password)
            store = await open_store(folder, cluster=place)
            found["redis"] = await costs(store)
            await store.close()
        finally:
            await asyncio.to_thread(cluster.close)
    return found


def report(found: dict[str, dict[str, float] | str], kinds: Sequence[Kind] = KINDS) -> Report:
    """The figures; they fail if a look costs more than it may."""
    made = Report("A look at 4032 mailboxes", ("X25519", "milliseconds"))
    for name, each in found.items():
        if isinstance(each, str):
            made.remark(f"No figures of {name}: {each}")
            continue
        for kind in kinds:
            cost = each[kind.name]
            key = f"{name}_{kind.name}"
            made.add_row(f"{name}: {kind.label}", "", {f"{key}_cost": cost, f"{key}_ms": cost * STATED_X25519 * 1000})
        made.add(f"{name}_ratio", f"{name}: at {SOUGHT:,} messages, to none", each["sought"] / each["empty"], "")
    for name in (name for name, each in found.items() if not isinstance(each, str)):
        made.limit(f"{name}_empty_ms", MAX_MS)
    return made


def run() -> Report:
    """The figures."""
    return report(asyncio.run(_both()))
