"""Tries mutants of modules in the copy of all that it is started in: `python -m tools.mutants.trying FILE`.

FILE is a `Job` as JSON; a line of JSON comes out for each mutant, with the test that failed, if any did. Starting the
tests takes longer than most of them, so that is done once a module: for a mutant of a function a fork of a process that
has collected the tests gives the function its mutated code and runs those tests which pass by the line, the quick ones
first. What is no function's code is then tried from the start, in forks of a process that has loaded nothing but the
packages of others: with the files of tests that use the module in their own process. In the end so is what no test has
noticed yet, with all tests, some of which start processes that use the module.
"""

import ast
import gc
import importlib
import json
import os
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby, zip_longest
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any, NoReturn

import pytest

_SPARE_SECONDS, _TIMES_AS_SLOW, _ENDING_SECONDS, _SURVEY_SECONDS = 60.0, 10.0, 20.0, 1800.0
_FAILED, _CANNOT = 1, 3
LOUD = "MUTANTS_LOUD"  # in the environment: what pytest prints is not thrown away


@dataclass(frozen=True)
class Job:
    """What to try, by module: its mutants by their names, a first line and a whole source each. `tests`: files or
    folders."""

    modules: dict[str, dict[str, tuple[int, str]]]
    tests: list[str]


@dataclass
class Seen:
    """What a test did without any change: its seconds, and the lines of each module that it ran in this process."""

    test: str
    seconds: float = 0.0
    lines: dict[str, list[int]] = field(default_factory=dict)


@dataclass
class Survey:
    """What the tests are; `packages`: modules of others that they load. `error` if one fails without any change."""

    seen: list[Seen] = field(default_factory=list)
    packages: list[str] = field(default_factory=list)
    error: str = ""


class _Surveying:
    """Runs all tests and notes what they ran of the modules."""

    def __init__(self, modules: Iterable[str], found: Path) -> None:
        self._modules = {str(Path(each).resolve()): each for each in modules}
        self._found = found

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        survey, root = Survey(), str(Path.cwd())
        for item, following in _with_next(session.items):
            lines: dict[str, set[int]] = {}
            watch = self._watching(lines)
            began = time.monotonic()
            threading.settrace(watch)
            sys.settrace(watch)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            sys.settrace(None)
            threading.settrace(None)
            seconds, ran = time.monotonic() - began, {module: sorted(found) for module, found in lines.items()}
            survey.seen.append(Seen(item.nodeid, seconds, ran))
            if session.testsfailed:
                survey.error = item.nodeid
                break
        for name, module in sys.modules.items():
            file = getattr(module, "__file__", None)
            if file and not file.startswith(root) and not name.startswith(("_", "pytest", "xdist", "pluggy")):
                survey.packages.append(name)
        self._found.write_text(json.dumps(asdict(survey)), encoding="utf-8")
        return True

    def _watching(self, lines: dict[str, set[int]]) -> Callable[[FrameType, str, Any], Any]:
        modules = self._modules

        def called(frame: FrameType, *_: Any) -> Any:
            module = modules.get(frame.f_code.co_filename)
            if module is None:
                return None
            add = lines.setdefault(module, set()).add
            add(frame.f_lineno)

            def inside(frame: FrameType, *_: Any) -> Any:
                add(frame.f_lineno)
                return inside

            return inside

        return called


