"""`anontrace-server authority`: what the health authority's staff do. Talks to the running server of their folder."""

import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
import httpx

from anontrace import streams
from anontrace.backend import config
from anontrace.backend.errors import ConfigError, PeerError
from anontrace.backend.keys import keyfiles
from anontrace.backend.operating.nearby import Place
from anontrace.backend.web.http import reason_in, silence_in
from anontrace.foreign.lines import json_line, line

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
            why = silence_in(error)
            raise PeerError(f"{self.place.where}: the authority's server does not answer ({why})") from None
        if not answer.is_success:
            raise PeerError(reason_in(answer.content) or f"the authority's server answers {answer.status_code}")
        try:
            return answer.json()
        except (ValueError, RecursionError):
            raise PeerError(f"{self.place.where}: this is no authority's server") from None


def _text(context: click.Context, parameter: click.Parameter, typed: str) -> str:
    """What was typed, as UTF-8 whatever the locale."""
    try:
        return os.fsencode(typed).decode()
    except UnicodeError:
        raise click.BadParameter("this is no text in UTF-8") from None


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
    for name in (config.FILE, keyfiles.STAFF):
        if not (folder / name).exists():
            raise ConfigError(f"{folder / name}: no such file; name the folder of the authority's server by --config")
    token = keyfiles.read(folder, keyfiles.STAFF).hex()
    return _Staff(Place.for_staff(config.load(folder)), {"Authorization": f"Bearer {token}"})


def _report(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    report = value.strip().lower()
    if not re.fullmatch("[0-9a-f]{16}", report, re.ASCII):
        raise click.BadParameter("a report is named by 16 hex digits, as `authority reports` lists them")
    return report


_REPORT = click.argument("report", callback=_report)
_yes = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")


def _confirm(question: Callable[[], str], settled: bool) -> None:
    """Ask before what cannot be undone, if somebody sits at a terminal. click.Abort unless it is confirmed."""
    if not settled and sys.stdin.isatty():
        click.confirm(line(question()), abort=True, err=True)


def _example(*lines: str) -> str:
    """The last lines of a command's help."""
    return "\n".join(("\b", "Example:" if len(lines) == 1 else "Examples:", *(f"  {line}" for line in lines)))


@click.group()
def authority() -> None:
    """Issue one-time tokens; look at reports; approve or refuse them; take back what was approved."""


@authority.command(epilog=_example("anontrace-server authority issue --disease U07.1"))
@click.option("--disease", required=True, metavar="CODE", help="Disease code of ICD-10, such as U07.1.",
              callback=_text)  # fmt: skip
@_options
def issue(disease: str, folder: Path, as_json: bool) -> None:
    """Issue a one-time token for a patient. It is shown this once."""
    staff = _staff(folder)
    streams.check_kept("a token is shown once only, so none was issued")
    issued = staff.ask("POST", "tokens", {"disease": disease.strip().upper()})
    with streams.once("the token that was issued is lost: issue another one"):
        click.echo(json_line(issued) if as_json else line(issued["token"]))
    if not as_json:
        click.echo(line(f"for {issued['disease']}, until {_when(issued['expires'])} UTC"), err=True)


@authority.command(
    epilog=_example("anontrace-server authority reports --pending", "anontrace-server authority reports --json")
)
@click.option("--pending", is_flag=True, help="Only those that wait for a decision.")
@_options
def reports(pending: bool, folder: Path, as_json: bool) -> None:
    """List the reports, oldest first."""
    answer = _staff(folder).ask("GET", "reports")
    if pending:
        answer["reports"] = [each for each in answer["reports"] if each["state"] == "pending"]
    if as_json:
        click.echo(json_line(answer))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Column, Table

    names = ("report", "gen.", "disease", "received (UTC)", "state")
    table = Table(*(Column(name, no_wrap=True) for name in names), "exposures", box=box.SIMPLE)
    for each in answer["reports"]:
        table.add_row(
            _shown(each["report"]),
            str(each["generation"]),
            _shown(each["disease"]),
            _when(each["received"]),
            _shown(each["state"]),
            str(len(each["exposures"])),
        )
    Console().print(table)


@authority.command(epilog=_example("anontrace-server authority show 0123456789abcdef"))
@_REPORT
@_options
def show(report: str, folder: Path, as_json: bool) -> None:
    """Show the exposure figures of REPORT. An exposure is one contact address in one slot of five minutes."""
    found = _staff(folder).ask("GET", f"reports/{report}")
    if as_json:
        click.echo(json_line(found))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(_shown(f"report {found['report']} of case {found['case']}: {found['state']}"))
    console.print(
        _shown(f"{found['disease']}, generation {found['generation']}, received {_when(found['received'])} UTC")
    )
    log = found["log"]
    console.print(
        f"records: {log['records']} in {log['blocks']} slots, {log['broken']} broken, {log['misdated']} misdated, "
        f"{log['unregistered']} not registered; unreadable parts: {log['damaged']}"
    )
    if found.get("place"):
        place = found["place"]
        console.print(_shown(f"It is the log of a place: {place['name']} ({place['kind']})"))
    for each in found.get("notes", ()):
        day = _when(each["day"] * _SECONDS_A_DAY)[:10]
        console.print(_shown(f"The wearer notes: {day} (UTC), {each['minutes']} minutes at {each['label']}"))
    has_places = any(each.get("at") for each in found["exposures"])
    names = ("id", "day (UTC)", "minutes", "attenuation dB", "verified", *(("at",) if has_places else ()))
    table = Table(*names, box=box.SIMPLE)
    for each in found["exposures"]:
        day = _when(each["day"] * _SECONDS_A_DAY)[:10]
        verified = "yes" if each["verified"] else "no"
        at = (_shown(each.get("at") or ""),) if has_places else ()
        table.add_row(str(each["id"]), day, f"{each['minutes']:.2f}", str(each["attenuation"]), verified, *at)
    console.print(table)


@authority.command(
    epilog=_example(
        "anontrace-server authority approve 0123456789abcdef --minutes 15 --attenuation 70",
        'anontrace-server authority approve 0123456789abcdef --minutes 15 --depth 2 --message "Call 555 0100"',
    )
)
@_REPORT
@click.option("--minutes", required=True, type=click.IntRange(0, 65535), help="Rule: tell who was near this long.")
@click.option("--attenuation", type=click.IntRange(0, 255), metavar="DB", help="Only contacts at most this far off.")
@click.option("--depth", type=click.IntRange(1, 255), help="Deepest generation to be told. [new case: 1]")
@click.option("--budget", type=click.IntRange(0), help="Most notifications of this report.")
@click.option("--case-budget", type=click.IntRange(0), help="Most notifications of the whole case.")
@click.option("--day-budget", type=click.IntRange(0), help="Most notifications of the whole case on one day (UTC).")
@click.option("--exposure", "exposures", type=int, multiple=True, metavar="ID", help="Only this one. May be repeated.")
@click.option("--message", default="", help="For the contacts, up to 58 bytes.", callback=_text)
@click.option("--place/--person", default=None, help="Tell them it was at a place, or with a person. [as it says]")
@_yes
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
    place: bool | None,
    yes: bool,
    folder: Path,
    as_json: bool,
) -> None:
    """Have the contacts of REPORT notified. Its place's name is told to nobody, unless you write it in the message."""
    staff = _staff(folder)

    def question() -> str:
        found = staff.ask("GET", f"reports/{report}")
        near = [
            each
            for each in found["exposures"]
            if (not exposures or each["id"] in exposures)
            and (attenuation is None or each["attenuation"] <= attenuation)
        ]
        most = "" if budget is None else f", {budget} at most"
        return (
            f"{found['disease']}, generation {found['generation']}: notify {len(near)} of"
            f" {len(found['exposures'])} exposures{most}?"
        )

    _confirm(question, yes or as_json)
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
    } | ({} if place is None else {"place": place})
    answer = staff.ask("POST", f"reports/{report}/decision", decision)
    with streams.once("the report is approved all the same"):
        number = answer["notifications"]
        click.echo(json_line(answer) if as_json else f"approved: {number} notifications are on their way")


