"""The badge in a crowd: from interrupt to recorded sighting, adverts a second, and the most heap that it ever held.

    python -m tools.bench --only crowd

The whole firmware in the real MicroPython with the heap of an ESP32; radio, clock and peripherals are stand-ins.
"""

import json
import os
import subprocess
import tempfile
from pathlib import Path

from tools import micropython, mpy
from tools.bench.report import Report
from tools.simulator.badge import HEAP

HERE = Path(__file__).parent / "on_badge"
SECONDS = 60
MOST_HEAP = 100 * 1024


def _architecture() -> str:
    """What this machine's MicroPython loads native code for."""
    probe = "import sys; print(getattr(sys.implementation, '_mpy', 0) >> 10)"
    done = subprocess.run([*micropython.find(), "-c", probe], capture_output=True, text=True, timeout=60, check=True)
    return mpy.ARCHITECTURES[int(done.stdout)]


def measure(seconds: int = SECONDS) -> dict[str, int]:
    """What on_badge/crowd.py prints after a minute of 500 badges and one of 700, 2,000 adverts a second each."""
    with tempfile.TemporaryDirectory() as flash, tempfile.TemporaryDirectory() as compiled:
        architecture = _architecture()
        mpy.build(architecture, Path(compiled))  # as on the chip: the compiler leaves its traces in the heap
        for path in (HERE / "crowd.py", *(HERE / "standins").glob("*.py")):
            mpy.compile_module(architecture, path, path.stem, Path(compiled) / f"{path.stem}.mpy")
        done = subprocess.run(
            [*micropython.find(), "-X", f"heapsize={HEAP}", "-m", "crowd", str(seconds)],
            cwd=flash,
            env=os.environ | {"MICROPYPATH": f".frozen:{compiled}"},
            stdout=subprocess.PIPE,
            text=True,
            timeout=600,
            check=True,
        )
    figures: dict[str, int] = json.loads(done.stdout)
    return figures


def run() -> Report:
    """The figures; they fail if the heap goes over 100 KB."""
    figures = measure()
    report = Report("The badge in a crowd of 500, then 700, at 2,000 adverts a second")
    for name, label, unit in (
        ("handler_us", "interrupt handler, one advert", "us"),
        ("stranger_us", "interrupt handler, advert of another service", "us"),
        ("recorded_us", "interrupt to recorded sighting, median", "us"),
        ("recorded_slow_us", "interrupt to recorded sighting, 99 of 100", "us"),
        ("adverts_per_second", "adverts sustained", "a second"),
        ("heard", "addresses logged of 500", ""),
        ("dropped", "dropped of 700", ""),
        ("heap_used", "heap of the firmware, high-water", "B"),
        ("heap_high", "the same with garbage not yet collected", "B"),
    ):
        report.add(name, label, figures[name], unit)
    report.limit("heap_used", MOST_HEAP)
    report.remark("Sighting: handler, ring, table; of this machine. Pointers take twice the chip's 4 bytes here.")
    return report