class _InFunctions:
    """Tries what is in a module's functions, in a fork of the collected tests each. `seen`: of those tests that ran
    anything of it."""

    def __init__(
        self,
        module: str,
        mutants: dict[str, tuple[int, str]],
        seen: Sequence[Seen],
        failed: Path,
        tell: Callable[[str, str], None],
    ) -> None:
        self._module, self._mutants, self._seen, self._failed, self._tell = module, mutants, seen, failed, tell
        self._file = str(Path(module).resolve())

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        gc.collect()
        original = Path(self._module).read_text(encoding="utf-8")
        items = {item.nodeid: item for item in session.items}
        known = _by_place(compile(original, self._file, "exec"))
        functions = [
            each
            for each in gc.get_objects()
            if isinstance(each, FunctionType) and each.__code__.co_filename == self._file
        ]
        for name, (line, source) in self._mutants.items():
            try:
                changed = _changed(known, _by_place(compile(source, self._file, "exec")))
            except SyntaxError:
                continue
            mine = [each for each in functions if _place(each.__code__) in changed]
            if changed.keys() != {_place(each.__code__) for each in mine} or not _is_code(original, line):
                continue
            around = _statement(original, line)
            chosen = _quick_first([each for each in self._seen if around & set(each.lines[self._module])])
            self._failed.write_text("")
            run = self._runner(session, [items[each.test] for each in chosen], mine, changed)
            ended = _in_fork(run, sum(each.seconds for each in chosen))
            if ended != _CANNOT:
                self._tell(name, self._failed.read_text() or ("too slow" if ended else ""))
        return True

    def _runner(
        self, session: pytest.Session, items: list[Any], mine: list[FunctionType], changed: dict[Any, CodeType]
    ) -> Callable[[], int]:
        def run() -> int:
            try:
                for function in mine:
                    function.__code__ = changed[_place(function.__code__)]
            except ValueError:  # another closure
                return _CANNOT
            try:
                for item, following in _with_next(items):
                    item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                    if session.testsfailed:
                        self._failed.write_text(item.nodeid)
                        break
            finally:
                session._setupstate.teardown_exact(None)
            return min(session.testsfailed, _FAILED)

        return run