@authority.command(epilog=_example("anontrace-server authority refuse 0123456789abcdef"))
@_REPORT
@_yes
@_options
def refuse(report: str, yes: bool, folder: Path, as_json: bool) -> None:
    """Notify nobody of REPORT."""
    _confirm(lambda: "Its contacts are deleted, and nobody can be notified of it later. Refuse it?", yes or as_json)
    answer = _staff(folder).ask("POST", f"reports/{report}/decision", {"approve": False})
    with streams.once("the report is refused all the same"):
        click.echo(json_line(answer) if as_json else "refused: nobody is notified")


@authority.command(
    epilog=_example('anontrace-server authority retract 0123456789abcdef --message "False alarm"'),
)
@_REPORT
@click.option("--message", default="", help="For the contacts, up to 58 bytes.", callback=_text)
@_yes
@_options
def retract(report: str, message: str, yes: bool, folder: Path, as_json: bool) -> None:
    """Take back REPORT: everybody who was notified of it is told so. A patient's own report ends its case."""
    _confirm(lambda: "Everybody who was notified of it is told that it was wrong. Retract it?", yes or as_json)
    answer = _staff(folder).ask("POST", f"reports/{report}/retraction", {"message": message})
    with streams.once("the report is retracted all the same"):
        number = answer["notifications"]
        click.echo(json_line(answer) if as_json else f"retracted: {number} messages are on their way")


def _shown(text: str) -> str:
    """What the server says, for rich: as it stands, on one line."""
    from rich.markup import escape

    return escape(line(text))


def _when(unix: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(unix))
