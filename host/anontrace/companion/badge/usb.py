"""Putting the owner key on a badge by cable, so that it never goes over the air.

The target is a folder (from which a simulated badge takes the file when it starts) or a serial port, behind which the
badge itself keeps the key: a file would stay readable in its flash. Firmware of 0.2 gets the file.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from anontrace.companion.errors import CompanionError, SetupError

KEY_FILE = "owner.key"
SECONDS = 120
_FLASH = {KEY_FILE, "flash.bin", "main.py", "board.json"}  # a badge's flash that is not empty has one of these

# Runs on the badge. Firmware that does not keep the key itself has no sectors.
_OWN = """
try:
    from badge import sectors, store
except ImportError:
    with open("{file}", "wb") as file:
        file.write({key!r})
else:
    store.Store().save({key!r})
"""


def write_owner_key(target: str, owner_key: bytes) -> None:
    """Give the badge at this port or folder its owner key (32 bytes); a badge on a port is reset afterwards."""
    # To mpremote these are options, with which it succeeds without a badge; an empty path is the folder at hand.
    if not target.strip() or target.startswith("-"):
        raise CompanionError(f"{target!r} is no port; {_ports()}")
    folder = Path(target)
    if folder.is_dir():
        if not _may_be_a_flash(folder):
            raise CompanionError(f"{folder} is not the flash folder of a badge; nothing is written there")
        _to_folder(folder, owner_key)
    else:
        _to_port(target, owner_key)


def _may_be_a_flash(folder: Path) -> bool:
    try:
        names = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise CompanionError(f"{folder} cannot be read: {error.strerror}") from error
    return not names or not names.isdisjoint(_FLASH)


def _to_folder(folder: Path, owner_key: bytes) -> None:
    temporary = folder / f"{KEY_FILE}.new"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(owner_key)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / KEY_FILE)
    except OSError as error:
        raise CompanionError(f"the owner key cannot be written to {folder}: {error.strerror}") from error


def _check_port(port: str) -> None:
    """CompanionError for a device file that is missing or not this user's: to mpremote both may be busy."""
    if not port.startswith("/"):
        return  # COM7, socket://...
    if not Path(port).exists():
        raise CompanionError(f"there is no port {port}; {_ports()}")
    if not os.access(port, os.R_OK | os.W_OK):
        raise CompanionError(
            f"you may not use {port}; add yourself to the group that owns it (often dialout), and log in again"
        )


def _ports() -> str:
    """The serial ports that look like a board."""
    try:
        from serial.tools import list_ports  # type: ignore[import-untyped]  # comes with mpremote
    except ImportError:
        return "plug the badge in, and look which port it is on"
    found = [port.device for port in list_ports.comports() if port.vid is not None]
    return f"a board may be on {', '.join(found)}" if found else "no board is attached: plug the badge in"


def _to_port(port: str, owner_key: bytes) -> None:
    _check_port(port)
    with tempfile.TemporaryDirectory(prefix="anontrace-") as folder:  # only this user's
        script = Path(folder) / "own.py"
        script.write_text(_OWN.format(file=KEY_FILE, key=owner_key))
        command = [sys.executable, "-m", "mpremote", "connect", port, "run", str(script), "+", "reset"]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise CompanionError(f"the badge on {port} does not answer; unplug it, plug it in and try again") from error
    if "No module named mpremote" in done.stderr:
        raise SetupError("mpremote is needed to provision over USB; install it with: pip install 'anontrace[flash]'")
    if done.returncode:
        reason = (done.stderr or done.stdout).strip().splitlines()
        raise CompanionError(f"the badge on {port} was not reached: {reason[-1] if reason else 'mpremote failed'}")
