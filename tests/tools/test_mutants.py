"""`make mutants`: what it tries and how, and that what tests/mutants.toml names is still there."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools.mutants import __main__ as mutants
from tools.mutants import reasons, trying
from tools.mutants.__main__ import JUSTIFIED, ROOT, Results
from tools.mutants.reasons import Mutant, Reason
from tools.mutants.trying import Job

MODULE = "host/anontrace/mixnet/relay.py"


@pytest.mark.parametrize(
    ("before", "after", "is_the_same"),
    [
        ("at = ID + NUMBER", "at = ID | NUMBER", True),
        ("at = ID + NUMBER", "at = ID - NUMBER", False),
        ("if a[ID + NUMBER :] == b:", "if a[ID ^ NUMBER :] == b:", True),
        ("if a[ID + NUMBER :] == b:", "if a[ID ^ NUMBER :] != b:", False),
        ("at = ID + length", "at = ID | length", False),
        ("before = 1", "before = 2", False),
        ("a = ID", "b = ID", False),
        ("return ID / NUMBER", "return ID % 0", False),
        ('raise Error(f"{ID + NUMBER} bytes")', 'raise Error(f"{ID ^ NUMBER} bytes")', True),
        ("x = (", "y = (", False),
    ],
)
def test_a_number_that_is_written_in_another_way_is_no_mutant(before: str, after: str, is_the_same: bool) -> None:
    assert reasons.is_the_same(Mutant(MODULE, 1, before, after), {"ID": 16, "NUMBER": 4}) == is_the_same


def test_a_survivor_without_a_reason_and_a_reason_without_a_survivor_are_told() -> None:
    survivor = Mutant(MODULE, 1, "a < b", "a <= b")
    fitting, other = Reason("a < b", "so", MODULE, "a <= b"), Reason("a < b", "so", after="a > b")
    assert reasons.unexplained([survivor], [Reason("a < b", "so")]) == []
    assert reasons.unexplained([survivor], [fitting]) == []
    assert reasons.unexplained([survivor], [other]) == [survivor]
    assert reasons.unexplained([survivor], [Reason("a < c", "so")]) == [survivor]
    assert reasons.for_nothing([survivor], [fitting], MODULE) == []
    assert reasons.for_nothing([], [fitting], MODULE) == [fitting]
    assert reasons.for_nothing([], [fitting], "another") == []
    assert reasons.for_nothing([], [other], MODULE) == []


def test_every_reason_is_for_a_line_that_is_there() -> None:
    for reason in reasons.reasons(JUSTIFIED.read_text(encoding="utf-8")):
        assert reason.why
        if reason.module:
            text = (ROOT / reason.module).read_text(encoding="utf-8")
            assert reason.line in [each.strip() for each in text.splitlines()]


def test_a_room_or_a_module_is_chosen() -> None:
    assert mutants.modules_of(MODULE) == {"mixnet": [MODULE]}
    assert mutants.modules_of("mixnet/relay") == mutants.modules_of("relay.py") == {"mixnet": [MODULE]}
    assert "host/anontrace/wire/look.py" in mutants.modules_of("wire")["wire"]
    assert list(mutants.modules_of("")) == list(mutants.ROOMS)
    assert mutants.modules_of("wire/look mixnet") == {
        "mixnet": mutants.modules_of("mixnet")["mixnet"], "wire": ["host/anontrace/wire/look.py"],
    }  # fmt: skip
    assert mutants.modules_of("nothing") == mutants.modules_of("wire nothing") == {}


def test_a_run_goes_on_where_another_was_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutants, "_BUILD", tmp_path)
    first = Results(MODULE, "these tests")
    first.add("killed", "a test")
    first.add("survived", "")
    (path,) = (tmp_path / "results").iterdir()
    with path.open("a") as file:
        file.write('{"name": "cut o')
    assert Results(MODULE, "these tests").known == {"killed": "a test", "survived": ""}
    assert Results(MODULE, "others").known == {"killed": "a test"}


@pytest.mark.parametrize("ignores", [signal.SIGUSR1, signal.SIGINT], ids=["ends when told", "has to be killed"])
def test_a_mutant_without_an_end_is_ended(ignores: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> int:
        signal.signal(ignores, signal.SIG_IGN)
        while True:
            time.sleep(1)

    monkeypatch.setattr(trying, "_SPARE_SECONDS", 0.1)
    monkeypatch.setattr(trying, "_ENDING_SECONDS", 0.1)
    assert trying._in_fork(run, 0.0) == 1


HALVES = """
from functools import cache

LARGEST = 100

def half(number: int) -> int:
    if number > LARGEST:
        raise ValueError
    return number // 2

@cache
def largest() -> int:
    return half(LARGEST)
"""
TESTS = """
import os, subprocess, sys
import pytest
from halves import half, largest

def test_half() -> None:
    assert half(6) == 3

def test_largest() -> None:
    assert largest() == 50

def test_in_a_process() -> None:
    if "halves" in os.environ:
        subprocess.run([sys.executable, "-c", "import halves; assert halves.half(100) == 50"], check=True)
"""
CHANGES = {
    "in a function": ("number // 2", "number * 2", "test_half"),
    "in one that is cached": ("return half(LARGEST)", "return half(LARGEST - 2)", "test_largest"),
    "not in a function": ("LARGEST = 100", "LARGEST = 99", "test_largest"),
    "in its head": ("number: int", "other: int", "test_half"),
    "no Python": ("LARGEST = 100", "LARGEST = = 100", "collecting"),
    "noticed by nobody": ("raise ValueError", "raise KeyError", None),
}


def test_each_mutant_is_tried_with_the_tests_that_pass_by_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, tests = tmp_path / "halves.py", tmp_path / "test_halves.py"
    module.write_text(HALVES)
    tests.write_text(TESTS)
    named = {
        name: (HALVES[: HALVES.index(before)].count("\n") + 1, HALVES.replace(before, after))
        for name, (before, after, _) in CHANGES.items()
    }
    job = tmp_path / "job.json"
    job.write_text(json.dumps(vars(Job({"halves.py": named}, ["test_halves.py"]))))
    environment = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "tools.mutants.trying", job],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    said = [json.loads(line) for line in done.stdout.splitlines()]
    by = {each["mutant"]: each["by"] for each in said if each["last"]}
    for name, (_, _, killer) in CHANGES.items():
        assert killer in by[name] if killer else by[name] == "", (name, by)
    assert [each["mutant"] for each in said if not each["last"]] == ["noticed by nobody"]
    assert module.read_text() == HALVES
