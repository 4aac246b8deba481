"""What one mix spends on one message, against the two X25519 that it cannot do without.

    python -m tools.bench --only unwrap

Measures processor time in turns of a few milliseconds, one function after the other, and compares the tenth of the
turns that were disturbed least: what else runs on a machine can only add. Two X25519 by libsodium are the measure. One
at a time by libsodium is what a mix did up to 0.3; in batches it is done by each way that this machine has. The
`sphinxmix` package from PyPI, the reference implementation of Sphinx in Python, runs in the same turns. It is fetched
into the cache, not into the environment: one of its dependencies is built, which takes a C compiler and OpenSSL's
headers.
"""

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path

import platformdirs
from anontrace.mixnet import packet
from anontrace.mixnet.path import Hop
from anontrace_primitives import x25519_base, x25519_batches
from nacl import bindings

from tools.bench.report import Report

LIMIT = 1.35  # one at a time
LIMITS = {"ifma": 0.45, "hacl": 0.95}  # in batches, by what is chosen
SECONDS = 4.0
TURN = 64  # calls, or messages of one batch
_SPHINXMIX = ("sphinxmix==0.0.7", "petlib==0.0.45", "future==1.0.0", "msgpack-python==0.5.6")


def contenders(sphinxmix: Path | None = None) -> dict[str, Callable[[], object]]:
    """What is measured, by name, each `TURN` times a call; the first is the measure for the others. `sphinxmix`: where
    that package is."""
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
    if sphinxmix is not None:
        found["sphinxmix"] = repeated(_sphinxmix(sphinxmix))
    return found


def repeated(function: Callable[[], object]) -> Callable[[], object]:
    """A function that calls another one `TURN` times."""

    def turn() -> None:
        for _ in range(TURN):
            function()

    return turn


def fetch_sphinxmix() -> Path:
    """The folder with the package, fetched with its dependencies if need be. OSError says why that is impossible."""
    version = f"{sys.implementation.cache_tag}-{_SPHINXMIX[0].partition('==')[2]}"
    folder = Path(platformdirs.user_cache_path("anontrace")) / f"sphinxmix-{version}"
    if not folder.is_dir():
        fresh = folder.with_name(f"{folder.name}-{os.getpid()}")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        print("Fetching sphinxmix into the cache ...", file=sys.stderr, flush=True)
        done = subprocess.run([*pip, "--target", str(fresh), *_SPHINXMIX], capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(fresh, ignore_errors=True)
            raise OSError((done.stderr.strip().splitlines() or ["pip failed"])[-1])
        fresh.rename(folder)
    return folder


def _sphinxmix(folder: Path) -> Callable[[], object]:
    """One hop of the `sphinxmix` package in a folder, with its default curve and header, and our payload. ImportError
    if it does not work here."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    client, node, parameters = (import_module(f"sphinxmix.Sphinx{part}") for part in ("Client", "Node", "Params"))
    params = parameters.SphinxParams(header_len=192, body_len=1024)
    keys = {}
    for number in range(4):
        secret = params.group.gensecret()
        keys[number] = (secret, params.group.expon(params.group.g, [secret]))
    routing, public = [client.Nenc(number) for number in keys], [public for _, public in keys.values()]
    header, delta = client.create_forward_message(params, routing, public, b"mailbox", os.urandom(239))
    return lambda: node.sphinx_process(params, keys[0][0], header, delta)


def measure(functions: dict[str, Callable[[], object]], seconds: float) -> dict[str, list[float]]:
    """Microseconds of processor time for each of `TURN` calls, for each turn of each function, in turns."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for name, function in functions.items():
            start = time.process_time()
            function()
            times[name].append((time.process_time() - start) / TURN * 1e6)
    return times


def run() -> Report:
    """The figures; they fail if an unwrap costs too much of its two X25519."""
    missing, chosen = "", x25519_batches.choose().name
    try:
        found = contenders(fetch_sphinxmix())
    except (OSError, ImportError) as error:
        missing = f"No figure of sphinxmix, which could not be had: {error}"
        found = contenders()
    times = measure(found, SECONDS)
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
    if missing:
        report.remark(missing)
    else:
        report.add("unwrap_to_sphinxmix", "in batches to sphinxmix", batch / quiet["sphinxmix"], "")
    report.remark(f"X25519 in batches is by {chosen} on this machine, in batches of {TURN} here.")
    report.limit("one_at_a_time_sodium_ratio", LIMIT)
    if chosen in LIMITS:
        report.limit(f"in_batches_{chosen}_ratio", LIMITS[chosen])
    return report
