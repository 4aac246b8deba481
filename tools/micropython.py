"""Finds MicroPython's Unix port, which runs the firmware in the simulator and in tests; fetches it where it is missing.

In this order: the command in MICROPYTHON, `micropython` on PATH, the cache, Debian's package unpacked into the cache
(tools/apt.py). Nothing is installed on the system. `python -m tools.micropython` prints the command.
"""

import functools
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import platformdirs

from tools import apt

OLDEST = (1, 22)
ENVIRONMENT = "MICROPYTHON"
_ADVICE = f"install MicroPython {OLDEST[0]}.{OLDEST[1]} or newer (Unix port), or set {ENVIRONMENT} to its command"
_PROBE = "import sys, asyncio, hashlib; print(sys.implementation.name, sys.platform, *sys.implementation.version[:2])"


class MissingRuntime(Exception):
    """No usable MicroPython; the message is one line that says what to do."""


def version(command: list[str]) -> tuple[int, int] | None:
    """Version of the MicroPython that `command` starts; None when it is no MicroPython Unix port that works."""
    try:
        process = subprocess.run([*command, "-c", _PROBE], capture_output=True, text=True, timeout=20, check=False)
        name, platform, major, minor = process.stdout.split()
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return None
    return (int(major), int(minor)) if name == "micropython" and platform in ("linux", "darwin") else None


def _usable(command: list[str]) -> bool:
    found = version(command)
    return found is not None and found >= OLDEST


def _cache() -> Path:
    return Path(platformdirs.user_cache_path("anontrace")) / "micropython"


def _fetch(folder: Path) -> list[str]:
    """Unpack Debian's package into `folder`/root: of the machine's own release if new enough, else of a newer one."""
    if not apt.available():
        raise MissingRuntime(f"no MicroPython found, and no apt to fetch it with: {_ADVICE}")
    print("Fetching MicroPython through apt into the cache ...", file=sys.stderr, flush=True)
    reason = ""
    # The machine's release, by its own package lists and, if those are empty, by fresh ones; then a newer release.
    for suite, fresh in ((None, False), (None, True), (apt.NEWER_RELEASE, True)):
        with tempfile.TemporaryDirectory(dir=folder, prefix="apt-") as work:
            try:
                manager = apt.Apt(Path(work), suite, fresh)
                if fresh:
                    manager.update()
                candidate = manager.candidate("micropython")
                if candidate is None or _upstream(candidate) < OLDEST:
                    reason = f"{suite or 'this release'} has {candidate or 'no version of it'}"
                    continue
                manager.unpack("micropython", Path(work) / "root")
            except apt.AptError as error:
                reason = str(error)
                continue
            command = apt.unpacked_command(Path(work) / "root", "micropython")
            if command is None or not _usable(command):
                reason = f"the package of version {candidate} does not run here"
                continue
            shutil.rmtree(folder / "root", ignore_errors=True)
            (Path(work) / "root").rename(folder / "root")
            final = apt.unpacked_command(folder / "root", "micropython")
            assert final is not None
            return final
    raise MissingRuntime(f"no MicroPython found, and apt could not fetch it ({reason}): {_ADVICE}")


def _upstream(debian_version: str) -> tuple[int, int]:
    """(1, 25) for 1.25.0+ds-1; an epoch is dropped, anything odd counts as too old."""
    try:
        major, minor = debian_version.split(":")[-1].split(".")[:2]
        return int(major), int(minor)
    except ValueError:
        return 0, 0


@functools.cache
def _find() -> tuple[str, ...]:
    chosen = os.environ.get(ENVIRONMENT)
    if chosen:
        command = shlex.split(chosen)
        if not _usable(command):
            raise MissingRuntime(f"{ENVIRONMENT}={chosen} is not a MicroPython that can be used here: {_ADVICE}")
        return tuple(command)
    on_path = shutil.which("micropython")
    if on_path and _usable([on_path]):
        return (on_path,)
    with apt.locked(_cache()):
        cached = apt.unpacked_command(_cache() / "root", "micropython")
        return tuple(cached if cached and _usable(cached) else _fetch(_cache()))


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
