"""What servers a country needs, on paper: from a level of traffic and what each thing costs. Pure.

For each wearer and day, with the figures of a level (`anontrace.wire.levels`):

    sent      = messages * batch                       what a companion sends, over MIXES mixes to the nymserver
    swaps     = new + renewals
    relays    = renewals                               dummies by the old reply block, which the nymserver sends on
    answers   = receipts
    arriving  = relays + answers                       over MIXES mixes to a mailbox server
    hops      = MIXES * (sent + arriving) at mixes, sent at the nymserver, arriving at mailbox servers

    cores     = wearers * sum(number * cost) * x25519 * peak / 86400 / USED
    disk      = wearers * sum(kept * days * bytes)
    bytes/s   = wearers * bytes * peak / 86400

Costs are processor time in X25519 of libsodium on one core, as the benchmarks measure them; `FIGURES` holds those of
docs/performance.md, which a file of `make bench` replaces. Not counted: TLS (a proxy's work), opening contact logs, the
operating system's part that no process is charged with, copies for the loss of a disk.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from anontrace.mixnet import keydays
from anontrace.mixnet.sizes import MAX_MIXES, MESSAGE
from anontrace.wire.levels import GROUPS, Level
from anontrace.wire.look import Group, Look

MIXES = 3  # on a path, before the server that it ends at
USED = 0.6  # of a core, on the average of a busy hour: queues stay short
KEEP_NYM_DAYS, KEEP_MESSAGE_DAYS = 45, 30
_DAY = 86400
_HELD = 600  # bytes in a mix's memory and disk for a message that it holds
_PROCESS = 100e6  # bytes of memory of a server's process, its store's buffers included
SPREAD_SECONDS = 36_000  # over which the notifications of a decision leave


class PlanError(ValueError):
    """A plan that cannot be made; the message says of which parameter and why."""


@dataclass(frozen=True)
class Figure:
    """A measured figure, where it comes from, and where a file of the benchmarks has it: bench, name."""

    value: float
    unit: str
    label: str
    bench: tuple[str, str] | None = None
    source: str = "docs/performance.md"


FIGURES = {
    "x25519": Figure(33.0, "us", "one X25519 of libsodium"),
    "hop": Figure(2.27, "X25519", "a hop: HTTP, unwrap, durable, HTTP", ("servers", "rocksdb_hop_cost")),
    "request": Figure(14.5, "X25519", "a companion's request", ("http_servers", "uvicorn_look_cost")),
    "swap": Figure(1.7, "X25519", "a swap, as mixes deliver it"),
    "send": Figure(11.4, "X25519", "a notification, or an answer", ("stores", "rocksdb_5000000_send_cost")),
    "relay": Figure(1.5, "X25519", "a dummy that is relayed"),
    "delivery": Figure(0.4, "X25519", "a message into its mailbox"),
    "look": Figure(184.0, "X25519", "a look into all mailboxes", ("looks", "rocksdb_normal_cost")),
    "tag_bytes": Figure(28.3, "bytes", "what a mix remembers of a message"),
    "header_bytes": Figure(29.1, "bytes", "what a nymserver remembers of a header"),
    "nym_bytes": Figure(223.4, "bytes", "a registered address", ("stores", "rocksdb_5000000_bytes")),
    "message_bytes": Figure(256.0, "bytes", "a message in its mailbox"),
}

# Of docs/threat-model.md: by the mean delay of a mix (seconds) the share of wearers, among so many, whom nymserver and
# mailbox server name together after an hour's meeting whose twelve notifications leave apart.
NAMED = {
    60: {10**3: 0.52, 10**4: 0.23, 10**5: 0.077, 10**6: 0.021},
    300: {10**3: 0.037, 10**4: 0.0074, 10**5: 0.0013, 10**6: 0.00017},
    1200: {10**3: 0.0078, 10**4: 0.0012, 10**5: 0.00014, 10**6: 0.000014},
    3600: {10**3: 0.0035, 10**4: 0.00041, 10**5: 0.000042, 10**6: 0.0000042},
    14400: {10**3: 0.0019, 10**4: 0.00021, 10**5: 0.000022, 10**6: 0.0000022},
}


@dataclass(frozen=True)
class Wish:
    """What is to be planned. `named`: the largest share of those told that nymserver and mailbox server may name
    together. `colluding`, `path_risk`: how many mixes may be in one hand, and the largest share of paths that may lie
    through them alone. `mix_cores`: those of the machines of one mix. `reports`: logs that are handed in on a bad day,
    with so many `exposures` each. `peak`: a busy hour to the mean one."""

    wearers: float
    level: Level
    named: float = 0.01
    colluding: int = 3
    path_risk: float = 1e-3
    mix_cores: float = 16.0
    reports: float = 0.0
    exposures: float = 500.0
    peak: float = 1.5


@dataclass(frozen=True)
class Need:
    """Of all servers of one role together."""

    role: str
    cores: float
    memory: float  # bytes
    disk: float  # bytes
    bytes_in: float  # a second, in a busy hour
    bytes_out: float
    cores_bad_day: float  # on top, while a bad day's notifications leave


@dataclass(frozen=True)
class Plan:
    """What is needed. `delay`: mean seconds at each mix; `queue_limit`: for one mix."""

    needs: tuple[Need, ...]
    mixes: int
    delay: int
    named: float
    path_share: float
    queue_limit: int
    hops_a_second: float
    swaps_a_second: float
    looks_a_second: float
    figures: Mapping[str, Figure]


def measured(bench: Mapping[str, object]) -> dict[str, Figure]:
    """The figures, those of a file of `make bench` in place of what it has. PlanError if the file is none."""
    benches = bench.get("benches")
    if not isinstance(benches, dict):
        raise PlanError("this is no file of `make bench`: it has no `benches`")
    found = dict(FIGURES)

    def value(of: str, name: str) -> float | None:
        try:
            taken = benches[of]["figures"][name]["value"]
        except (KeyError, TypeError):
            return None
        if isinstance(taken, bool) or not isinstance(taken, int | float) or not 0 < taken < math.inf:
            raise PlanError(f"{name} of {of} in this file is no figure")
        return float(taken)

    for name, figure in FIGURES.items():
        if figure.bench is not None and (taken := value(*figure.bench)) is not None:
            found[name] = replace(figure, value=taken, source=": ".join(figure.bench))
    time, cost = value("servers", "rocksdb_hop_time"), value("servers", "rocksdb_hop_cost")
    if time is not None and cost is not None:
        found["x25519"] = replace(FIGURES["x25519"], value=time / cost, source="servers: rocksdb_hop_time")
    return found


def plan(wish: Wish, figures: Mapping[str, Figure]) -> Plan:
    """What a wish needs. PlanError if it is out of range or cannot be had."""
    _check(wish)
    cost = {name: each.value for name, each in figures.items()}
    level = wish.level
    sent = level.messages * level.batch
    swaps, relays, answers = level.new + level.renewals, level.renewals, level.receipts
    arriving = relays + answers
    notified = wish.reports * wish.exposures
    delay, named = _delay(wish)
    hops = MIXES * (sent + arriving)
    of_mixes = {"hop": hops, "request": level.messages}
    mixes, path_share = _mixes(wish, wish.wearers * _seconds(of_mixes, cost) * wish.peak / _DAY / USED)
    a_look = Look(level.digests, level.sums, 0, b"", [Group(b"", 0, 0)] * GROUPS)

    def need(
        role: str, works: Mapping[str, float], disk: float, messages: tuple[float, float], bad_day: Mapping[str, float],
        others: tuple[float, float] = (0.0, 0.0),
    ) -> Need:  # fmt: skip
        cores = wish.wearers * _seconds(works, cost) * wish.peak / _DAY / USED
        bytes_in, bytes_out = (
            wish.wearers * (number * MESSAGE + other) * wish.peak / _DAY
            for number, other in zip(messages, others, strict=True)
        )
        held = bytes_out / MESSAGE * delay * _HELD if messages[1] else 0.0
        bad = notified * _seconds(bad_day, cost) / SPREAD_SECONDS / USED
        return Need(role, cores, math.ceil(cores) * _PROCESS + held, disk, bytes_in, bytes_out, bad)

    days = keydays.LIFE_DAYS
    tags = cost["tag_bytes"] * days
    needs = (
        need("mixes", of_mixes, wish.wearers * hops * tags, (hops, hops), {"hop": MIXES}),
        need(
            "nymserver",
            {"hop": sent, "swap": swaps, "relay": relays, "send": answers},
            wish.wearers
            * (
                sent * tags
                + level.new * KEEP_NYM_DAYS * cost["nym_bytes"]
                + (relays + answers) * days * cost["header_bytes"]
            ),
            (sent, arriving),
            {"send": 1},
        ),
        need(
            "mailbox servers",
            {"hop": arriving, "delivery": arriving, "look": level.looks, "request": level.looks},
            wish.wearers * arriving * (tags + KEEP_MESSAGE_DAYS * cost["message_bytes"]),
            (arriving, 0.0),
            {"hop": 1, "delivery": 1},
            (level.looks * a_look.size, level.looks * a_look.answer_size),
        ),
    )
    a_second = wish.wearers * wish.peak / _DAY
    return Plan(
        needs, mixes, delay, named, path_share, math.ceil(2 * a_second * hops / mixes * delay), a_second * (hops + sent
        + arriving), a_second * swaps, a_second * level.looks, figures,
    )  # fmt: skip


def _seconds(works: Mapping[str, float], cost: Mapping[str, float]) -> float:
    return sum(number * cost[name] for name, number in works.items()) * cost["x25519"] * 1e-6


def _check(wish: Wish) -> None:
    for name, value, least, most in (
        ("wearers", wish.wearers, 1.0, 1e10),
        ("named", wish.named, 1e-6, 1.0),
        ("colluding", wish.colluding, 0, MAX_MIXES),
        ("path risk", wish.path_risk, 1e-9, 1.0),
        ("mix cores", wish.mix_cores, 1.0, 1e5),
        ("reports", wish.reports, 0.0, wish.wearers),
        ("exposures", wish.exposures, 1.0, 1e5),
        ("peak", wish.peak, 1.0, 100.0),
    ):
        if not least <= value <= most:
            raise PlanError(f"{name}: {value:g} is not between {least:g} and {most:g}")


def _delay(wish: Wish) -> tuple[int, float]:
    """The shortest delay with which no more are named than may be, and how many are, among as many as poll."""
    for delay, shares in NAMED.items():
        crowd = max((each for each in shares if each <= wish.wearers), default=min(shares))
        if shares[crowd] <= wish.named:
            return delay, shares[crowd]
    raise PlanError(f"named: not even four hours at each mix keep it at {wish.named:g} of those told")


def _mixes(wish: Wish, cores: float) -> tuple[int, float]:
    """How many mixes there have to be, and the share of paths that lie through the colluding ones alone."""
    for mixes in range(max(MIXES, wish.colluding, math.ceil(cores / wish.mix_cores)), MAX_MIXES + 1):
        share = math.comb(wish.colluding, MIXES) / math.comb(mixes, MIXES)
        if share <= wish.path_risk:
            return mixes, share
    raise PlanError(
        f"{MAX_MIXES} mixes are the most; that is too few for {cores:,.0f} cores with {wish.mix_cores:g} each, or for"
        f" {wish.path_risk:g} of all paths if {wish.colluding} collude"
    )
