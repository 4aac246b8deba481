"""Finds Chromium, in which pages are tried; has apt install it where that may be done. `python -m tools.chromium`.

It needs more libraries and helpers than could be unpacked beside it, as is done with other programs (tools/apt.py), so
it is installed on the system, and only where root sets the project up, as in a container. Elsewhere tests skip.
"""

import contextlib
import os
import shutil
import subprocess
import sys

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_SECONDS = 600


def find() -> str | None:
    """The command; None where there is none."""
    return next((found for name in _NAMES if (found := shutil.which(name))), None)


def install() -> None:
    """Have apt install it, if this is root's machine and apt knows it; else nothing."""
    if find() is not None or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    known = subprocess.run(["apt-cache", "show", "chromium"], check=False, timeout=_SECONDS, **quiet)  # type: ignore[call-overload]
    commands = [] if known.returncode == 0 else [["apt-get", "update"]]
    commands.append(["apt-get", "install", "--yes", "--no-install-recommends", "chromium"])
    for command in commands:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(command, check=False, timeout=_SECONDS, env=environment, **quiet)  # type: ignore[call-overload]


def main() -> int:
    """0, also where there is none: only the tests in a browser are skipped then."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        install()
    print(find() or "none: no page is tried in a browser")
    return 0


if __name__ == "__main__":
    sys.exit(main())
