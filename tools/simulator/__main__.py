"""Simulated badges to try the companion on by hand: `make badge`, or python -m tools.simulator [FOLDER] [--badges N].

Boots N badges in range of one another, each with a Bluetooth adapter for its companion, and prints what to type in
another terminal. Flash folders and logs stay in FOLDER, so that a badge goes on where it was; Enter switches all of
them off and on, Ctrl-C ends it.
"""

import argparse
import asyncio
import contextlib
import fcntl
import logging
import math
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

from anontrace.wire import network as networks
from anontrace_shared.errors import FormatError

from tools.micropython import MissingRuntime
from tools.simulator.air import Air
from tools.simulator.badge import BadgeError

ROOT = Path(__file__).resolve().parents[2]
MAX_BADGES = 20
_NAMES = ("ada", "ben", "cleo", "dan", "eve", "finn", "gus", "hana", "ivo", "june")
_NEAR, _DESK = -60, -45  # dBm
_GLANCE = 0.2  # seconds between two looks whether a companion has written an owner key
_WATCHED = "owner.key"
_NETWORK = "network.toml"  # as anontrace-server init calls it


class _Unusable(Exception):
    """What was asked for cannot be done; the message says why."""


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """The folder for ourselves: two badges on one flash would spoil each other's files."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _Unusable(f"the badges in {_shown(folder)} run already, in another terminal") from None
        yield


def _check_network(path: Path) -> None:
    """A network file, or the name of one that `init` would make."""
    try:
        networks.load(path)
    except FileNotFoundError:
        if path.name != _NETWORK:
            raise _Unusable(f"there is no {_shown(path)}; one that is still to be made is called {_NETWORK}") from None
    except FormatError as error:
        raise _Unusable(str(error)) from None


def _shown(path: Path) -> str:
    """The path as one types it here."""
    return shlex.quote(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))


def _next_steps(folder: Path, network: Path, ports: dict[str, int], clock: Path | None) -> str:
    """What to type in other terminals, line by line."""
    programs = Path(sys.executable).parent
    server, companion = (_shown(programs / name) for name in ("anontrace-server", "anontrace"))
    time_file = f"export ANONTRACE_CLOCK={_shown(clock)}" if clock else None
    lines = []
    if not network.exists():
        net = _shown(network.parent)
        lines += [
            "A network of your own, in another terminal, where it goes on running:",
            f"  {time_file}" if time_file else "",
            f"  {server} init {net} --delay 0.1 --pace 0.1",
            f"  {server} run {net}/*/",
        ]
    for name, port in ports.items():
        flash = folder / name
        lines += [
            f"{name}'s companion, in another terminal:",
            f"  {time_file}" if time_file else "",
            f"  export ANONTRACE_BLE=bumble:tcp-client:127.0.0.1:{port}",
            f"  export ANONTRACE_STATE={shlex.quote(str(flash.with_name(f'{name}-state')))}",
            f"  {companion} init {_shown(network)}",
            f"  {companion} register --slots 24",
            f"  {companion} badge provision --usb {_shown(flash)}",
            f"  {companion} badge sync",
            f"  {companion} poll",
        ]
    if len(ports) > 1:
        lines += ["They are near one another: what each heard is in its log once a slot of five minutes is over."]
    lines += ["Enter switches the badges off and on; Ctrl-C ends this."]
    return "\n".join(line for line in lines if line)


async def _mind(air: Air, folder: Path) -> None:
    """Switch a badge off and on when a companion has written an owner key, as a board is reset after copying."""

    def written(name: str) -> float:
        path = folder / name / _WATCHED
        return path.stat().st_mtime if path.exists() else 0.0

    known = {name: written(name) for name in air.badges}
    while True:
        await asyncio.sleep(_GLANCE)
        for name in air.badges:
            if written(name) not in (0.0, known[name]):
                known[name] = written(name)
                await air.restart_badge(name)
                print(f"{name} has an owner key, and starts again", flush=True)


async def _restart_on_enter(air: Air) -> None:
    pressed: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read() -> None:
        line = sys.stdin.readline()
        if not line:
            loop.remove_reader(sys.stdin)
        else:
            pressed.put_nowait(line)

    loop.add_reader(sys.stdin, read)
    while await pressed.get():
        for name in air.badges:
            await air.restart_badge(name)
        print(f"{', '.join(air.badges)}: switched off and on", flush=True)


async def _run(folder: Path, network: Path, count: int, scale: float) -> None:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    clock = folder / "clock" if scale != 1 else None
    ports: dict[str, int] = {}
    async with Air(clock, time.time(), log_dir=folder) as air:
        names = [_NAMES[i] if i < len(_NAMES) else f"badge-{i + 1}" for i in range(count)]
        for name in names:
            print(f"{name}'s badge starts; what it says is in {_shown(folder / f'{name}.log')}", flush=True)
            await air.start_badge(name, folder / name)
            ports[name] = await air.add_adapter(f"desk of {name}")
            air.set_range(name, f"desk of {name}", _DESK)
        for one, other in combinations(names, 2):
            air.set_range(one, other, _NEAR)
        air.realtime(scale, talking=min(scale, 1.0))
        print(_next_steps(folder, network, ports, clock), flush=True)
        async with asyncio.TaskGroup() as group:
            group.create_task(_mind(air, folder))
            if sys.stdin.isatty():
                group.create_task(_restart_on_enter(air))
            raise await air.failed()


def main() -> int:
    """0 after Ctrl-C or when told to end, 1 when a badge died or there is no MicroPython."""
    parser = argparse.ArgumentParser(prog="python -m tools.simulator", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT / "build" / "badges",
                        help="where flash folders and logs go (build/badges)")  # fmt: skip
    parser.add_argument("--badges", type=int, default=1, metavar="N", help="how many badges (default 1)")
    parser.add_argument("--network", type=Path, metavar="FILE", default=ROOT / "build" / "net" / _NETWORK,
                        help="the network file that is named in what to type (build/net/network.toml)")  # fmt: skip
    parser.add_argument("--scale", type=float, default=1.0, metavar="X", help="speed of time (default 1)")
    options = parser.parse_args()
    if not 1 <= options.badges <= MAX_BADGES:
        parser.error(f"--badges takes 1 to {MAX_BADGES}")
    if not 0 < options.scale < math.inf:
        parser.error("--scale takes a number above 0")
    logging.getLogger("tools.simulator").addHandler(logging.NullHandler())
    failure: BaseException | None = None
    try:
        folder, network = options.folder.absolute(), options.network.absolute()
        _check_network(network)
        with _alone(folder):
            asyncio.run(_run(folder, network, options.badges, options.scale))
    except* (KeyboardInterrupt, asyncio.CancelledError):
        with contextlib.suppress(OSError):  # a terminal that is gone
            print("the badges are off", flush=True)
    except* (BadgeError, MissingRuntime, OSError, _Unusable) as errors:
        failure = errors
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    if failure is not None:
        print(f"error: {failure}", file=sys.stderr)
    return 0 if failure is None else 1


if __name__ == "__main__":
    sys.exit(main())
