"""Mutation tests: changes one thing in a module at a time, and runs the tests of its room, which have to fail.

    python -m tools.mutants --only host/anontrace/mixnet/relay.py        # or a room: mixnet, wire, nymserver, shared

Works on a copy, with cosmic-ray in an environment of its own under build/. A mutant that survives has to be killed by a
test, or named in tests/mutants.toml with the reason why no test can: fails otherwise, and if a reason is for nothing.
One that only writes a number in another way (16 | 4 for 16 + 4) is none. A module takes minutes, a room hours.
"""

import argparse
import ast
import importlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parent.parent
JUSTIFIED = ROOT / "tests" / "mutants.toml"
ROOMS = {
    "mixnet": ("host/anontrace/mixnet", "tests/mixnet"),
    "wire": ("host/anontrace/wire", "tests/wire"),
    "nymserver": ("host/anontrace/backend/nymserver", "tests/backend/nymserver"),
    "shared": ("shared/anontrace_shared", "tests/shared"),
}
_TOOL = "cosmic-ray==8.7.0"
_COPIED = ("host", "shared", "firmware", "tests", "tools", "docs", "pyproject.toml")
_TIMEOUT_SECONDS = 300
_HEADS = ("---", "+++")  # of a difference
_FOR_CONSTANTS = (ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop, ast.Constant, ast.Name, ast.expr_context)
_LEAVES = (ast.Constant, ast.Name)
_NO_OPERATORS = [
    "core/ReplaceBinaryOperator_BitOr_.*",  # mostly in types, which Python does not check
    "core/ReplaceComparisonOperator_(Is_Eq|IsNot_NotEq|Eq_Is|NotEq_IsNot)",  # alike for states and small numbers
]


@dataclass(frozen=True)
class Mutant:
    """One change to a module: the operator's name, and the line before and after it."""

    module: str
    operator: str
    before: str
    after: str


@dataclass(frozen=True)
class Reason:
    """Why a line's mutants may survive; `module` empty: wherever that line stands."""

    line: str
    why: str
    module: str = ""
    after: str = ""

    def covers(self, mutant: Mutant) -> bool:
        """Whether this is the reason for that mutant."""
        return mutant.before == self.line and self.module in ("", mutant.module) and self.after in ("", mutant.after)


def reasons(text: str) -> list[Reason]:
    """What tests/mutants.toml says."""
    return [Reason(**each) for each in tomllib.loads(text).get("survives", [])]


def is_the_same(mutant: Mutant, names: Mapping[str, Any]) -> bool:
    """Whether before and after differ in nothing but expressions of numbers and of its module's constants that have the
    same value. `names`: what the module has."""
    before, after = _parsed(mutant.before), _parsed(mutant.after)
    return before is not None and after is not None and _is_the_same(before, after, names)


def _parsed(line: str) -> ast.AST | None:
    """A line by itself, or the head of a block."""
    for whole in (line, f"{line} pass"):
        try:
            return ast.parse(whole)
        except SyntaxError:
            continue
    return None


def _is_the_same(one: ast.AST, other: ast.AST, names: Mapping[str, Any]) -> bool:
    if ast.dump(one) == ast.dump(other):
        return True
    values = _value(one, names), _value(other, names)
    if None not in values:
        return values[0] == values[1]
    inner, others = list(ast.iter_child_nodes(one)), list(ast.iter_child_nodes(other))
    if type(one) is not type(other) or _plain(one) != _plain(other) or len(inner) != len(others):
        return False
    return bool(inner) and all(_is_the_same(*pair, names) for pair in zip(inner, others, strict=True))


def _plain(node: ast.AST) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in ast.iter_fields(node) if not isinstance(value, (ast.AST, list))]


def _value(node: ast.AST, names: Mapping[str, Any]) -> int | None:
    """What an expression of numbers and constants comes to; None if it is none."""
    for part in ast.walk(node):
        is_constant = isinstance(part, ast.Name) and part.id.isupper() and isinstance(names.get(part.id), int)
        is_number = isinstance(part, ast.Constant) and type(part.value) is int
        if not isinstance(part, _FOR_CONSTANTS) or not (is_constant or is_number or not isinstance(part, _LEAVES)):
            return None
    if not isinstance(node, ast.expr):
        return None
    try:
        return int(eval(compile(ast.Expression(node), "", "eval"), {}, dict(names)))
    except (ArithmeticError, ValueError):
        return None


