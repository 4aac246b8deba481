"""Variables of make: what a user writes reaches the tool as it was written; neither make nor a shell ever runs it."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tools import make

ROOT = Path(__file__).resolve().parents[2]
VARIABLES = sorted({name for _, _, variables in make.TARGETS.values() for name in variables} | {"PYTHON"})
HOSTILE = [
    "it's.csv",
    'two  words "quoted"',
    "$(shell touch {0})",
    "${{shell touch {0}}}$(error stop)",
    "`touch {0}`; touch {0}; $(touch {0}) & || touch {0} #",
    "-x --help",
    "$$HOME $HOME $@ \\",
    "a\ntouch {0}",
]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    # As if the environment were in place: what is tried here comes after it.
    command = ["make", "--no-print-directory", "-o", ".venv/.ready", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("where", ["command line", "environment"])
def test_every_variable_reaches_the_tools_as_it_was_written(tmp_path: Path, value: str, where: str) -> None:
    value = value.format(tmp_path / "ran")
    given = dict.fromkeys([*VARIABLES, "UNKNOWN"], value)
    show = "--eval=show: ; @env -0"
    done = (
        run(show, "show", *(f"{name}={text}" for name, text in given.items()))
        if where == "command line"
        else run(show, "show", **given)
    )
    assert done.returncode == 0, done.stderr
    exported = dict(line.split("=", 1) for line in done.stdout.split("\0") if "=" in line)
    assert {name: exported[make.PREFIX + name] for name in VARIABLES} == dict.fromkeys(VARIABLES, value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("target", sorted(make.TARGETS))
def test_no_target_runs_what_stands_in_its_variables(tmp_path: Path, target: str) -> None:
    value = f"$(shell touch {tmp_path}/make)`touch {tmp_path}/shell`'; touch {tmp_path}/quoted; '"
    _, _, variables = make.TARGETS[target]
    done = run(target, *(f"{name}={value}" for name in variables), ANONTRACE_STATE=str(tmp_path / "state"))
    assert done.returncode == 2
    assert re.search("^.*(error|anontrace[a-z-]*): ", done.stderr, re.MULTILINE) and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_value_that_begins_with_a_dash_is_no_option_and_an_empty_one_is_none() -> None:
    environment = {make.PREFIX + name: text for name, text in {"PORT": "--erase", "BOARD": "", "KEEP": "1"}.items()}
    assert make.arguments("update", environment) == ["update", "--port=--erase"]
    assert make.arguments("demo", environment) == ["--keep"]


def test_the_makefile_hands_over_every_variable_and_reads_none() -> None:
    text = (ROOT / "Makefile").read_text()
    (listed,) = re.findall(r"^override VARIABLES := ((?:.*\\\n)*.*)", text, re.MULTILINE)
    assert sorted(listed.replace("\\", "").split()) == VARIABLES
    for name in VARIABLES:
        assert not re.search(rf"\$[({{]{name}[)}}]", text), f"$({name}) would be expanded"