class _Stopping:
    """Notes the test that failed."""

    def __init__(self, failed: Path) -> None:
        self._failed = failed

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed.write_text(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._failed.write_text(f"{report.nodeid} (collecting)")


def _with_next(items: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    yield from zip_longest(items, items[1:])


def _quick_first(seen: Sequence[Seen]) -> list[Seen]:
    """File by file, whose tests share what is slow to make: first the file that takes least."""
    files: Counter[str] = Counter()
    for each in seen:
        files[_file(each)] += each.seconds  # type: ignore[assignment]
    return sorted(seen, key=lambda each: files[_file(each)])


def _file(seen: Seen) -> str:
    return seen.test.split("::")[0]


def _place(code: CodeType) -> tuple[str, int]:
    return code.co_qualname, code.co_firstlineno


def _by_place(code: CodeType) -> dict[tuple[str, int], CodeType]:
    """All code that is not in a function: the functions of module and classes."""
    found = {}
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            if inner.co_flags & 0x1:  # CO_OPTIMIZED: a function, not the body of a class
                found[_place(inner)] = inner
            else:
                found |= _by_place(inner)
    return found


def _changed(one: dict[Any, CodeType], other: dict[Any, CodeType]) -> dict[Any, CodeType]:
    return {place: code for place, code in other.items() if one.get(place) != code}


def _is_code(source: str, line: int) -> bool:
    """Whether a line is in the body of a function, not in its head, where a change does not show in its code."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.body[0].lineno <= line <= (
            node.end_lineno or 0
        ):
            return True
    return False


def _statement(source: str, line: int) -> set[int]:
    """The lines of the smallest statement around a line, of a compound one those of its head."""
    found = {line}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.stmt, ast.excepthandler)) and node.lineno <= line <= (node.end_lineno or 0):
            inner = getattr(node, "body", None)
            end = inner[0].lineno - 1 if inner else node.end_lineno or 0
            if line <= max(end, node.lineno):
                found = set(range(node.lineno, max(end, node.lineno) + 1))
    return found


def _in_fork(run: Callable[[], int], usual_seconds: float) -> int:
    """How a fork ended in which this was run; one that takes much longer than usual is ended."""
    if (process := os.fork()) == 0:
        _run_and_end(run)
    for seconds, number in ((_SPARE_SECONDS + _TIMES_AS_SLOW * usual_seconds, signal.SIGINT), (_ENDING_SECONDS, None)):
        until = time.monotonic() + seconds
        pause = 0.001
        while time.monotonic() < until:
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                return _FAILED if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)
            time.sleep(pause)
            pause = min(pause * 1.5, 0.05)
        os.kill(process, number or signal.SIGKILL)
    os.waitpid(process, 0)
    return _FAILED


def _run_and_end(run: Callable[[], int]) -> NoReturn:
    code = _FAILED
    try:
        code = run()
    finally:
        os._exit(code)


def _pytest(arguments: Sequence[str], plugin: object, scratch: Path) -> Callable[[], int]:
    def run() -> int:
        shutil.rmtree(scratch / "tests", ignore_errors=True)
        options = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:randomly", f"--basetemp={scratch / 'tests'}"]
        return int(pytest.main([*options, *arguments], [plugin]))

    return run


def _survey(job: Job, scratch: Path) -> Survey:
    """Leaves the modules compiled, except for those that are to be mutated."""
    found = scratch / "survey.json"

    def run() -> int:
        sys.dont_write_bytecode = False
        return _pytest(job.tests, _Surveying(job.modules, found), scratch)()

    _in_fork(run, _SURVEY_SECONDS)
    for module in job.modules:
        for compiled in (Path(module).parent / "__pycache__").glob(f"{Path(module).stem}.*.pyc"):
            compiled.unlink()
    if not found.exists():
        return Survey(error="one of the tests does not even begin, or hangs, and")
    read = json.loads(found.read_text(encoding="utf-8"))
    return Survey([Seen(**each) for each in read["seen"]], read["packages"], read["error"])


def _load(packages: Sequence[str]) -> None:
    for name in packages:
        if threading.active_count() == 1:
            try:
                importlib.import_module(name)
            except Exception:
                continue
    gc.collect()
    gc.freeze()


def _in_functions(job: Job, module: str, near: Sequence[Seen], scratch: Path) -> Iterator[tuple[str, str]]:
    """The mutants that can be tried so, with the test that has killed each; "" if none has."""
    reading, writing = os.pipe()

    def tell(name: str, by: str) -> None:
        os.write(writing, (json.dumps([name, by]) + "\n").encode())

    trying = _InFunctions(module, job.modules[module], near, scratch / "failed", tell)
    if (process := os.fork()) == 0:
        os.close(reading)
        _run_and_end(_pytest(sorted({_file(each) for each in near}), trying, scratch))
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as lines:
        for line in lines:
            name, by = json.loads(line)
            yield name, by
    os.waitpid(process, 0)


def _from_the_start(module: str, source: str, seen: Sequence[Seen], scratch: Path) -> str:
    """The test that notices this source of a module, if any does. File by file, to collect no more than it takes."""
    file, failed = Path(module), scratch / "failed"
    original = file.read_bytes()
    file.write_text(source, encoding="utf-8")
    try:
        for _, tests in groupby(_quick_first(seen), _file):
            chosen = list(tests)
            failed.write_text("")
            run = _pytest([each.test for each in chosen], _Stopping(failed), scratch)
            if _in_fork(run, sum(each.seconds for each in chosen)):
                return failed.read_text() or "too slow, or no test begins"
    finally:
        file.write_bytes(original)
    return ""


def main() -> int:
    """The command; its exit status."""
    job = Job(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    scratch = Path(sys.argv[1]).parent / "scratch"
    scratch.mkdir()
    telling, nothing = os.dup(1), os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(2 if LOUD in os.environ else nothing, stream)

    def tell(module: str, name: str, by: str, *, last: bool = True) -> None:
        said = {"module": module, "mutant": name, "by": by, "last": last}
        os.write(telling, (json.dumps(said) + "\n").encode())

    survey = _survey(job, scratch)
    if survey.error:
        tell("", "", survey.error)
        return 1
    _load(survey.packages)
    left = []
    for module, mutants in job.modules.items():
        near = [each for each in survey.seen if module in each.lines]
        tried = set()
        for name, by in _in_functions(job, module, near, scratch) if near else ():
            tell(module, name, by, last=bool(by))
            tried.add(name)
            if not by:
                left.append((True, module, name, mutants[name][1]))
        left += [(False, module, name, source) for name, (_, source) in mutants.items() if name not in tried]
    for _, module, name, source in sorted(left, key=lambda each: each[0]):
        files = {_file(each) for each in survey.seen if module in each.lines}
        near = [each for each in survey.seen if _file(each) in files]
        others = [each for each in survey.seen if _file(each) not in files]
        tell(
            module,
            name,
            _from_the_start(module, source, near, scratch) or _from_the_start(module, source, others, scratch),
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