def unexplained(survivors: list[Mutant], known: list[Reason], modules: list[str]) -> list[str]:
    """What is wrong, a sentence each: survivors without a reason, and reasons of these modules without a survivor."""
    found = [
        f"{each.module}: {each.operator}: no test fails with `{each.after}` instead of `{each.before}`"
        for each in survivors
        if not any(reason.covers(each) for reason in known)
    ]
    for reason in known:
        if reason.module in modules and not any(reason.covers(each) for each in survivors):
            found.append(f"{JUSTIFIED.name}: no mutant of `{reason.line}` in {reason.module} survives: take that out")
    return found


def survivors(dumped: str) -> tuple[int, list[Mutant]]:
    """From what the tool dumps, a line for each mutant: how many were tried, and those that survived."""
    tried, found = 0, []
    for line in dumped.splitlines():
        item, result = json.loads(line)
        if result is None or result["worker_outcome"] != "normal":
            continue
        tried += 1
        if result["test_outcome"] == "survived":
            changed = [each for each in result["diff"].splitlines() if each[:1] in "+-" and each[:3] not in _HEADS]
            before = next((each[1:].strip() for each in changed if each[0] == "-"), "")
            after = next((each[1:].strip() for each in changed if each[0] == "+"), "")
            mutation = item["mutations"][0]
            found.append(Mutant(mutation["module_path"], mutation["operator_name"], before, after))
    return tried, found


def _tool() -> Path:
    """The folder with the tool's programs, which are installed when they are missing."""
    home = ROOT / "build" / "mutants"
    programs = home / ("Scripts" if os.name == "nt" else "bin")
    if not (programs / "cosmic-ray").exists() and not (programs / "cosmic-ray.exe").exists():
        venv.create(home, with_pip=True, clear=True)
        subprocess.run([programs / "python", "-m", "pip", "install", "-q", _TOOL], check=True)
    return programs


def _try(programs: Path, modules: list[str], tests: str) -> tuple[int, list[Mutant]]:
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        copy.mkdir()
        for name in _COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, copy / name)
        settings, session = Path(folder) / "settings.toml", Path(folder) / "session.sqlite"
        command = f"{sys.executable} -m pytest -x -q -p no:cacheprovider {tests}"
        settings.write_text(
            f"[cosmic-ray]\nmodule-path = {json.dumps(modules)}\ntimeout = {_TIMEOUT_SECONDS}.0\n"
            f"excluded-modules = []\ntest-command = {json.dumps(command)}\n"
            '[cosmic-ray.distributor]\nname = "local"\n'
            f"[cosmic-ray.filters.operators-filter]\nexclude-operators = {json.dumps(_NO_OPERATORS)}\n",
            encoding="utf-8",
        )
        path = os.pathsep.join(str(copy / name) for name in ("host", "shared", ""))
        environment = os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}

        def run(*arguments: str | Path) -> str:
            done = subprocess.run(
                [programs / arguments[0], *arguments[1:]],
                cwd=copy,
                env=environment,
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            return done.stdout

        subprocess.run(command.split(), cwd=copy, env=environment, stdout=subprocess.DEVNULL, check=True)  # as it is
        run("cosmic-ray", "init", settings, session)
        run("cr-filter-operators", session, settings)
        run("cosmic-ray", "exec", settings, session)
        return survivors(run("cosmic-ray", "dump", session))


def modules_of(only: str) -> list[tuple[list[str], str]]:
    """What is to be mutated, with the folder of its tests: a room's modules, one module, or, for "", all."""
    found = []
    for room, (folder, tests) in ROOMS.items():
        names = sorted(
            path.relative_to(ROOT).as_posix() for path in (ROOT / folder).glob("*.py") if path.stem != "__init__"
        )
        chosen = names if only in ("", room) else [name for name in names if name == Path(only).as_posix()]
        if chosen:
            found.append((chosen, tests))
    return found


def main() -> int:
    """The command; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutants", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", metavar="WHAT", help=f"a module's file, or a room: {', '.join(ROOMS)}")
    options = parser.parse_args()
    chosen = modules_of(options.only)
    if not chosen:
        parser.error(f"{options.only}: neither a room ({', '.join(ROOMS)}) nor a module of one")
    known, wrong = reasons(JUSTIFIED.read_text(encoding="utf-8")), []
    programs = _tool()
    for modules, tests in chosen:
        for module in modules:
            print(f"{module}: minutes ...", flush=True)
            tried, left = _try(programs, [module], tests)
            names = vars(importlib.import_module(".".join(Path(module).with_suffix("").parts[1:])))
            left = [each for each in left if not is_the_same(each, names)]
            print(f"{module}: {tried} mutants, {tried - len(left)} killed")
            wrong += unexplained(left, known, [module])
    for sentence in wrong:
        print(sentence)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
