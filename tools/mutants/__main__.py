"""Mutation tests: changes one thing in a module at a time, and runs the tests of its room, which have to fail.

    python -m tools.mutants --module host/anontrace/mixnet/relay.py     # or a room, or nothing: all

Works on a copy, with the operators of cosmic-ray, which has an environment of its own under build/. A mutant that
survives has to be killed by a test, or named in tests/mutants.toml with the reason why no test can: fails otherwise,
and if a reason is for nothing. One that only writes a number in another way (ID | 4 for ID + 4) is none.

What was found is kept in build/mutants/results/, so that a run that was interrupted goes on where it was: what a test
has killed, until the module changes; what survived, until a test changes too.
"""

import argparse
import hashlib
import importlib
import json
import os
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .reasons import Mutant, for_nothing, is_the_same, reasons, unexplained
from .trying import Job

ROOT = Path(__file__).parents[2]
JUSTIFIED = ROOT / "tests" / "mutants.toml"
# Each room's folder, and its tests, as pytest is told. What holds on either store is tried on a folder: six nodes of a
# cluster take ten seconds to start.
ROOMS = {
    "mixnet": ("host/anontrace/mixnet", ["tests/mixnet"]),
    "wire": ("host/anontrace/wire", ["tests/wire"]),
    "nymserver": ("host/anontrace/backend/nymserver", ["tests/backend/nymserver", "-k", "not cluster"]),
    "addresses": ("host/anontrace/companion/addresses", ["tests/companion/addresses"]),
    "exposures": ("host/anontrace/companion/exposures", ["tests/companion/exposures"]),
    "shared": ("shared/anontrace_shared", ["tests/shared"]),
}
_TOOL = "cosmic-ray==8.7.0"
_COPIED = ("host", "shared", "firmware", "tests", "tools", "docs", "pyproject.toml")
_BUILD = ROOT / "build" / "mutants"
_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Result:
    """What became of a mutant, by its name: the test that killed it, or "", with these tests."""

    name: str
    killed_by: str
    tests: str


@dataclass(frozen=True)
class Tried:
    """A module's mutants, and those that survived."""

    module: str
    count: int
    survivors: list[Mutant]


def modules_of(wanted: str) -> dict[str, list[str]]:
    """What is to be mutated, by room: the modules of rooms, modules by their paths or the ends of these, with spaces
    between them; or, for "", all. Nothing if a word is none of it."""
    found: dict[str, list[str]] = {}
    words, known = wanted.split(), set[str]()
    for room, (folder, _) in ROOMS.items():
        for path in sorted((ROOT / folder).glob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            chosen = [word for word in words if word == room or f"/{name}".endswith(f"/{word.removesuffix('.py')}.py")]
            if (chosen or not words) and path.stem != "__init__":
                found.setdefault(room, []).append(name)
                known.update(chosen)
    return found if known == {*words} else {}


def _name(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()[:16]


def _tests_now() -> str:
    """Changes with any test."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "tests").rglob("*.*")):
        if path.suffix in (".py", ".json"):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


class Results:
    """What is known of a module's mutants. A line each, written at once, so that an interruption costs one mutant."""

    def __init__(self, module: str, tests: str) -> None:
        self._path = _BUILD / "results" / f"{module.replace('/', '.')}l"
        self._tests = tests
        self.known: dict[str, str] = {}
        for line in self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else ():
            try:
                result = Result(**json.loads(line))
            except ValueError:  # cut off
                continue
            if result.killed_by or result.tests == tests:
                self.known[result.name] = result.killed_by

    def add(self, name: str, killed_by: str) -> None:
        """Note what became of a mutant."""
        self.known[name] = killed_by
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(Result(name, killed_by, self._tests))) + "\n")


