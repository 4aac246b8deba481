"""The command line of simulated epidemics, `anontrace-sim`. Never shows a traceback unasked."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
from anontrace_shared.errors import AnontraceError

from anontrace import streams
from anontrace.foreign.lines import line

from .contacts.files import ContactsError
from .errors import EpidemicError
from .scenario import NOTHING, Scenario, checked, strategies

if TYPE_CHECKING:
    from .experiments import Part

_DEFAULT_STRATEGIES = "nothing,manual,1,1-off,2,2-off"
_MAX_SEEDS, _MAX_WORKERS = 1000, 256
_EXAMPLES = """\b
Examples:
  anontrace-sim run --people 1e5 --days 100 --seeds 5 --r 2 --strategies nothing,1,2,2-off
  anontrace-sim run --contacts list.csv.gz --seeds 20 --wearers 1 --set imports=100
  anontrace-sim run --disease mine.toml --minutes 30 --limit 5000 --json
  anontrace-sim parameters"""

_output = click.option(
    "--output", type=click.Path(file_okay=False, path_type=Path), default=Path("build/epidemic"), show_default=True,
    help="Folder for CSV and plots.",
)  # fmt: skip
_workers = click.option(
    "--workers", type=click.IntRange(1, _MAX_WORKERS), default=None, help="Processes; one a core if not set."
)
_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
_disease = click.option(
    "--disease", default="sars-cov-2", show_default=True, help="A disease that comes with the program, or a TOML file."
)
_contacts = click.option(
    "--contacts", type=click.Path(dir_okay=False, path_type=Path), help="A recorded contact list (SocioPatterns)."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EXAMPLES)
@click.option("--debug", is_flag=True, help="Show tracebacks and details.")
@click.version_option(package_name="anontrace")
def group(debug: bool) -> None:
    """Simulate an epidemic, and what telling people does to it: the servers' and companions' own code decides who is
    told. docs/epidemic.md explains the model."""


@group.command()
@_disease
@_contacts
@click.option("--people", type=float, help="How many, if no list is given.")
@click.option("--days", type=int, help="How long.")
@click.option(
    "--seeds", type=click.IntRange(1, _MAX_SEEDS), default=5, show_default=True, help="Runs of each strategy."
)
@click.option("--r", type=float, help="Whom one infects, none being immune; the disease's own if not set.")
@click.option("--wearers", type=float, help="Share of people with a badge.")
@click.option(
    "--strategies", "named", default=_DEFAULT_STRATEGIES, show_default=True,
    help="nothing, manual, or depths of chains; -off: no limit over all cases; -low, -high: the companions' level.",
)  # fmt: skip
@click.option("--minutes", type=int, help="The rule: told from there on.")
@click.option("--attenuation", type=int, help="The rule: dB at most.")
@click.option("--limit", type=int, help="Notifications a day over all cases, instead of the nymserver's default.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Any other parameter of the scenario.")
@_workers
@_output
@_json
def run(
    disease: str, contacts: Path | None, people: float | None, days: int | None, seeds: int, r: float | None,
    wearers: float | None, named: str, minutes: int | None, attenuation: int | None, limit: int | None,
    settings: Sequence[str], workers: int | None, output: Path, as_json: bool,
) -> None:  # fmt: skip
    """Compare strategies; the first should be `nothing`, which infections averted are counted against."""
    from . import disease as diseases
    from .experiments import Part

    given = _settings(settings) | _given(days=days, r=r, wearers=wearers)
    if people is not None:
        if contacts is not None:
            raise EpidemicError("--people is for made people; a contact list has its own")
        given["people"] = people
    scenario = checked(Scenario, given)
    common = _given(minutes=minutes, attenuation=attenuation, limit=limit)
    chosen = strategies([each for each in named.split(",") if each.strip()], **common)
    if len({each.name for each in chosen}) != len(chosen) or not chosen:
        raise EpidemicError("strategies: name at least one, and each once")
    part = Part(
        "run", "Compared", diseases.read(disease), scenario, tuple(chosen), tuple(range(1, seeds + 1)), contacts
    )
    _perform([part], workers, output, as_json)


@group.command()
@_disease
@_contacts
@click.option("--seeds", type=click.IntRange(1, _MAX_SEEDS), help="Runs of each strategy, instead of the usual number.")
@_workers
@_output
@_json
def standard(
    disease: str, contacts: Path | None, seeds: int | None, workers: int | None, output: Path, as_json: bool
) -> None:
    """The standard set, whose figures docs/epidemic.md shows: `make simulate`."""
    from . import disease as diseases
    from . import standard as sets

    _perform(sets.parts(diseases.read(disease), contacts, seeds), workers, output, as_json)


@group.command()
@_json
def parameters(as_json: bool) -> None:
    """All parameters of a scenario with their values, and the diseases that come with the program."""
    from . import disease as diseases

    values = Scenario().model_dump()
    if as_json:
        click.echo(json.dumps({"diseases": diseases.shipped(), "scenario": values}))
        return
    click.echo(f"diseases: {', '.join(diseases.shipped())}")
    for name, value in values.items():
        click.echo(f"{name} = {'the disease decides' if value is None else value}")


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _settings(settings: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in settings:
        name, is_set, value = each.partition("=")
        name = name.strip().replace("-", "_")
        if not is_set or name not in Scenario.model_fields:
            raise EpidemicError(
                f"--set {line(each)[:60]!r}: write NAME=VALUE; `anontrace-sim parameters` has the names"
            )
        found[name] = value.strip()
    return found


def _perform(parts: Sequence["Part"], workers: int | None, output: Path, as_json: bool) -> None:
    """Run all, show and write what comes of it; exit status 130 if somebody interrupts."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from . import experiments, plots, showing, summary

    console = Console(highlight=False, stderr=as_json)
    findings = {part.name: summary.Findings(part) for part in parts}
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), console=console
    )
    is_whole = True
    try:
        wanted = experiments.tasks(parts)
        output.mkdir(parents=True, exist_ok=True)
        with (output / "runs.csv").open("w", newline="") as file, bar:
            runs = summary.RunsFile(file)
            total = sum(part.runs * part.scenario.days for part in parts)
            shown = bar.add_task(f"{len(wanted)} epidemics", total=total)
            for task, result in experiments.run(
                wanted, workers or os.cpu_count() or 1, lambda days: bar.update(shown, completed=days)
            ):
                findings[task.part.name].add(task, result)
                runs.add(task, result)
    except KeyboardInterrupt:
        is_whole = False
    there = [each for each in findings.values() if each.results]
    document = summary.document(there, is_whole)
    if there:
        summary.write_days(output / "days.csv", there)
        (output / "summary.json").write_text(json.dumps(document))
        written = [path for each in there for path in plots.draw(output, each)]
        if not as_json:
            for each in there:
                console.print(*showing.tables(each))
            console.print(f"written: runs.csv, days.csv, summary.json and {len(written)} plots in {line(str(output))}")
    if as_json:
        click.echo(json.dumps(document))
    if not any(NOTHING in part.strategies for part in parts) and not as_json:
        console.print("without the strategy `nothing` there is nothing to count averted infections against")
    if not is_whole:
        done, of = sum(each.number for each in there), sum(part.runs for part in parts)
        click.echo(f"interrupted: this is partial, of {done} of {of} epidemics", err=True)
        sys.exit(130)


