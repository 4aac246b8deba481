"""What tests of every kind share: the MicroPython that stands in for the badge's chip."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tools import micropython as runtime

ROOT = Path(__file__).parent.parent
ESP32_HEAP = 165_008  # bytes free after boot on an ESP32 build of MicroPython 1.23
BADGE_PATH = ":".join([".frozen", str(ROOT / "firmware"), str(ROOT / "shared")])

RunOnBadge = Callable[..., str]


def pytest_xdist_auto_num_workers() -> int:
    """One worker more than cores: a test of real processes waits for them a quarter of its time."""
    return (os.cpu_count() or 1) + 1


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

    def run(script: Path, *arguments: str, timeout: float = 120) -> str:
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
