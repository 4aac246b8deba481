"""Finds redis-server, of which the tests start a cluster; fetches it where it is missing.

In this order: the command in REDIS_SERVER, `redis-server` or `valkey-server` on PATH, the cache, Debian's package
unpacked into the cache (tools/apt.py). Nothing is installed on the system. `python -m tools.redis` prints the command.
"""

import functools
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import platformdirs

from tools import apt

OLDEST = 7
ENVIRONMENT = "REDIS_SERVER"
_PACKAGE, _PROGRAM = "redis-tools", "redis-server"
_SAME_PROGRAM = "redis-check-rdb"  # in that package; it is what its name says
_ADVICE = f"install redis-server {OLDEST} or newer (Debian: apt install redis-server), or set {ENVIRONMENT}"


class MissingRedis(Exception):
    """No usable redis-server; the message is one line that says what to do."""


def version(command: list[str]) -> int | None:
    """Major version of the Redis or Valkey server that `command` starts; None when it is none that works."""
    try:
        process = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.match(r"(?:Redis|Valkey) server v=(\d+)\.", process.stdout)
    return None if found is None else int(found.group(1))


def _usable(command: list[str]) -> bool:
    return (version(command) or 0) >= OLDEST


def _fetch(folder: Path) -> list[str]:
    """Unpack Debian's package into `folder`/root: of the machine's own release if new enough, else of a newer one."""
    if not apt.available():
        raise MissingRedis(f"no redis-server found, and no apt to fetch it with: {_ADVICE}")
    print("Fetching redis-server through apt into the cache ...", file=sys.stderr, flush=True)
    reason = ""
    # The machine's release, by its own package lists and, if those are empty, by fresh ones; then a newer release.
    for suite, fresh in ((None, False), (None, True), (apt.NEWER_RELEASE, True)):
        with tempfile.TemporaryDirectory(dir=folder, prefix="apt-") as work:
            root = Path(work) / "root"
            try:
                manager = apt.Apt(Path(work), suite, fresh)
                if fresh:
                    manager.update()
                if manager.candidate(_PACKAGE) is None:
                    reason = f"{suite or 'this release'} has no {_PACKAGE}"
                    continue
                manager.unpack(_PACKAGE, root)
            except apt.AptError as error:
                reason = str(error)
                continue
            program = root / "usr" / "bin" / _PROGRAM
            if not program.exists() and (root / "usr" / "bin" / _SAME_PROGRAM).exists():
                program.symlink_to(_SAME_PROGRAM)
            command = apt.unpacked_command(root, _PROGRAM)
            if command is None or not _usable(command):
                reason = f"the package of {suite or 'this release'} does not run here"
                continue
            shutil.rmtree(folder / "root", ignore_errors=True)
            root.rename(folder / "root")
            final = apt.unpacked_command(folder / "root", _PROGRAM)
            assert final is not None
            return final
    raise MissingRedis(f"no redis-server found, and apt could not fetch it ({reason}): {_ADVICE}")


@functools.cache
def _find() -> tuple[str, ...]:
    chosen = os.environ.get(ENVIRONMENT)
    if chosen:
        command = shlex.split(chosen)
        if not _usable(command):
            raise MissingRedis(f"{ENVIRONMENT}={chosen} is not a server that can be used here: {_ADVICE}")
        return tuple(command)
    for name in (_PROGRAM, "valkey-server"):
        on_path = shutil.which(name)
        if on_path and _usable([on_path]):
            return (on_path,)
    cache = Path(platformdirs.user_cache_path("anontrace")) / "redis"
    with apt.locked(cache):
        cached = apt.unpacked_command(cache / "root", _PROGRAM)
        return tuple(cached if cached and _usable(cached) else _fetch(cache))


def find() -> list[str]:
    """The command prefix that starts the server, fetched first if need be; MissingRedis when that is impossible."""
    return list(_find())


def main() -> int:
    """Print the command prefix; one line on standard error and exit code 1 when there is none."""
    try:
        print(shlex.join(find()))
    except MissingRedis as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
