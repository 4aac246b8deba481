"""What one mix spends on one message, against the two X25519 that it cannot do without.

    python -m tools.bench --only unwrap

Measures processor time in turns of a few milliseconds, one function after the other, and compares the tenth of the
turns that were disturbed least: what else runs on a machine can only add. With `sphinxmix` installed, its Python
implementation runs in the same turns.
"""

import os
import statistics
import time
from collections.abc import Callable
from importlib import import_module

from anontrace.mixnet import message
from anontrace.mixnet.path import Hop
from anontrace_primitives import x25519_base
from nacl import bindings

from tools.bench.report import Report

LIMIT = 1.35
SECONDS = 3.0
TURN = 40  # calls


def contenders() -> dict[str, Callable[[], object]]:
    """What is measured, by name; the first is the measure for the others."""
    secrets = [os.urandom(32) for _ in range(4)]
    path = [Hop(n, 0, x25519_base(secret)) for n, secret in enumerate(secrets, 1)]
    sent = message.forward(path, os.urandom(32), os.urandom(239))
    secret, public, alpha = secrets[0], path[0].public_key, sent[1:33]

    def two_x25519() -> None:
        bindings.crypto_scalarmult(secret, alpha)
        bindings.crypto_scalarmult(secret, public)

    found: dict[str, Callable[[], object]] = {
        "two X25519": two_x25519,
        "unwrap": lambda: message.unwrap(secret, public, sent),
    }
    if (sphinx := _sphinxmix()) is not None:
        found["sphinxmix"] = sphinx
    return found


def _sphinxmix() -> Callable[[], object] | None:
    """One hop of the `sphinxmix` package, with its default curve and a body of the same size; None if not installed."""
    try:
        client, node, parameters = (import_module(f"sphinxmix.Sphinx{part}") for part in ("Client", "Node", "Params"))
    except ImportError:
        return None
    params = parameters.SphinxParams(header_len=192, body_len=1024)
    keys = {}
    for number in range(4):
        secret = params.group.gensecret()
        keys[number] = (secret, params.group.expon(params.group.g, [secret]))
    routing, public = [client.Nenc(number) for number in keys], [public for _, public in keys.values()]
    header, delta = client.create_forward_message(params, routing, public, b"mailbox", os.urandom(239))
    return lambda: node.sphinx_process(params, keys[0][0], header, delta)


def measure(functions: dict[str, Callable[[], object]], seconds: float) -> dict[str, list[float]]:
    """Microseconds of processor time a call, for each turn of each function, the functions taking turns."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for name, function in functions.items():
            start = time.process_time()
            for _ in range(TURN):
                function()
            times[name].append((time.process_time() - start) / TURN * 1e6)
    return times


def run() -> Report:
    """The figures; they fail if an unwrap costs too much more than its two X25519."""
    times = measure(contenders(), SECONDS)
    quiet = {name: statistics.quantiles(each, n=10)[0] for name, each in times.items()}
    base = next(iter(quiet.values()))
    report = Report("One message at a mix")
    for name, each in quiet.items():
        key = name.replace(" ", "_")
        report.add(f"{key}_us", name, each, "us")
        report.add(f"{key}_median_us", f"{name}, median turn", statistics.median(times[name]), "us")
        report.add(f"{key}_per_second", f"{name}, a second and core", 1e6 / each, "")
        report.add(f"{key}_ratio", f"{name} to two X25519", each / base, "")
    report.limit("unwrap_ratio", LIMIT)
    return report
