"""Finds MicroPython's Unix port, which runs the firmware in the simulator and in tests; fetches it where it is missing.

In this order: the command in MICROPYTHON; on Linux on an x86-64, Debian's package for i386, whose words have 32 bits as
the chip's have; `micropython` on PATH; Debian's package for this machine. Packages are unpacked into the cache
(tools/apt.py); nothing is installed on the system. `python -m tools.micropython` prints the command.
"""

import contextlib
import dataclasses
import functools
import os
import platform
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import platformdirs

from tools import apt

OLDEST = (1, 22)
ENVIRONMENT = "MICROPYTHON"
_DAY = 86400
_ADVICE = f"install MicroPython {OLDEST[0]}.{OLDEST[1]} or newer (Unix port), or set {ENVIRONMENT} to its command"
_PROBE = "import sys, asyncio, hashlib; print(sys.implementation.name, sys.platform, *sys.implementation.version[:2])"


class MissingRuntime(Exception):
    """No usable MicroPython; the message is one line that says what to do."""


def version(command: list[str]) -> tuple[int, int] | None:
    """Version of the MicroPython that `command` starts; None when it is no MicroPython Unix port that works."""
    try:
        process = subprocess.run([*command, "-c", _PROBE], capture_output=True, text=True, timeout=300, check=False)
        name, platform, major, minor = process.stdout.split()
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return None
    return (int(major), int(minor)) if name == "micropython" and platform in ("linux", "darwin") else None


def _usable(command: list[str]) -> bool:
    found = version(command)
    return found is not None and found >= OLDEST


_PROGRAM = apt.Program("micropython", "micropython", f"{OLDEST[0]}.{OLDEST[1]}~", _usable)
_NARROW = dataclasses.replace(_PROGRAM, architecture="i386")


def _narrow(cache: Path) -> list[str] | None:
    """The command of one with words of 32 bits; None where it cannot be had, which is not asked again for a day."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        return None
    in_vain = cache / "in-vain"
    with contextlib.suppress(OSError):
        if time.time() - in_vain.stat().st_mtime < _DAY:
            return None
    try:
        return apt.provide(_NARROW, cache)
    except (apt.AptError, OSError) as error:
        with contextlib.suppress(OSError):
            in_vain.write_text(f"{error}\n")
        return None


@functools.cache
def _find() -> tuple[str, ...]:
    chosen = os.environ.get(ENVIRONMENT)
    if chosen:
        command = shlex.split(chosen)
        if not _usable(command):
            raise MissingRuntime(f"{ENVIRONMENT}={chosen} is not a MicroPython that can be used here: {_ADVICE}")
        return tuple(command)
    cache = platformdirs.user_cache_path("anontrace")
    narrow = _narrow(cache / "micropython-i386")
    if narrow is not None:
        return tuple(narrow)
    on_path = shutil.which("micropython")
    if on_path and _usable([on_path]):
        return (on_path,)
    try:
        return tuple(apt.provide(_PROGRAM, cache / "micropython"))
    except apt.AptError as error:
        raise MissingRuntime(f"no MicroPython found, and {error}: {_ADVICE}") from None


def find() -> list[str]:
    """The command prefix that starts MicroPython, fetched first if need be; MissingRuntime when that is impossible."""
    return list(_find())


def main() -> int:
    """Print the command prefix; one line on standard error and exit code 1 when there is none."""
    try:
        print(shlex.join(find()))
    except MissingRuntime as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
