"""What the badge's cryptographic primitives cost, on the Unix MicroPython with the heap of an ESP32.

    python -m tools.bench.primitives

The plain ladder beside X25519 is the textbook one with `% P`, timed in the same run.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tools import micropython

ROOT = Path(__file__).parent.parent.parent
SCRIPT = Path(__file__).parent / "on_badge" / "primitives.py"
ESP32_HEAP = 165_008
TARGET = 0.6
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


def main() -> int:
    """Print the table; 1 if X25519 misses its target."""
    figures = measure()
    ratio = figures["x25519"] / figures["plain_x25519"]
    spread = figures["x25519_dense"] / figures["x25519_sparse"]
    table = Table("badge primitive", "time")
    table.columns[1].justify = "right"
    for label, name in (
        ("X25519", "x25519"),
        ("plain ladder with % P", "plain_x25519"),
        ("seal a contact record (24 + 16 bytes)", "seal_record"),
        ("open it", "open_record"),
        ("seal a session frame (960 + 16 bytes)", "seal_frame"),
        ("HMAC-SHA256 of 24 bytes", "hmac"),
    ):
        table.add_row(label, f"{figures[name] / 1000:.3f} ms")
    console = Console()
    console.print(table)
    console.print(f"X25519 takes {ratio:.2f} of the plain ladder (target: at most {TARGET})")
    console.print(f"X25519 with a scalar of ones takes {spread:.2f} of one of zeros")
    return 0 if ratio <= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
