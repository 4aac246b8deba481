"""`anontrace-server plan`: what servers so many wearers need, on paper."""

import dataclasses
import json
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from anontrace.backend.errors import ConfigError
from anontrace.backend.operating import planning
from anontrace.backend.operating.planning import Plan, PlanError, Wish
from anontrace.foreign.lines import line
from anontrace.wire.levels import LEVELS

_MAX_BENCH = 16 << 20  # bytes of a file of the benchmarks
_UNITS = ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
_EXAMPLES = """\b
Examples:
  anontrace-server plan --wearers 100e6 --level normal
  anontrace-server plan --wearers 1e6 --named 0.001 --colluding 5 --reports 2000 --bench build/bench.json --json"""
_DEFAULT = Wish(1, LEVELS["normal"])


@click.command(epilog=_EXAMPLES)
@click.option("--wearers", required=True, type=float, help="How many companions there are.")
@click.option("--level", default="normal", show_default=True, type=click.Choice(sorted(LEVELS)), help="Their traffic.")
@click.option(
    "--named", default=_DEFAULT.named, show_default=True,
    help="Largest share of those told of an hour's meeting whom nymserver and mailbox server may name together.",
)  # fmt: skip
@click.option("--colluding", default=_DEFAULT.colluding, show_default=True, help="Mixes that may be in one hand.")
@click.option(
    "--path-risk", default=_DEFAULT.path_risk, show_default=True, help="Largest share of paths through these alone."
)
@click.option("--mix-cores", default=_DEFAULT.mix_cores, show_default=True, help="Cores of one mix's machines.")
@click.option("--reports", default=0.0, help="Logs handed in on a bad day; of 1,000 wearers one if not set.")
@click.option("--exposures", default=_DEFAULT.exposures, show_default=True, help="Addresses notified for each of them.")
@click.option("--peak", default=_DEFAULT.peak, show_default=True, help="A busy hour to the mean one.")
@click.option(
    "--bench",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Figures of `make bench`, not the project's.",
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def plan(
    wearers: float, level: str, named: float, colluding: int, path_risk: float,
    mix_cores: float, reports: float, exposures: float,
    peak: float, bench: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Plan the servers of a country: cores, memory, disks and bytes a second of each role, how many mixes and with
    which delay.

    The formula and what it leaves out stand in docs/performance.md.
    """
    wish = Wish(
        wearers, LEVELS[level], named, colluding, path_risk, mix_cores, reports or wearers / 1000, exposures, peak
    )
    try:
        made = planning.plan(wish, planning.FIGURES if bench is None else planning.measured(_read(bench)))
    except PlanError as error:
        raise ConfigError(str(error)) from None
    if as_json:
        click.echo(json.dumps(_as_json(wish, made), indent=1))
    else:
        _show(wish, made)


def _read(path: Path) -> dict[str, object]:
    try:
        if path.stat().st_size > _MAX_BENCH:
            raise PlanError(f"{path}: this is no file of `make bench`: it is too large")
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise PlanError(f"{path}: {error.strerror}") from None
    except ValueError:
        raise PlanError(f"{path}: this is no file of `make bench`: it is no JSON") from None
    if not isinstance(found, dict):
        raise PlanError(f"{path}: this is no file of `make bench`")
    return found


def _as_json(wish: Wish, made: Plan) -> dict[str, object]:
    asked = dataclasses.asdict(wish) | {"level": wish.level.name}
    return {"asked": asked, **dataclasses.asdict(made)}


def _show(wish: Wish, made: Plan) -> None:
    console = Console()
    table = Table("", "cores", "memory", "disks", "in a second", "out a second", "cores, bad day")
    for column in table.columns[1:]:
        column.justify = "right"
    for each in made.needs:
        sizes = (each.memory, each.disk, each.bytes_in, each.bytes_out)
        table.add_row(each.role, f"{each.cores:,.1f}", *map(_size, sizes), f"+{each.cores_bad_day:,.1f}")
    console.print(table)
    console.print(
        f"{wish.wearers:,.0f} wearers at level {wish.level.name}, in a busy hour: {made.hops_a_second:,.0f}"
        f" hops, {made.swaps_a_second:,.0f} swaps and {made.looks_a_second:,.0f} looks a second.",
        f"{made.mixes} mixes: with {wish.colluding} in one hand, {made.path_share:.2g} of all paths are theirs alone.",
        f"Each holds messages for {made.delay} s (`delay`), up to {made.queue_limit:,} of them (`queue_limit`).",
        f"So nymserver and mailbox server together name {made.named:.2g} of those told of an hour's meeting.",
        f"Bad day: {wish.reports:,.0f} logs with {wish.exposures:,.0f} exposures each, told within ten hours.",
        sep="\n", highlight=False,
    )  # fmt: skip
    figures = Table("figure used", "", "", "from")
    for figure in made.figures.values():
        figures.add_row(figure.label, f"{figure.value:,.4g}", figure.unit, line(figure.source))
    console.print(figures)


def _size(number: float) -> str:
    """Bytes in the largest unit that leaves something before the point."""
    for size, unit in _UNITS:
        if number >= size:
            return f"{number / size:,.1f} {unit}"
    return f"{number:,.0f} B"
