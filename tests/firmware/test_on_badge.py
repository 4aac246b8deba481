"""Runs the tests in on_badge/: single modules of the firmware, each function in a MicroPython process of its own."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.patience import HANG_SECONDS
from tools import micropython, mpy

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
HEAP = 1 << 20  # the tests keep more than the firmware does; a module with a HEAP of its own has that
DOUBLES = [HERE / "doubles", HERE / "doubles" / "memory"]
SOURCES = [HERE / "on_badge", *DOUBLES, ROOT / "firmware", ROOT / "shared"]
TESTS = [
    (path.stem, name)
    for path in sorted((HERE / "on_badge").glob("try_*.py"))
    for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
]


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The firmware compiled for this machine's MicroPython, as `make flash` compiles it for the chip."""
    command = [*micropython.find(), "-c", "import sys; print(sys.implementation._mpy >> 10 & 15)"]
    architecture = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    folder = tmp_path_factory.mktemp("compiled")
    name = mpy.ARCHITECTURES[int(architecture)]
    mpy.build(name, folder)
    for path in (path for folder in DOUBLES for path in folder.glob("*.py")):  # so that they weigh little
        mpy.compile_module(name, path, path.stem, folder / f"{path.stem}.mpy")
    return folder


@pytest.mark.parametrize(("module", "function"), TESTS, ids=[f"{m.removeprefix('try_')}-{f[5:]}" for m, f in TESTS])
def test_on_badge(module: str, function: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    source = (HERE / "on_badge" / f"{module}.py").read_text()
    own = re.search(r"^HEAP = (\d+)$", source, re.MULTILINE)
    sources = [request.getfixturevalue("compiled")] if "\nCOMPILED = True" in source else SOURCES
    heap = own.group(1) if own else HEAP
    command = [*micropython.find(), "-X", f"heapsize={heap}", str(HERE / "on_badge" / "run.py"), module, function]
    environment = os.environ | {"MICROPYPATH": ":".join(map(str, [".frozen", *sources]))}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=HANG_SECONDS, check=False
    )
    print(done.stdout)
    assert done.returncode == 0 and done.stdout.endswith("passed\n"), done.stdout + done.stderr
