"""Finds redis-server, of which the tests start a cluster; fetches it where it is missing.

In this order: the command in REDIS_SERVER, `redis-server` or `valkey-server` on PATH, the cache, Debian's package
unpacked into the cache (tools/apt.py). Nothing is installed on the system. `python -m tools.redis` prints the command.
REDIS_SERVER=valkey is Valkey, fetched in the same way: so all that starts a cluster can be tried with either.
"""

import functools
import os
import re
import shlex
import shutil
import subprocess
import sys

import platformdirs

from tools import apt

OLDEST = 7
ENVIRONMENT = "REDIS_SERVER"
_ADVICE = f"install redis-server {OLDEST} or newer (Debian: apt install redis-server), or set {ENVIRONMENT}"


class MissingRedis(Exception):
    """No usable redis-server; the message is one line that says what to do."""


def version(command: list[str]) -> int | None:
    """Major version of the Redis or Valkey server that `command` starts; None when it is none that works."""
    try:
        process = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=300, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.match(r"(?:Redis|Valkey) server v=(\d+)\.", process.stdout)
    return None if found is None else int(found.group(1))


def _usable(command: list[str]) -> bool:
    return (version(command) or 0) >= OLDEST


# The package's redis-check-rdb is what its name says and, by another name, the server.
_PROGRAM = apt.Program("redis-server", "redis-tools", f"5:{OLDEST}~", _usable, same="redis-check-rdb")
_VALKEY = apt.Program("valkey-server", "valkey-tools", f"{OLDEST}~", _usable, same="valkey-check-rdb")


@functools.cache
def _find() -> tuple[str, ...]:
    chosen = os.environ.get(ENVIRONMENT)
    if chosen == "valkey":
        return tuple([on_path] if (on_path := shutil.which(_VALKEY.name)) else _fetched(_VALKEY))
    if chosen:
        command = shlex.split(chosen)
        if not _usable(command):
            raise MissingRedis(f"{ENVIRONMENT}={chosen} is not a server that can be used here: {_ADVICE}")
        return tuple(command)
    for name in (_PROGRAM.name, _VALKEY.name):
        on_path = shutil.which(name)
        if on_path and _usable([on_path]):
            return (on_path,)
    return tuple(_fetched(_PROGRAM))


def _fetched(program: apt.Program) -> list[str]:
    try:
        return apt.provide(program, platformdirs.user_cache_path("anontrace") / program.name.partition("-")[0])
    except apt.AptError as error:
        raise MissingRedis(f"no {program.name} found, and {error}: {_ADVICE}") from None


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
