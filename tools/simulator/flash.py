"""A badge's flash as its image: the raw bytes, and the files in it, read and written by MicroPython's own littlefs."""

import os
import subprocess
import tempfile
from pathlib import Path

from tools import micropython

IMAGE = "flash.bin"  # in the badge's folder
SIZE = 512 * 4096
_BOARD = Path(__file__).parent / "board"
_TIMEOUT = 300

# Walks the file system: for each file its name, its size and its bytes.
_WALK = """
import os, sys
import _mount
_mount.switch_on()
def walk(folder):
    for name, kind, *_ in os.ilistdir(folder or '.'):
        path = folder + name
        if kind & 0x4000:
            walk(path + '/')
            continue
        with open(path, 'rb') as file:
            data = file.read()
        sys.stdout.buffer.write(('%s %d\\n' % (path, len(data))).encode() + data)
walk('')
"""
_REMOVE = """
import os, sys
import _mount
_mount.switch_on()
for path in sys.argv[1:]:
    os.remove(path)
"""


def _run(flash: Path, script: str, folder: Path, *arguments: str) -> bytes:
    """Run that in MicroPython, with the flash mounted and what is in `folder` copied onto it."""
    with tempfile.TemporaryDirectory() as work:
        file = Path(work) / "script.py"
        file.write_text(script)
        environment = os.environ | {"MICROPYPATH": f"{_BOARD}:.frozen", "ANONTRACE_FLASH": str(flash / IMAGE)}
        command = [*micropython.find(), "-X", "heapsize=8m", str(file), *arguments]
        done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, check=True, timeout=_TIMEOUT)
    return done.stdout


def raw(flash: Path) -> bytes:
    """Every byte of the flash of the badge in this folder, in use or not."""
    return (flash / IMAGE).read_bytes()


def files(flash: Path) -> dict[str, bytes]:
    """The files on it by path, the firmware's own left out: the simulator has them elsewhere."""
    with tempfile.TemporaryDirectory() as nothing:
        data = _run(flash, _WALK, Path(nothing))
    found = {}
    while data:
        head, _, data = data.partition(b"\n")
        path, _, size = head.decode().rpartition(" ")
        found[path], data = data[: int(size)], data[int(size) :]
    return found


def write(flash: Path, path: str, content: bytes) -> None:
    """Put a file onto it; the badge has to be off, or stopped from its console, as for a cable."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        _run(flash, "import _mount\n_mount.switch_on()\n", Path(folder))


def remove(flash: Path, *paths: str) -> None:
    """Take files off it, under the same condition."""
    with tempfile.TemporaryDirectory() as nothing:
        _run(flash, _REMOVE, Path(nothing), *paths)
