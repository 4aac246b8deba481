"""What one hop costs here and with packet formats that others made, side by side.

    python -m tools.bench --only peers

Ours as in unwrap.py, in turns with `sphinxmix` (PyPI; the reference implementation of Sphinx in Python) and with Nym's
`sphinx-packet` and `nym-outfox` (crates.io). Each unwraps whole packets of four hops with 239 bytes of content, from
the bytes that come to the bytes that leave, which for sphinxmix are its own tuples. Two X25519 by libsodium are the
measure for all.

Nothing of the others is installed: sphinxmix is fetched into the cache, where one of its dependencies is built, which
takes a C compiler and OpenSSL's headers; the two crates are fetched by cargo and built in a temporary folder, for this
processor, in one to two minutes. What cannot be had is left out, and the report says why.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path

import platformdirs
from anontrace_primitives import x25519_batches

from tools.bench.report import Report
from tools.bench.unwrap import contenders, measure, repeated

SECONDS = 8.0
LIMIT_OUTFOX = 1.0  # of ours to Outfox, where eight lanes compute it
_SPHINXMIX = ("sphinxmix==0.0.7", "petlib==0.0.45", "future==1.0.0", "msgpack-python==0.5.6")
_CRATES = Path(__file__).parent / "nym"
_BUILD_SECONDS = 900
FORMATS = {"sphinx-packet": "Nym sphinx-packet 0.8.0", "outfox": "Nym nym-outfox 1.21.6"}
_NOTES = {
    "sphinxmix": "sphinxmix 0.0.7: its default curve and header; one exchange a hop.",
    "outfox": "Outfox: one exchange a hop, no blinding; a packet shows how many hops it has behind it.",
}


class MissingError(Exception):
    """A peer that cannot be had here; one line that says why."""


def fetch_sphinxmix() -> Path:
    """The folder with the package, fetched with its dependencies if need be."""
    version = f"{sys.implementation.cache_tag}-{_SPHINXMIX[0].partition('==')[2]}"
    folder = Path(platformdirs.user_cache_path("anontrace")) / f"sphinxmix-{version}"
    if not folder.is_dir():
        fresh = folder.with_name(f"{folder.name}-{os.getpid()}")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        print("Fetching sphinxmix into the cache ...", file=sys.stderr, flush=True)
        try:
            _ran([*pip, "--target", str(fresh), *_SPHINXMIX])
        except MissingError:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        fresh.rename(folder)
    return folder


def sphinxmix(folder: Path) -> Callable[[], object]:
    """One hop of the `sphinxmix` package in a folder. MissingError if it does not work here."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    try:
        client, node, parameters = (import_module(f"sphinxmix.Sphinx{part}") for part in ("Client", "Node", "Params"))
    except ImportError as error:
        raise MissingError(str(error)) from None
    params = parameters.SphinxParams(header_len=192, body_len=1024)
    keys = {}
    for number in range(4):
        secret = params.group.gensecret()
        keys[number] = (secret, params.group.expon(params.group.g, [secret]))
    routing, public = [client.Nenc(number) for number in keys], [public for _, public in keys.values()]
    header, delta = client.create_forward_message(params, routing, public, b"mailbox", os.urandom(239))
    return lambda: node.sphinx_process(params, keys[0][0], header, delta)


def build_nym(folder: Path) -> Path:
    """The program nym/main.rs, built in this folder with the crates that nym/Cargo.lock pins."""
    cargo = shutil.which("cargo")
    if cargo is None:
        raise MissingError("there is no cargo")
    source = folder / "source"
    shutil.copytree(_CRATES, source)
    print("Building Nym's crates in a temporary folder: one to two minutes ...", file=sys.stderr, flush=True)
    for_here = os.environ | {"RUSTFLAGS": "-C target-cpu=native", "CARGO_TARGET_DIR": str(folder / "target")}
    _ran([cargo, "build", "--quiet", "--locked", "--release", "--manifest-path", str(source / "Cargo.toml")], for_here)
    return folder / "target" / "release" / "nym"


def _ran(command: list[str], environment: dict[str, str] | None = None) -> None:
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingError(f"{Path(command[0]).name}: {type(error).__name__}") from None
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        first = next((line for line in said if line.lower().startswith("error")), (said or ["it failed"])[-1])
        raise MissingError(f"{Path(command[0]).name}: {first.strip()}")


class Nym:
    """The program, running: unwraps a turn of packets when asked to, by the name of their format."""

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def turn(self, name: str) -> None:
        """Until it is done."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{name}\n")
        if not self._process.stdout.readline():
            raise RuntimeError(f"nym ended, with status {self._process.wait()}")

    def seconds(self) -> float:
        """Of processor time that it has used."""
        return time.clock_gettime((~self._process.pid << 3) | 2)  # Linux: the clock of a process by its id

    def close(self) -> None:
        """Have it end."""
        self._process.communicate(timeout=10)


@contextmanager
def _running(missing: list[str]) -> Iterator[Nym | None]:
    """Nym's formats; None, and why, where they cannot be had."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            program = build_nym(Path(folder))
        except MissingError as error:
            missing.append(f"No figures of Nym's crates: {error}")
            yield None
            return
        nym = Nym(program)
        try:
            yield nym
        finally:
            nym.close()


def run() -> Report:
    """The figures; they fail if an unwrap in eight lanes costs more than Outfox."""
    chosen = x25519_batches.choose().name
    missing: list[str] = []
    with _running(missing) as nym:
        mine = f"in batches, {chosen}"
        found = {name: each for name, each in contenders().items() if name in ("two X25519", mine)}
        clocks: dict[str, Callable[[], float]] = {}
        if nym is not None:
            found |= {name: partial(nym.turn, name) for name in FORMATS}
            clocks = dict.fromkeys(FORMATS, nym.seconds)
        try:
            found["sphinxmix"] = repeated(sphinxmix(fetch_sphinxmix()))
        except MissingError as error:
            missing.append(f"No figure of sphinxmix: {error}")
        times = measure(found, SECONDS, clocks)
    quiet = {name: statistics.quantiles(each, n=10)[0] for name, each in times.items()}
    base, ours = quiet.pop("two X25519"), quiet.pop(mine)
    report = Report("One hop, ours and others", ("of two X25519", "microseconds", "ours to it"))
    for name, each in {f"ours, {mine}": ours, **quiet}.items():
        label = FORMATS.get(name, name)
        key = "ours" if each is ours else name
        report.add_row(label, "", {f"{key}_ratio": each / base, f"{key}_us": each, f"ours_to_{key}": ours / each})
    for remark in [*missing, *(note for name, note in _NOTES.items() if name in quiet)]:
        report.remark(remark)
    report.remark("The tenth of the turns that were disturbed least; ours and sphinxmix in Python, Nym's in Rust.")
    if chosen == "ifma" and "outfox" in quiet:
        report.limit("ours_to_outfox", LIMIT_OUTFOX)
    return report
