"""Runs every check module of this folder twice: in CPython with the host's primitives, in MicroPython with the badge's.

A check module is a program for both interpreters: `module.py FOLDER_OF_VECTORS` ends without an exception if all holds.
A new file here is picked up by itself.
"""

import runpy
import sys
from pathlib import Path

import pytest

from tests.conftest import RunOnBadge

FOLDER = Path(__file__).parent
VECTORS = FOLDER.parent / "vectors"
MODULES = sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith(("test_", "__")))


@pytest.mark.parametrize("module", MODULES)
def test_on_cpython(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    script = str(FOLDER / f"{module}.py")
    monkeypatch.setattr(sys, "argv", [script, str(VECTORS)])
    runpy.run_path(script, run_name="__main__")


@pytest.mark.parametrize("module", MODULES)
def test_on_micropython(module: str, run_on_badge: RunOnBadge) -> None:
    run_on_badge(FOLDER / f"{module}.py", str(VECTORS))
