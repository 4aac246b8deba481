"""Badges to try the companion on by hand: python -m tools.simulator FOLDER [--badges N] [--scale X].

Boots N badges in range of one another, each with a Bluetooth adapter for its companion, and prints how to reach them.
Flash folders and logs stay in FOLDER. Ends with Ctrl-C.
"""

import argparse
import asyncio
import contextlib
import logging
import sys
import time
from itertools import combinations
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tools.micropython import MissingRuntime
from tools.simulator.air import Air
from tools.simulator.badge import BadgeError

_NAMES = ("ada", "ben", "cleo", "dan", "eve", "finn", "gus", "hana", "ivo", "june")
_NEAR, _DESK = -60, -45  # dBm


async def _run(folder: Path, count: int, scale: float) -> None:
    clock = folder / "clock"
    table = Table("badge", "its flash, for --usb", "its companion's --adapter")
    async with Air(clock, time.time(), log_dir=folder) as air:
        names = [_NAMES[i] if i < len(_NAMES) else f"badge-{i + 1}" for i in range(count)]
        for name in names:
            await air.start_badge(name, folder / name)
            port = await air.add_adapter(f"desk of {name}")
            air.set_range(name, f"desk of {name}", _DESK)
            table.add_row(name, str(folder / name), f"bumble:tcp-client:127.0.0.1:{port}")
        for one, other in combinations(names, 2):
            air.set_range(one, other, _NEAR)
        Console().print(table)
        print(f"ANONTRACE_CLOCK={clock}  time passes {scale:g} times as fast as it does; Ctrl-C ends it")
        air.realtime(scale, talking=min(scale, 1.0))
        raise await air.failed()


def main() -> int:
    """Exit status 0 after Ctrl-C, 1 when a badge died or there is no MicroPython."""
    parser = argparse.ArgumentParser(prog="python -m tools.simulator", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where flash folders, logs and the clock go")
    parser.add_argument("--badges", type=int, default=2, metavar="N", help="how many badges (default 2)")
    parser.add_argument("--scale", type=float, default=1.0, metavar="X", help="speed of time (default 1)")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    logging.getLogger("tools.simulator").addHandler(logging.NullHandler())
    with contextlib.suppress(KeyboardInterrupt):
        try:
            asyncio.run(_run(options.folder.absolute(), options.badges, options.scale))
        except (BadgeError, MissingRuntime) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
