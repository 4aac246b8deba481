"""Sets the project up: `.venv` with the pinned packages, each held to its hash, and MicroPython. `make setup` runs it.

Needs Python's standard library alone. Each step says what it does; what pip says goes to build/setup.log.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
READY = VENV / ".ready"
CONSTRAINTS = ROOT / "tools" / "constraints.txt"
LOG = ROOT / "build" / "setup.log"
_BACKEND = "setuptools"  # builds this project, and those packages that come as source
_NO_NETWORK = re.compile(
    "NewConnectionError|ConnectTimeoutError|NameResolutionError|ReadTimeoutError|ProxyError|Max retries exceeded"
    "|Connection (broken|aborted|refused)|Read timed out"
)
_BAR = 30  # characters


class SetUpError(Exception):
    """It cannot be set up; the message is one line that says what to do."""


def _identity(python: Path) -> str:
    """Which Python this is, or which one a virtual environment was made with; empty when it does not start."""
    script = "import os, platform, sys; print(platform.python_version(), 'in', os.path.realpath(sys.base_prefix))"
    with contextlib.suppress(OSError):
        return subprocess.run([python, "-c", script], capture_output=True, text=True, check=False).stdout.strip()
    return ""


class Steps:
    """Says what is done: a line for each step, on a terminal with a bar that moves with what has been done of it."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._number = 0
        self._text = ""
        self._width = 0

    def begin(self, text: str) -> None:
        """The next step."""
        self._number += 1
        self._text = f"[{self._number}/{self._count}] {text}"
        print(self._text, flush=True)

    def advance(self, done: int, total: int, what: str) -> None:
        """So much of the step is done."""
        if not sys.stdout.isatty():
            return
        filled = _BAR * min(done, total) // total
        columns = shutil.get_terminal_size().columns - 1
        line = f"  {'#' * filled}{'.' * (_BAR - filled)} {done}/{total} {what}"[:columns]
        print(f"\r{line:<{self._width}}", end="", flush=True)
        self._width = len(line)

    def end(self) -> None:
        """The bar goes."""
        if self._width:
            print(f"\r{'':<{self._width}}\r", end="", flush=True)
            self._width = 0


def pinned() -> dict[str, str]:
    """Every entry of the constraints by its package: name, version, marker and hashes, as pip reads them."""
    entries = re.split(r"^(?=[A-Za-z0-9])", CONSTRAINTS.read_text(), flags=re.MULTILINE)
    return {re.split("[= ]", entry, maxsplit=1)[0]: entry for entry in entries if "==" in entry}


def _pip(*arguments: str) -> Iterator[str]:
    """Run pip's install in `.venv`; its lines. SetUpError when it fails."""
    options = ("--disable-pip-version-check", "--no-input", "--progress-bar=off", "--retries=2")
    command = [str(PYTHON), "-m", "pip", "install", *options, *arguments]
    said: list[str] = []
    with (
        LOG.open("a") as log,
        subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as process,
    ):
        try:
            for line in process.stdout or ():
                log.write(line)
                said.append(line.strip())
                yield said[-1]
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise SetUpError(_reason(said))


def _reason(said: list[str]) -> str:
    """One line from what pip said before it failed."""
    if any(map(_NO_NETWORK.search, said)):
        return "the package registry cannot be reached: connect to the network and run the same command again"
    text = "\n".join(said)
    if "DO NOT MATCH THE HASHES" in text:
        found = re.search(r"HASHES.*\n\s*(\S+) from", text)
        return f"{found[1] if found else 'a package'} is not what tools/constraints.txt holds it to: do not use it"
    errors = [line for line in said if line.startswith("ERROR:")] or said[-1:] or ["no message"]
    return f"pip failed ({errors[0].removeprefix('ERROR: ')[:200]}): build/setup.log has all it said"


def _install(steps: Steps) -> None:
    """The packages of the constraints, each held to its hash: what builds others first."""
    entries = pinned()
    with tempfile.TemporaryDirectory() as folder:
        backend = Path(folder) / "backend.txt"
        backend.write_text(entries[_BACKEND])
        for _ in _pip("--require-hashes", "--requirement", str(backend)):
            pass
    seen: set[str] = set()
    installing = "--require-hashes", "--no-build-isolation", "--requirement", str(CONSTRAINTS)
    for line in _pip(*installing):
        name = re.match(r"(?:Collecting|Requirement already satisfied:|Ignoring) ([A-Za-z0-9._-]+)", line)
        if name:
            seen.add(re.sub(r"[._]", "-", name[1].rstrip(":")).lower())
            steps.advance(len(seen), len(entries), name[1].rstrip(":"))
        elif line.startswith("Installing collected packages"):
            steps.advance(len(entries), len(entries), "fetched; unpacking them")
    steps.end()


def _make_environment() -> None:
    try:
        import ensurepip  # noqa: F401 - some systems package venv without it
        import venv
    except ImportError:
        raise SetUpError("Python's venv module is missing: install it (Debian: apt install python3-venv)") from None
    try:
        venv.create(VENV, with_pip=True, symlinks=os.name != "nt")
    except subprocess.CalledProcessError:
        raise SetUpError(
            f"{sys.executable} cannot make a virtual environment: say make PYTHON=... with another"
        ) from None


def set_up() -> None:
    """Make `.venv` complete, anew if another Python made it. SetUpError says what went wrong."""
    now = _identity(Path(sys.executable))
    if VENV.exists():
        before = _identity(PYTHON)
        changed = max(path.stat().st_mtime for path in (ROOT / "pyproject.toml", CONSTRAINTS))
        if before == now and READY.exists() and READY.stat().st_mtime >= changed:
            return
        if before != now:
            print(f".venv was made with Python {before or 'that is gone'}; it is made anew with {now}", flush=True)
            shutil.rmtree(VENV)
    LOG.parent.mkdir(exist_ok=True)
    LOG.unlink(missing_ok=True)
    READY.unlink(missing_ok=True)
    steps = Steps(5)
    steps.begin(f"virtual environment .venv, of Python {now}")
    _make_environment()
    steps.begin("packages, each held to its hash: some 200 MB to fetch the first time, a few minutes")
    _install(steps)
    steps.begin("anontrace and anontrace-server")
    for _ in _pip("--no-deps", "--no-build-isolation", "--no-index", "--editable", "."):
        pass
    steps.begin("MicroPython, which runs the badges' firmware: some 2 MB if it is fetched")
    # It says itself what it does, and what is wrong.
    if subprocess.run([PYTHON, "-m", "tools.micropython"], cwd=ROOT, stdout=subprocess.DEVNULL, check=False).returncode:
        raise SystemExit(1)
    steps.begin("Chromium, for the pages' tests: some 100 MB if root has it installed by apt, else nothing")
    subprocess.run([PYTHON, "-m", "tools.chromium"], cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
    READY.touch()


def main() -> int:
    """0, or 1 after one line on standard error."""
    try:
        set_up()
    except SetUpError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error.filename or ROOT}: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: run the same command again", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
