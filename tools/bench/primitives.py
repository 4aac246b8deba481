"""What the badge's cryptographic primitives cost, on the Unix MicroPython with the heap of an ESP32.

    python -m tools.bench --only primitives

The plain ladder beside X25519 is the textbook one with `% P`, timed in the same run.
"""

import json
import os
import subprocess
from pathlib import Path

from tools import micropython
from tools.bench.report import Report

ROOT = Path(__file__).parent.parent.parent
SCRIPT = Path(__file__).parent / "on_badge" / "primitives.py"
ESP32_HEAP = 165_008
TARGET = 0.6
MAX_SPREAD = 1.05  # the scalar may not show in the time; what other programs do adds a little
_ROUNDS = 8
_PROCESSES = 4


def measure() -> dict[str, float]:
    """The least time of each operation in microseconds, by the names that the script gives them.

    Of several processes: the layout of the heap, which is chance, can double the time of one.
    """
    path = ":".join([".frozen", str(ROOT / "firmware"), str(ROOT / "shared")])
    least: dict[str, float] = {}
    for _ in range(_PROCESSES):
        done = subprocess.run(
            [*micropython.find(), "-X", f"heapsize={ESP32_HEAP}", str(SCRIPT), str(_ROUNDS)],
            env=os.environ | {"MICROPYPATH": path},
            stdout=subprocess.PIPE,
            text=True,
            timeout=120,
            check=True,
        )
        for name, time in json.loads(done.stdout).items():
            least[name] = min(time, least.get(name, time))
    return least


def run() -> Report:
    """The figures; they fail if X25519 misses its target."""
    figures = measure()
    report = Report("Primitives of the badge")
    for label, name in (
        ("X25519", "x25519"),
        ("plain ladder with % P", "plain_x25519"),
        ("seal a contact record (24 + 16 bytes)", "seal_record"),
        ("open it", "open_record"),
        ("seal a session frame (960 + 16 bytes)", "seal_frame"),
        ("HMAC-SHA256 of 24 bytes", "hmac"),
    ):
        report.add(f"{name}_ms", label, figures[name] / 1000, "ms")
    report.add("x25519_ratio", "X25519 to the plain ladder", figures["x25519"] / figures["plain_x25519"], "")
    scalars = [figures[name] for name in ("x25519", "x25519_sparse", "x25519_dense")]
    report.add(
        "x25519_spread", "X25519, slowest scalar to fastest: mixed, zeros, ones", max(scalars) / min(scalars), ""
    )
    report.limit("x25519_ratio", TARGET)
    report.limit("x25519_spread", MAX_SPREAD)
    return report
