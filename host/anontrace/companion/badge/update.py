"""Updating a badge's firmware: the project's own flashing tool does it, from the source tree.

Firmware and tool are not part of the installed companion: this module finds the tree and runs the tool there.
"""

import subprocess
import sys
from pathlib import Path

from anontrace.companion.errors import CompanionError, SetupError

SECONDS = 600
_TOOL = Path("tools") / "flash.py"
_HERE = Path(__file__).resolve().parents[4]  # the tree, where the package was installed as editable


def update_firmware(port: str, source: str | None) -> list[str]:
    """What the tool printed; SetupError without a source tree, CompanionError with the tool's sentence."""
    tree = _HERE if source is None else Path(source)
    if not (tree / _TOOL).is_file():
        raise SetupError(
            "the firmware comes with the project's source; fetch that, and name its folder with --source,"
            " or run there: make update PORT=..."
        )
    command = [sys.executable, "-m", "tools.flash", "update", f"--port={port}"]
    try:
        done = subprocess.run(
            command, cwd=tree, capture_output=True, text=True, errors="replace", timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise CompanionError(f"the badge on {port} does not answer; unplug it, plug it in and try again") from error
    if "No module named" in done.stderr:
        raise SetupError("updating needs more packages; install them with: pip install 'anontrace[flash]'")
    if done.returncode:
        reason = (done.stderr or done.stdout).strip().splitlines()
        raise CompanionError(
            f"the update failed: {reason[-1].removeprefix('error: ') if reason else 'no reason given'}"
        )
    return done.stdout.splitlines()
