"""What one mix spends on one message, against the two X25519 that it cannot do without.

    python -m tools.bench --only unwrap

Measures processor time in turns of a few milliseconds, one function after the other, and compares the tenth of the
turns that were disturbed least: what else runs on a machine can only add. Two X25519 by libsodium are the measure. One
at a time by libsodium is what a mix did up to 0.3; in batches it is done by each way that this machine has. peers.py
has other packet formats.
"""

import os
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

from anontrace.mixnet import packet
from anontrace.mixnet.path import Hop
from anontrace_primitives import x25519_base, x25519_batches
from nacl import bindings

from tools.bench.report import Report

LIMIT = 1.35  # one at a time
LIMITS = {"ifma": 0.45, "hacl": 0.95}  # in batches, by what is chosen
SECONDS = 4.0
TURN = 64  # calls, or messages of one batch


def contenders() -> dict[str, Callable[[], object]]:
    """What is measured, by name, each `TURN` times a call; the first is the measure for the others."""
    secrets = [os.urandom(32) for _ in range(4)]
    path = [Hop(n, 0, x25519_base(secret)) for n, secret in enumerate(secrets, 1)]
    sent = packet.forward_many([path] * TURN, os.urandom(32), [os.urandom(239) for _ in range(TURN)])
    alphas = [each[packet.ALPHA_FIELD] for each in sent]
    secret, public = secrets[0], path[0].public_key

    def two_x25519() -> None:
        for alpha in alphas:
            bindings.crypto_scalarmult(secret, alpha)
            bindings.crypto_scalarmult(secret, public)

    def one_by_one() -> None:
        x25519_batches.choose("sodium")
        for message in sent:
            packet.unwrap(secret, public, message)

    def batch(name: str) -> None:
        x25519_batches.choose(name)
        packet.unwrap_many([(secret, public)] * TURN, sent)

    found: dict[str, Callable[[], object]] = {"two X25519": two_x25519, "one at a time, sodium": one_by_one}
    for name in reversed(x25519_batches.NAMES):
        with suppress(x25519_batches.UnavailableError):
            found[f"in batches, {x25519_batches.named(name).name}"] = partial(batch, name)
    return found


def repeated(function: Callable[[], object]) -> Callable[[], object]:
    """A function that calls another one `TURN` times."""

    def turn() -> None:
        for _ in range(TURN):
            function()

    return turn


def measure(
    functions: Mapping[str, Callable[[], object]],
    seconds: float,
    clocks: Mapping[str, Callable[[], float]] | None = None,
) -> dict[str, list[float]]:
    """Microseconds of processor time for each of `TURN` calls, for each turn of each function, in turns. `clocks`: by
    the names of those that another process computes, its processor time in seconds."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for name, function in functions.items():
            clock = (clocks or {}).get(name, time.process_time)
            start = clock()
            function()
            times[name].append((clock() - start) / TURN * 1e6)
    return times


def run() -> Report:
    """The figures; they fail if an unwrap costs too much of its two X25519."""
    chosen = x25519_batches.choose().name
    times = measure(contenders(), SECONDS)
    x25519_batches.choose(chosen)
    quiet = {name: statistics.quantiles(each, n=10)[0] for name, each in times.items()}
    base = next(iter(quiet.values()))
    report = Report("One message at a mix")
    for name, each in quiet.items():
        key = name.replace(",", "").replace(" ", "_")
        report.add(f"{key}_us", name, each, "us")
        report.add(f"{key}_median_us", f"{name}, median turn", statistics.median(times[name]), "us")
        report.add(f"{key}_per_second", f"{name}, a second and core", 1e6 / each, "")
        report.add(f"{key}_ratio", f"{name} to two X25519", each / base, "")
    batch = quiet[f"in batches, {chosen}"]
    report.add("unwrap_to_before", "in batches to one at a time", batch / quiet["one at a time, sodium"], "")
    report.remark(f"X25519 in batches is by {chosen} on this machine, in batches of {TURN} here.")
    report.limit("one_at_a_time_sodium_ratio", LIMIT)
    if chosen in LIMITS:
        report.limit(f"in_batches_{chosen}_ratio", LIMITS[chosen])
    return report
