"""The numbers of a server in Prometheus' text format, for `GET /metrics`. Never a label that identifies anybody."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = CONTENT_TYPE_LATEST
_STARTED = time.time()
_GAUGES = {
    "day_limit": "Notifications that are let through on a day, over all cases.",
    "day_limit_used": "Those that were let through today (UTC).",
    "growth_limit": "Times the generation before, beyond which a generation gives an alarm.",
    "growth_alarm": "Times the generation before that the fastest growing one was told, if beyond that, else 0.",
}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is told at one moment. `losses`: share of our own loops lost on the link to each next mix; `gauges`: what a
    nymserver tells of its limit, by the names of _GAUGES; `newest_key`: unix time at which the day of this mix' newest
    key begins, as the directory shows it; `certificate_end`: unix time until which the certificate that is served is
    valid. None: the server has none."""

    counters: Mapping[str, int]
    queues: Mapping[str, int]
    missing_peers: int
    clock_offset: float
    ready: bool
    losses: Mapping[int, float]
    gauges: Mapping[str, float] = field(default_factory=dict)
    clock_wrong: bool = False
    store_unfit: bool = False
    newest_key: float | None = None
    certificate_end: float | None = None


class _Numbers(Collector):
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        now = self._snapshot
        for name, count in now.counters.items():
            yield CounterMetricFamily(f"anontrace_{name}", "Events since the start.", value=count)
        queues = GaugeMetricFamily("anontrace_queue_entries", "Entries that wait in a queue.", labels=["queue"])
        for queue, length in now.queues.items():
            queues.add_metric([queue], length)
        yield queues
        losses = GaugeMetricFamily("anontrace_link_loss", "Share of loops lost on a link.", labels=["next_mix"])
        for number, share in now.losses.items():
            losses.add_metric([str(number)], share)
        yield losses
        for name, level in now.gauges.items():
            yield GaugeMetricFamily(f"anontrace_{name}", _GAUGES[name], value=level)
        for name, told, at in (
            ("newest_key_seconds", "When the day of this mix' newest published key begins, unix time.", now.newest_key),
            ("certificate_end_seconds", "Until when the TLS certificate is valid, unix time.", now.certificate_end),
        ):
            moment = GaugeMetricFamily(f"anontrace_{name}", told, labels=[])
            if at is not None:
                moment.add_metric([], at)
            yield moment
        for name, told, value in (
            ("missing_peers", "Pinned mixes without a key list in force.", now.missing_peers),
            ("clock_offset_seconds", "Our clock against the others', ahead is above 0.", now.clock_offset),
            ("clock_wrong", "1 while the clock is too wrong to serve.", int(now.clock_wrong)),
            ("store_unfit", "1 while the cluster does not hold the state as it should.", int(now.store_unfit)),
            ("ready", "1 if /readyz says so.", int(now.ready)),
            ("start_time_seconds", "When the process started, unix time.", _STARTED),
        ):
            yield GaugeMetricFamily(f"anontrace_{name}", told, value=value)


def exposition(snapshot: Snapshot) -> bytes:
    """The text, with the memory, CPU and files of the process."""
    registry = CollectorRegistry()
    registry.register(_Numbers(snapshot))
    ProcessCollector(registry=registry)
    return generate_latest(registry)
