"""`anontrace-server authority queue` and `limit`: the limit on notifications a day, over all cases."""

from pathlib import Path
from typing import Any

import click

from anontrace import streams
from anontrace.foreign.lines import json_line

from .desk import Desk
from .options import example, options, shown, when

_SECONDS_A_DAY = 86400


@click.command(epilog=example("anontrace-server authority queue", "anontrace-server authority queue --json"))
@options
def queue(folder: Path, as_json: bool) -> None:
    """Show what waits for a day with room, in order of risk; the limit over all cases; and whether chains grow."""
    found = Desk.signed_in(folder).ask("GET", "limit")
    if as_json:
        click.echo(json_line(found))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Column, Table

    console = Console()
    for said in _said(found):
        console.print(shown(said))
    if found["queue"]:
        names = ("first", "report", "disease", "gen.", "waiting", "risk", "until (UTC)")
        table = Table(*(Column(name, no_wrap=True) for name in names), box=box.SIMPLE)
        for each in found["queue"]:
            table.add_row(
                str(each["first"]),
                shown(each["report"]),
                shown(each["disease"]),
                str(each["generation"]),
                str(each["number"]),
                f"{each['highest_risk']} to {each['lowest_risk']}",
                when(each["last_day"] * _SECONDS_A_DAY)[:10],
            )
        console.print(table)


def _said(found: dict[str, Any]) -> list[str]:
    """The standing in words."""
    day = when(found["day"] * _SECONDS_A_DAY)[:10]
    lines = [
        f"{day} (UTC): {found['used']} of {found['a_day']} notifications let through, {found['waiting']} wait",
        _limit(found),
    ]
    if found["told"]:
        told = ", ".join(f"{number} of generation {generation}" for generation, number in found["told"].items())
        lines.append(f"Told in cases of the last seven days: {told}")
    lines += [
        f"ALARM: generation {each['generation']} was told {each['times']:.1f} times as often as the one before;"
        f" {found['growth']:.1f} is set"
        for each in found["alarms"]
    ]
    return lines


def _limit(found: dict[str, Any]) -> str:
    """Where the limit comes from."""
    if found["settings"]["a_day"] is not None:
        source = "as the health authority has set it"
    elif found["wearers"] is None:
        source = "the default, since nothing is known of the number of wearers yet"
    else:
        source = f"the default for some {found['wearers']} wearers"
    most = "" if found["ceiling"] is None else f"; the nymserver's operator allows {found['ceiling']} at most"
    return f"The limit: {found['a_day']} a day, {source}{most}"


def _a_day(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | str | None:
    if value is None or value == "default":
        return value
    if not value.isascii() or not value.isdigit() or int(value) > 10**9:
        raise click.BadParameter("how many notifications a day, from 0 to 1000000000, or: default")
    return int(value)


def _growth(_context: click.Context, _parameter: click.Parameter, value: str | None) -> float | str | None:
    if value is None or value == "default":
        return value
    try:
        factor = float(value)
    except ValueError:
        factor = 0.0
    if not 0 < factor <= 1000:
        raise click.BadParameter("how many times the generation before, above 0 and up to 1000, or: default")
    return factor


@click.command(
    epilog=example(
        "anontrace-server authority limit --a-day 500",
        "anontrace-server authority limit --a-day default --growth 1.5",
    )
)
@click.option("--a-day", callback=_a_day, metavar="N", help="Most notifications a day (UTC) of all cases; or default.")
@click.option("--growth", callback=_growth, metavar="TIMES",
              help="Alarm when a generation is told so many times as often as the one before; or default.")  # fmt: skip
@options
def limit(a_day: int | str | None, growth: float | str | None, folder: Path, as_json: bool) -> None:
    """Set the limit over all cases. What is over waits; it takes no notification back. What is not named stays."""
    if a_day is None and growth is None:
        raise click.UsageError("name what to set: --a-day, --growth or both; `authority queue` shows what holds")
    staff = Desk.signed_in(folder)
    settings = staff.ask("GET", "limit")["settings"]
    for name, value in (("a_day", a_day), ("growth", growth)):
        if value is not None:
            settings[name] = None if value == "default" else value
    found = staff.ask("POST", "limit", settings)
    with streams.once("the limit is set all the same"):
        if as_json:
            click.echo(json_line(found))
        else:
            for said in _said(found):
                click.echo(said)
