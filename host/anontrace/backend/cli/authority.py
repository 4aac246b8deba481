"""`anontrace-server authority`: what the health authority's staff do. Talks to the running server of their folder."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
import httpx

from anontrace.backend import config, keyfiles
from anontrace.backend.errors import PeerError
from anontrace.backend.http import reason_in

from .nearby import Place

_F = TypeVar("_F", bound=Callable[..., Any])
_SECONDS_A_DAY = 86400


@dataclass(frozen=True, slots=True)
class _Staff:
    """The authority's server, as its staff reach it."""

    place: Place
    headers: dict[str, str]

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The JSON answer. PeerError, with the server's reason, if it is another one."""
        try:
            answer = self.place.request(method, f"/v1/staff/{path}", 30, json=body, headers=self.headers)
        except httpx.HTTPError as error:
            kind = type(error).__name__
            raise PeerError(f"{self.place.url}: the authority's server does not answer ({kind})") from None
        if not answer.is_success:
            raise PeerError(reason_in(answer.content) or f"the authority's server answers {answer.status_code}")
        return answer.json()


def _options(command: _F) -> _F:
    as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
    folder = click.option(
        "--config",
        "folder",
        default="authority",
        show_default=True,
        type=click.Path(file_okay=False, path_type=Path),
        help="Folder of the authority's server.",
    )
    return as_json(folder(command))


def _staff(folder: Path) -> _Staff:
    token = keyfiles.read(folder, keyfiles.STAFF).hex()
    return _Staff(Place.of(config.load(folder)), {"Authorization": f"Bearer {token}"})


@click.group()
def authority() -> None:
    """Issue one-time tokens; look at reports; approve or refuse them; take back what was approved."""


@authority.command()
@click.option("--disease", required=True, help="Disease code, such as U07.1.")
@_options
def issue(disease: str, folder: Path, as_json: bool) -> None:
    """Issue a one-time token for a patient. It is shown this once."""
    issued = _staff(folder).ask("POST", "tokens", {"disease": disease})
    if as_json:
        click.echo(json.dumps(issued))
    else:
        click.echo(issued["token"])
        click.echo(f"for {issued['disease']}, until {_when(issued['expires'])} UTC", err=True)


@authority.command()
@_options
def reports(folder: Path, as_json: bool) -> None:
    """List all reports."""
    answer = _staff(folder).ask("GET", "reports")
    if as_json:
        click.echo(json.dumps(answer))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Column, Table

    names = ("report", "gen.", "disease", "received (UTC)", "state")
    table = Table(*(Column(name, no_wrap=True) for name in names), "exposures", box=box.SIMPLE)
    for each in answer["reports"]:
        table.add_row(
            each["report"],
            str(each["generation"]),
            each["disease"],
            _when(each["received"]),
            each["state"],
            str(len(each["exposures"])),
        )
    Console().print(table)


@authority.command()
@click.argument("report")
@_options
def show(report: str, folder: Path, as_json: bool) -> None:
    """Show the exposure figures of REPORT. An exposure is one contact address in one slot of five minutes."""
    found = _staff(folder).ask("GET", f"reports/{report}")
    if as_json:
        click.echo(json.dumps(found))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(f"report {found['report']} of case {found['case']}: {found['state']}")
    console.print(f"{found['disease']}, generation {found['generation']}, received {_when(found['received'])} UTC")
    log = found["log"]
    console.print(
        f"records: {log['records']} in {log['blocks']} slots, {log['broken']} broken, {log['misdated']} misdated, "
        f"{log['unregistered']} not registered; unreadable parts: {log['damaged']}"
    )
    table = Table("id", "day", "minutes", "attenuation dB", "verified", box=box.SIMPLE)
    for each in found["exposures"]:
        day = _when(each["day"] * _SECONDS_A_DAY)[:10]
        verified = "yes" if each["verified"] else "no"
        table.add_row(str(each["id"]), day, f"{each['minutes']:.2f}", str(each["attenuation"]), verified)
    console.print(table)


@authority.command()
@click.argument("report")
@click.option("--minutes", required=True, type=click.IntRange(0, 65535), help="Rule: tell who was near this long.")
@click.option("--attenuation", type=click.IntRange(0, 255), metavar="DB", help="Only contacts at most this far off.")
@click.option("--depth", type=click.IntRange(1, 255), help="Deepest generation to be told. [new case: 1]")
@click.option("--budget", type=click.IntRange(0), help="Most notifications of this report.")
@click.option("--case-budget", type=click.IntRange(0), help="Most notifications of the whole case.")
@click.option("--day-budget", type=click.IntRange(0), help="Most notifications of the whole case on one day (UTC).")
@click.option("--exposure", "exposures", type=int, multiple=True, metavar="ID", help="Only this one. May be repeated.")
@click.option("--message", default="", help="For the contacts, up to 58 bytes.")
@_options
def approve(
    report: str,
    minutes: int,
    attenuation: int | None,
    depth: int | None,
    budget: int | None,
    case_budget: int | None,
    day_budget: int | None,
    exposures: tuple[int, ...],
    message: str,
    folder: Path,
    as_json: bool,
) -> None:
    """Have the contacts of REPORT notified."""
    decision = {
        "approve": True,
        "exposures": list(exposures) or "all",
        "minutes": minutes,
        "attenuation": attenuation,
        "depth": depth,
        "budget": budget,
        "case_budget": case_budget,
        "day_budget": day_budget,
        "message": message,
    }
    answer = _staff(folder).ask("POST", f"reports/{report}/decision", decision)
    click.echo(json.dumps(answer) if as_json else f"approved: {answer['notifications']} notifications are on their way")


@authority.command()
@click.argument("report")
@_options
def refuse(report: str, folder: Path, as_json: bool) -> None:
    """Notify nobody of REPORT."""
    answer = _staff(folder).ask("POST", f"reports/{report}/decision", {"approve": False})
    click.echo(json.dumps(answer) if as_json else "refused: nobody is notified")


@authority.command()
@click.argument("report")
@click.option("--message", default="", help="For the contacts, up to 58 bytes.")
@_options
def retract(report: str, message: str, folder: Path, as_json: bool) -> None:
    """Take back REPORT: everybody who was notified of it is told so. A patient's own report ends its case."""
    answer = _staff(folder).ask("POST", f"reports/{report}/retraction", {"message": message})
    click.echo(json.dumps(answer) if as_json else f"retracted: {answer['notifications']} messages are on their way")


def _when(unix: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(unix))
