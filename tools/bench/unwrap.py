"""What one mix spends on one message, against the two X25519 that it cannot do without.

    python -m tools.bench.unwrap [--seconds S] [--limit RATIO]

Measures processor time in turns of a few milliseconds, one function after the other, and compares the tenth of the
turns that were disturbed least: what else runs on a machine can only add. With `sphinxmix` installed, its Python
implementation runs in the same turns. Exits 1 if the ratio is over the limit.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from importlib import import_module

from anontrace.mixnet import message
from anontrace.mixnet.path import Hop
from anontrace_primitives import x25519_base
from nacl import bindings

LIMIT = 1.35
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


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=3.0, help="how long to measure in all (3)")
    parser.add_argument("--limit", type=float, default=LIMIT, help=f"highest ratio that passes ({LIMIT})")
    options = parser.parse_args(arguments)
    times = measure(contenders(), options.seconds)
    quiet = {name: statistics.quantiles(each, n=10)[0] for name, each in times.items()}
    base = next(iter(quiet.values()))
    ratios = {name: each / base for name, each in quiet.items()}
    print(f"{'':12}{'us':>8}{'median us':>12}{'per second':>12}{'ratio':>8}")
    for name, each in quiet.items():
        print(f"{name:12}{each:8.1f}{statistics.median(times[name]):12.1f}{1e6 / each:12.0f}{ratios[name]:8.2f}")
    if ratios["unwrap"] > options.limit:
        print(f"unwrap takes {ratios['unwrap']:.2f} times two X25519; the limit is {options.limit}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
