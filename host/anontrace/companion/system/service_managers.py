"""Installing, starting and removing the service through systemd or launchd.

All of it is idempotent: a service that is there already is left running, and one that is gone is not an error.
"""

import os
import platform
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from anontrace.companion.errors import ServiceError, SetupError
from anontrace.companion.system.service import LABEL, UNIT, Service, agent, agent_path, task, unit, unit_path

LINUX, MACOS, WINDOWS = "linux", "macos", "windows"
COMMAND_SECONDS = 60.0  # a stop may take its time
_ATTEMPTS = 5  # launchd needs a moment to let go of an agent

_PLATFORMS = {"Linux": LINUX, "Darwin": MACOS, "Windows": WINDOWS}
_SYSTEMCTL = ("systemctl", "--user")
_LAUNCHD_LINE = re.compile(r"^\s*(state|last exit code) = (.+)$", re.MULTILINE)
_BY_HAND = "keep `anontrace run` going in another way"


RUNNING, FAILING, STOPPED, ABSENT = "running", "failing", "stopped", "absent"


@dataclass(frozen=True)
class Standing:
    """Whether the service runs: one of the four, and with what code (or signal) it failed."""

    state: str
    code: int | None = None


class Manager(Protocol):
    """What starts a user's services on one system."""

    path: Path
    log: str  # where to read what it says

    def text(self, service: Service) -> str:
        """What is written to `path`."""

    def install(self, service: Service) -> bool:
        """Write it, start it, now and at each login; False where it was there already, which is left running."""

    def remove(self) -> bool:
        """Stop it and delete it; False where there is none."""

    def standing(self) -> Standing:
        """Whether it runs."""


def this_system() -> str:
    """SetupError where nothing is known that starts services."""
    try:
        return _PLATFORMS[platform.system()]
    except KeyError:
        raise SetupError(f"how services are started on {platform.system()} is not known here; {_BY_HAND}") from None


def manager(system: str) -> Manager:
    """SetupError on Windows, where the task is made by hand."""
    if system == WINDOWS:
        raise SetupError("on Windows a scheduled task does this; to see how it is made: anontrace service print")
    return Systemd() if system == LINUX else Launchd()


def text(system: str, service: Service) -> str:
    """The unit, the agent, or the steps."""
    return task(service) if system == WINDOWS else manager(system).text(service)


class Systemd:
    log = f"journalctl --user --unit {UNIT.removesuffix('.service')}"

    def __init__(self) -> None:
        self.path = unit_path()

    def text(self, service: Service) -> str:
        return unit(service)

    def install(self, service: Service) -> bool:
        said = _run(*_SYSTEMCTL, "show", "--property=Version")  # nothing is written where nobody would read it
        if said is not None:
            raise ServiceError(f"systemd starts no services for you here ({said}); log in as yourself, or {_BY_HAND}")
        changed = _write(self.path, self.text(service))
        self._ask("daemon-reload")
        self._ask("enable", UNIT)
        self._ask("restart" if changed else "start", UNIT)
        return changed

    def remove(self) -> bool:
        if not self.path.exists():
            return False
        self._ask("disable", "--now", UNIT)
        _delete(self.path)
        self._ask("daemon-reload")
        return True

    def standing(self) -> Standing:
        if not self.path.exists():
            return Standing(ABSENT)
        done = _call(*_SYSTEMCTL, "show", "--property=ActiveState,SubState,ExecMainStatus", UNIT)
        if done.returncode:
            raise ServiceError(f"systemd does not say how the service is: {_last_line(done)}")
        told = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
        if told.get("ActiveState") == "failed" or told.get("SubState") == "auto-restart":
            return Standing(FAILING, _number(told.get("ExecMainStatus")))
        return Standing(STOPPED if told.get("ActiveState") == "inactive" else RUNNING)

    def _ask(self, *arguments: str) -> None:
        if (said := _run(*_SYSTEMCTL, *arguments)) is not None:
            raise ServiceError(f"systemd refuses to {arguments[0]} the service: {said}")


class Launchd:
    log = "~/Library/Logs/anontrace.log"

    def __init__(self) -> None:
        self.path = agent_path()
        self._domain = f"gui/{os.getuid()}"

    def text(self, service: Service) -> str:
        return agent(service)

    def install(self, service: Service) -> bool:
        changed = _write(self.path, self.text(service))
        if self._is_loaded():
            if not changed:
                return False
            _run("launchctl", "bootout", f"{self._domain}/{LABEL}")
        for attempt in range(_ATTEMPTS):
            time.sleep(0.5 * attempt)
            said = _run("launchctl", "bootstrap", self._domain, str(self.path))
            if said is None:
                return True
        raise ServiceError(f"launchd starts no services for you here ({said}); log in at its screen, or {_BY_HAND}")

    def remove(self) -> bool:
        if not self.path.exists():
            return False
        if self._is_loaded() and (said := _run("launchctl", "bootout", f"{self._domain}/{LABEL}")) is not None:
            raise ServiceError(f"launchd refuses to stop the service: {said}")
        _delete(self.path)
        return True

    def standing(self) -> Standing:
        if not self.path.exists():
            return Standing(ABSENT)
        done = _call("launchctl", "print", f"{self._domain}/{LABEL}")
        if done.returncode:
            return Standing(STOPPED)
        # One line each, of which the first counts: nested parts of the answer have states too.
        told = dict(reversed(_LAUNCHD_LINE.findall(done.stdout)))
        if told.get("state") == "running":
            return Standing(RUNNING)
        code = _number(told.get("last exit code"))
        return Standing(FAILING, code) if code else Standing(STOPPED)

    def _is_loaded(self) -> bool:
        return _run("launchctl", "print", f"{self._domain}/{LABEL}") is None


def _run(*command: str) -> str | None:
    """Run a command; None, or what it said when it failed."""
    done = _call(*command)
    return None if done.returncode == 0 else _last_line(done)


def _call(*command: str) -> "subprocess.CompletedProcess[str]":
    """ServiceError where the command does not exist or does not end."""
    program = shutil.which(command[0])
    if program is None:
        raise ServiceError(f"there is no {command[0]} here, which would start the service; {_BY_HAND}")
    try:
        return subprocess.run(
            [program, *command[1:]],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=COMMAND_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServiceError(f"{command[0]} does not answer; try again") from error


def _last_line(done: "subprocess.CompletedProcess[str]") -> str:
    """What a command that failed said last."""
    lines = (done.stderr or done.stdout).strip().splitlines()
    return lines[-1] if lines else f"it ends with {done.returncode}"


def _number(text: str | None) -> int | None:
    """The number that a manager's word begins with, such as `1` or `78: EX_CONFIG`; None without one."""
    found = re.match(r"\d+", text or "")
    return int(found[0]) if found else None


def _write(path: Path, content: str) -> bool:
    """Write the file in one step; False where it says that already."""
    try:
        if path.exists() and path.read_text(encoding="utf-8") == content:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.new")
        temporary.write_text(content, encoding="utf-8")
        temporary.replace(path)
    except (OSError, UnicodeError) as error:
        raise ServiceError(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}") from error
    return True


def _delete(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise ServiceError(f"{path} cannot be deleted: {error.strerror}") from error
