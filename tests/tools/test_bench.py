"""`make bench`: finds the benchmarks, writes what they measured, fails when a limit is exceeded. Measures nothing."""

import json
from pathlib import Path

import pytest

from tools.bench import __main__ as bench
from tools.bench.report import Report


def report(value: float) -> Report:
    made = Report("A benchmark")
    made.add("ratio", "one to the other", value, "")
    made.add("time", "time", 1234.5, "us")
    made.remark("Of this machine.")
    made.limit("ratio", 0.6)
    return made


def test_every_benchmark_is_found() -> None:
    assert {"crowd", "looks", "peers", "presets", "primitives", "pull", "registration", "unwrap"} <= set(
        bench.discover()
    )


@pytest.mark.parametrize(("value", "code"), [(0.6, 0), (0.61, 1)])
def test_figures_are_written_and_a_limit_exceeded_fails(
    value: float, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "discover", lambda: {"one": lambda: report(value), "other": lambda: report(0.1)})
    output = tmp_path / "build" / "bench.json"
    assert bench.main(["--only", "one", "--output", str(output)]) == code
    written = json.loads(output.read_text())
    assert set(written["benches"]) == {"one"}
    assert written["benches"]["one"]["figures"]["ratio"] == {"value": value, "unit": ""}
    assert bool(written["benches"]["one"]["failures"]) == bool(code)
    printed = capsys.readouterr().out
    assert "one (1 of 1): seconds ..." in printed and "Took 0 s." in printed
    assert "1,234 us" in printed and "Of this machine." in printed and ("FAILED" in printed) == bool(code)
    assert bench.main(["--output", str(output)]) == code
    assert set(json.loads(output.read_text())["benches"]) == {"one", "other"}


def test_a_benchmark_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        bench.main(["--only", "nothing"])
    assert "invalid choice" in capsys.readouterr().err


def test_a_figure_has_one_name() -> None:
    made = report(0.1)
    with pytest.raises(ValueError, match="ratio already"):
        made.add("ratio", "again", 1.0, "")
    assert made["time"] == 1234.5
