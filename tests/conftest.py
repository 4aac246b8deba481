"""What tests of every kind share: the MicroPython that stands in for the badge's chip."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from anontrace.backend.operating import init

from tests.patience import HANG_SECONDS
from tools import micropython as runtime

ROOT = Path(__file__).parent.parent
ESP32_HEAP = 165_008  # bytes free after boot on an ESP32 build of MicroPython 1.23
BADGE_PATH = ":".join([".frozen", str(ROOT / "firmware"), str(ROOT / "shared")])

RunOnBadge = Callable[..., str]

# The files that take longest, and so come first: files are handed out in this order, and a worker that began one of
# these while the others came to their end would be waited for. A file that takes more than half a minute belongs here.
SLOW = (
    "backend/test_crashes.py",
    "companion/schedule/test_run.py",
    "demo/test_play.py",
    "companion/schedule/test_shape.py",
    "companion/badge/test_badge.py",
    "companion/commands/test_run_cli.py",
    "backend/observing/test_clocks.py",
    "backend/test_killed_nymserver.py",
    "companion/commands/test_cli.py",
    "backend/discovery/test_sizes.py",
    "backend/test_days.py",
    "backend/operating/test_moving_servers.py",
    "backend/discovery/test_discovery.py",
    "adversary/test_observers.py",
    "adversary/test_milliseconds.py",
    "companion/network/test_proxy.py",
    "backend/store/test_moving.py",
    "backend/test_workers.py",
    "backend/portal/test_browser.py",
    "companion/page/test_story.py",
    "backend/nymserver/test_limit.py",
    "firmware/test_on_air.py",
    "firmware/test_replay.py",
    "firmware/test_crowd.py",
    "companion/store/test_traces.py",
    "backend/operating/test_copies.py",
    "companion/exposures/test_looking.py",
    "backend/web/test_doors.py",
    "backend/cli/test_command_line.py",
    "tools/test_set_up.py",
)

# Stores, nodes and databases wait for the disk at each write, for most of the time on a slow one. What a test kills
# loses nothing by being in memory. Room for what the tests hold at once, and programs that they write have to start.
_MEMORY, _MEMORY_BYTES = Path("/dev/shm"), 4 << 30
if _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) and "PYTEST_DEBUG_TEMPROOT" not in os.environ:
    _found = os.statvfs(_MEMORY)
    if _found.f_bavail * _found.f_frsize >= _MEMORY_BYTES and not _found.f_flag & os.ST_NOEXEC:
        os.environ["PYTEST_DEBUG_TEMPROOT"] = str(_MEMORY)

# A shell that runs the tests in the background has them ignore these, and what they start would inherit that.
for _number, _handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, _handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {ROOT / "tests" / name: place for place, name in enumerate(SLOW)}
    assert all(path.exists() for path in places), "SLOW names a file that is not there"
    items.sort(key=lambda item: places.get(item.path, len(places)))


def pytest_xdist_auto_num_workers() -> int:
    """Two workers more than cores: a test of real processes waits for them for a good part of its time."""
    return (os.cpu_count() or 1) + 2


@pytest.fixture(scope="session", autouse=True)
def ports_of_its_own(worker_id: str) -> None:
    """Each worker makes its networks on ports of its own: between making one and starting it, or while a server
    is down, another worker's would take a port."""
    if worker_id != "master":
        init.PORTS = init.PORTS[int(worker_id.removeprefix("gw")) :: int(os.environ["PYTEST_XDIST_WORKER_COUNT"])]


@pytest.fixture(scope="session")
def micropython() -> list[str]:
    """The command prefix of the real MicroPython with the heap of an ESP32; MICROPYTHON in the environment decides."""
    return [*runtime.find(), "-X", f"heapsize={ESP32_HEAP}"]


@pytest.fixture(scope="session")
def badge_environment() -> dict[str, str]:
    """Environment in which MicroPython finds what is on the chip: firmware/ and shared/."""
    return os.environ | {"MICROPYPATH": BADGE_PATH}


@pytest.fixture(scope="session")
def run_on_badge(micropython: list[str], badge_environment: dict[str, str]) -> RunOnBadge:
    """run_on_badge(script, *arguments): what the script printed; fails the test with its traceback if it failed."""

    def run(script: Path, *arguments: str, timeout: float = HANG_SECONDS) -> str:
        done = subprocess.run(
            [*micropython, str(script), *arguments],
            env=badge_environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0, f"{script.name} on MicroPython:\n{done.stdout}{done.stderr}"
        return done.stdout

    return run
