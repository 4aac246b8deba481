"""Runs the benchmarks, prints their tables and writes build/bench.json: `python -m tools.bench [--only NAME ...]`.

A benchmark is a module in this folder with a function `run()` that returns a Report. Exits 1 if a limit is exceeded.
"""

import argparse
import importlib
import json
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tools.bench.report import Figure, Report

HERE = Path(__file__).parent
LONG = {
    "country": "two minutes",
    "http_servers": "two minutes",
    "load": "a minute",
    "looks": "minutes",
    "meetings": "a minute",
    "peers": "minutes",
    "privacy": "minutes",
    "servers": "minutes",
    "stores": "minutes",
    "workers": "minutes",
}
OUTPUT = HERE.parent.parent / "build" / "bench.json"


def discover() -> dict[str, Callable[[], Report]]:
    """Every benchmark by its name."""
    found: dict[str, Callable[[], Report]] = {}
    for path in sorted(HERE.glob("*.py")):
        if path.stem.startswith("__"):
            continue
        run = getattr(importlib.import_module(f"tools.bench.{path.stem}"), "run", None)
        if run is not None:
            found[path.stem] = run
    return found


def show(report: Report, console: Console) -> None:
    """Print a report as a table with what is to be said about it."""
    plain = [row for row in report.rows if len(row[1]) == 1]
    for headings, rows in ((("",), plain), (report.columns, [row for row in report.rows if len(row[1]) > 1])):
        if rows:
            table = Table(report.title, *headings)
            for column in table.columns[1:]:
                column.justify = "right"
            for label, figures in rows:
                table.add_row(label, *(_shown(figure) for figure in figures))
            console.print(table)
    for remark in report.remarks:
        console.print(remark, highlight=False)
    for failure in report.failures:
        console.print(f"FAILED {failure}", style="bold red", highlight=False)
    console.print()


def _shown(figure: Figure) -> str:
    value = figure.value
    plain = f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.4g}"
    return f"{plain} {figure.unit}".rstrip()


def as_json(reports: dict[str, Report]) -> dict[str, object]:
    """What is written to the file."""
    return {
        "machine": {
            "system": platform.platform(),
            "processor": platform.machine(),
            "python": platform.python_version(),
        },
        "benches": {
            name: {
                "title": report.title,
                "figures": {figure.name: {"value": figure.value, "unit": figure.unit} for figure in report.figures},
                "remarks": report.remarks,
                "failures": report.failures,
            }
            for name, report in reports.items()
        },
    }


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit status."""
    benches = discover()
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", action="append", choices=sorted(benches), metavar="NAME", help=", ".join(benches))
    parser.add_argument("--output", type=Path, default=OUTPUT, help="where the figures go as JSON (build/bench.json)")
    options = parser.parse_args(arguments)
    console = Console()
    reports: dict[str, Report] = {}
    chosen = options.only or list(benches)
    for number, name in enumerate(chosen, 1):
        about = f"{name} ({number} of {len(chosen)})"
        console.print(f"{about}: {LONG.get(name, 'seconds')} ...", style="dim", highlight=False)
        start = time.monotonic()
        with console.status(about):  # a sign of life where the output is a terminal
            reports[name] = benches[name]()
        reports[name].remark(f"Took {time.monotonic() - start:.0f} s.")
        show(reports[name], console)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(as_json(reports), indent=2) + "\n")
    console.print(f"Figures: {options.output}", highlight=False)
    return 1 if any(report.failures for report in reports.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