def main() -> None:
    """Entry point: errors are one line on standard error; exit status 1, or 2 for a command line that is not right."""
    streams.prepare()
    debug = "--debug" in sys.argv
    try:
        group.main(prog_name="anontrace-sim", standalone_mode=False)
    except click.ClickException as error:
        if isinstance(error, click.exceptions.NoArgsIsHelpError):
            error.show()
            sys.exit(error.exit_code)
        hint = ""
        if isinstance(error, click.UsageError) and error.ctx is not None:
            hint = f"; see {error.ctx.command_path} --help"
        _fail(error.format_message().rstrip(".") + hint, error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted", 130)
    except ModuleNotFoundError as error:
        if debug or error.name not in ("numpy", "matplotlib"):
            raise
        _fail(f"{error.name} is not installed; run: pip install 'anontrace[sim]'", 1)
    except MemoryError:
        _fail("there is not enough memory: give fewer people with --people, or --workers 1", 1)
    except BrokenPipeError:
        streams.abandon()
        sys.exit(1)
    except streams.OutputError as error:
        streams.abandon()
        _fail(str(error), 1)
    except (AnontraceError, ContactsError, OSError) as error:
        if debug:
            raise
        _fail(str(error), 1)


def _fail(message: str, status: int) -> NoReturn:
    click.echo(f"anontrace-sim: {line(' '.join(message.split()))}", err=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
