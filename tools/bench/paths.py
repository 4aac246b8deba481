"""What choosing a path costs at 255 mixes, against the X25519 that each of its four hops costs anyway.

    python -m tools.bench --only paths

Measures processor time as `unwrap` does. What is prepared once a directory is a figure of its own.
"""

import os
import statistics
import time

from anontrace.mixnet import keydays
from anontrace.mixnet.sizes import MAX_MIXES
from anontrace.wire.choosing_paths import Paths
from anontrace.wire.description import Description
from anontrace.wire.mixes import Mix, MixKey
from nacl import bindings

from tools.bench.report import Report
from tools.bench.unwrap import measure, repeated

LIMIT_US = 100.0
SECONDS = 1.0


def mixes(today: int) -> dict[int, Mix]:
    """So many mixes as there can be, some of which accuse others."""
    found = {}
    for number in range(1, MAX_MIXES + 1):
        described = Description(
            number=number, roles=("mix",), issued=0, name=f"mix-{number}", url=f"http://127.0.0.1:{number}"
        )
        found[number] = Mix(described, (MixKey(today, os.urandom(32)),), (1, 2) if number > MAX_MIXES // 2 else ())
    return found


def run() -> Report:
    """The figures; they fail if choosing a path takes more than a tenth of a millisecond."""
    now = time.time()
    found = mixes(keydays.day_at(now))
    paths, secret = Paths(found, now), os.urandom(32)
    point = bindings.crypto_scalarmult_base(secret)
    times = measure(
        {
            "four X25519": repeated(lambda: [bindings.crypto_scalarmult(secret, point) for _ in range(4)]),
            "choose": repeated(lambda: paths.choose(MAX_MIXES, minimum_days=16)),
            "prepare": repeated(lambda: Paths(found, now)),
        },
        SECONDS,
    )
    quiet = {name: statistics.quantiles(each, n=10)[0] for name, each in times.items()}
    report = Report(f"A path through {MAX_MIXES} mixes")
    report.add("choose_us", "choosing one", quiet["choose"], "us")
    report.add("choose_ratio", "choosing one, to four X25519", quiet["choose"] / quiet["four X25519"], "")
    report.add("prepare_us", "preparing, once a directory", quiet["prepare"], "us")
    report.limit("choose_us", LIMIT_US)
    return report