def _mutants(module: str) -> dict[str, Mutant]:
    """All mutants of a module that are some, by name."""
    python = _BUILD / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not python.exists() or subprocess.run([python, "-c", "import cosmic_ray"], check=False).returncode:
        venv.create(_BUILD, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", _TOOL], check=True)
    making = ROOT / "tools" / "mutants" / "making.py"
    kept = _BUILD / "made" / _name(making.read_text(encoding="utf-8") + (ROOT / module).read_text(encoding="utf-8"))
    if not kept.exists():
        made = subprocess.run([python, making, ROOT / module], stdout=subprocess.PIPE, check=True)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(made.stdout)
    names = vars(importlib.import_module(".".join(Path(module).with_suffix("").parts[1:])))
    found = [Mutant(module, **each) for each in json.loads(kept.read_text(encoding="utf-8"))]
    return {_name(each.source): each for each in found if not is_the_same(each, names)}


def _copy(to: Path) -> None:
    to.mkdir()
    for name in _COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, to / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, to / name)
    (to / "build").symlink_to(ROOT / "build")  # MicroPython, among others


def _try(job: Job) -> Iterator[dict[str, Any]]:
    """Each mutant as it is tried."""
    with TemporaryDirectory(dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None) as folder:
        copy, asked = Path(folder) / "copy", Path(folder) / "job.json"
        _copy(copy)
        asked.write_text(json.dumps(asdict(job)), encoding="utf-8")
        path = os.pathsep.join(str(copy / name) for name in ("host", "shared", ""))
        with subprocess.Popen(
            [sys.executable, "-m", "tools.mutants.trying", asked],
            cwd=copy,
            env=os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                yield json.loads(line)


def try_room(room: str, modules: list[str]) -> list[Tried]:
    """Try all mutants of a room's modules that nothing is known of. SystemExit if a test fails without any change."""
    tests_now = _tests_now()
    mutants, results, left = {}, {}, {}
    for module in modules:
        mutants[module], results[module] = _mutants(module), Results(module, tests_now)
        known = results[module].known
        left[module] = {name: (each.line, each.source) for name, each in mutants[module].items() if name not in known}
        print(f"{module}: {len(mutants[module])} mutants, {len(left[module])} to try", flush=True)
    left = {module: some for module, some in left.items() if some}
    began, done, all_left = time.monotonic(), 0, sum(map(len, left.values()))
    for said in _try(Job(left, ROOMS[room][1])) if left else ():
        if not said["module"]:
            raise SystemExit(f"error: {said['by']} fails without any change; mend that first")
        module, mutant = said["module"], mutants[said["module"]][said["mutant"]]
        if said["last"]:
            results[module].add(said["mutant"], said["by"])
            done += 1
        if not said["by"]:
            so_far = "" if said["last"] else " so far"
            print(f"  {module}:{mutant.line}: `{mutant.after}` survives{so_far}, for `{mutant.before}`", flush=True)
        elif not done % 25:
            print(f"  {done} of {all_left}, {time.monotonic() - began:.0f} s: {module}", flush=True)
    return [
        Tried(module, len(known), [mutant for name, mutant in known.items() if results[module].known.get(name) == ""])
        for module, known in mutants.items()
    ]


def main() -> int:
    """The command; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutants", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--module", default="", metavar="WHAT", help=f"modules' files, or rooms: {', '.join(ROOMS)}")
    options = parser.parse_args()
    chosen = modules_of(options.module)
    if not chosen:
        parser.error(f"{options.module}: not just rooms ({', '.join(ROOMS)}) and modules of these")
    known, tried, failed = reasons(JUSTIFIED.read_text(encoding="utf-8")), [], False
    try:
        for room, modules in chosen.items():
            tried += try_room(room, modules)
    except KeyboardInterrupt:
        print("\ninterrupted: what was found is kept, and the next run goes on from there")
        failed = True
    print(f"\n{'module':<52} {'mutants':>7} {'killed':>7} {'with a reason':>13} {'survive':>8}")
    for each in tried:
        bare = unexplained(each.survivors, known)
        killed, explained = each.count - len(each.survivors), len(each.survivors) - len(bare)
        print(f"{each.module:<52} {each.count:>7} {killed:>7} {explained:>13} {len(bare):>8}")
        failed |= bool(bare)
    for each in tried:
        for mutant in unexplained(each.survivors, known):
            print(f"{mutant.module}:{mutant.line}: no test fails with `{mutant.after}` instead of `{mutant.before}`")
        for reason in for_nothing(each.survivors, known, each.module):
            print(f"{JUSTIFIED.name}: no mutant of `{reason.line}` in {each.module} survives: take that out")
            failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
