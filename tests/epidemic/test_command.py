"""`anontrace-sim`: what it writes, and what it says of bad input, interruptions and full disks."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from anontrace.epidemic import cli, experiments, listed
from anontrace.epidemic.running import Result

USUAL = ("run", "--people", "300", "--days", "12", "--seeds", "2", "--workers", "1", "--strategies", "nothing,1")


def called(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["anontrace-sim", *arguments])
    monkeypatch.setattr(cli.streams, "prepare", lambda: None)
    try:
        cli.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_a_run_writes_csv_plots_and_json_without_a_display(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setenv("MPLBACKEND", "TkAgg")
    assert called(monkeypatch, *USUAL, "--output", str(tmp_path / "made" / "here"), "--json") == 0
    document = json.loads(capsys.readouterr().out)
    folder = tmp_path / "made" / "here"
    assert document["whole"] and document == json.loads((folder / "summary.json").read_text())
    assert [each["strategy"] for each in document["parts"][0]["strategies"]] == ["nothing", "chain 1"]
    with (folder / "runs.csv").open() as file:
        assert [(row["strategy"], row["seed"]) for row in csv.DictReader(file)] == [
            ("nothing", "1"), ("chain 1", "1"), ("nothing", "2"), ("chain 1", "2"),
        ]  # fmt: skip
    with (folder / "days.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 2 * 12
    plots = sorted(folder.glob("*.png"))
    assert [path.name for path in plots] == ["run-days.png", "run-outcome.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in plots)


def test_who_interrupts_keeps_what_is_done_and_is_told_that_it_is_partial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done: list[Result] = []
    really = experiments.running.run

    def interrupted(*arguments: Any) -> Result:
        if len(done) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        done.append(really(*arguments))
        return done[-1]

    monkeypatch.setattr(experiments.running, "run", interrupted)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as for a program that was just started
    assert called(monkeypatch, *USUAL, "--output", str(tmp_path)) == 130
    said = capsys.readouterr()
    assert "partial, of 3 of 4 epidemics" in said.err and "partial: 3 of 4 runs" in " ".join(said.out.split())
    assert len((tmp_path / "runs.csv").read_text().splitlines()) == 1 + 3
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert not summary["whole"] and not summary["parts"][0]["whole"] and summary["parts"][0]["runs"] == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--wearers", "1.5"], "wearers: input should be less than or equal to 1"),
        (["--people", "1e9"], "people: input should be less than or equal to 2000000"),
        (["--people", "1000.5"], "people: "),
        (["--strategies", "nothing,deep"], "strategy 'deep'"),
        (["--strategies", "1,1"], "each once"),
        (["--strategies", ","], "at least one"),
        (["--set", "colour=red"], "NAME=VALUE"),
        (["--set", "tested=\x1b[31m"], "tested: input should be a valid number"),
        (["--minutes", "0"], "minutes: "),
        (["--limit", "-1"], "limit"),
        (["--disease", "no-such"], "cannot be read"),
        (["--contacts", "{list}"], "--people is for made people"),
        (["--output", "{list}"], "list.csv"),
        (["--workers", "0"], "--workers"),
    ],
)
def test_bad_input_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    arguments: list[str], said: str,
) -> None:  # fmt: skip
    wrong = tmp_path / "list.csv"
    wrong.write_text("this,is,no\ncontact,list,at all\n")
    given = [each.format(list=wrong) for each in arguments]
    assert called(monkeypatch, *USUAL, "--output", str(tmp_path / "out"), *given) in (1, 2)
    error = capsys.readouterr().err.strip()
    assert said in error and error.count("\n") == 0 and "Traceback" not in error and "\x1b" not in error


def test_a_contact_list_that_is_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, content in (("no.csv", "this,is,no\ncontact,list,at all\n"), ("empty.csv", ""), ("none.csv", None)):
        if content is not None:
            (tmp_path / name).write_text(content)
        output = tmp_path / "out"
        assert called(monkeypatch, "run", "--contacts", str(tmp_path / name), "--output", str(output)) == 1
        error = capsys.readouterr().err.strip()
        assert name in error and error.count("\n") == 0 and not output.exists()
    (tmp_path / "list.csv").write_text("t,i,j\n20,1,2\n40,2,3\n")
    monkeypatch.setattr(listed, "MAX_PEOPLE", 2)
    assert called(monkeypatch, "run", "--contacts", str(tmp_path / "list.csv"), "--output", str(output)) == 1
    assert "3 people, and a simulation takes 2" in capsys.readouterr().err


def test_what_is_not_installed_is_named() -> None:
    program = "import sys; sys.modules['numpy'] = None; from anontrace.epidemic import cli; cli.main()"
    done = subprocess.run([sys.executable, "-c", program, *USUAL], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "anontrace-sim: numpy is not installed; run: pip install 'anontrace[sim]'\n"


def test_a_full_disk_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    (tmp_path / "runs.csv").symlink_to("/dev/full")
    assert called(monkeypatch, *USUAL, "--output", str(tmp_path)) == 1
    assert "No space left" in capsys.readouterr().err


def test_parameters_are_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert called(monkeypatch, "parameters", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["diseases"] == ["sars-cov-2"] and document["scenario"]["wearers"] == 0.6
