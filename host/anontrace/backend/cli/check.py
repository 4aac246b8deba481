"""`anontrace-server check` and `anontrace-server status`: servers before and while they run."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from anontrace.foreign.lines import json_line, line

if TYPE_CHECKING:
    from anontrace.backend.operating.nearby import Place

_NOT_FOUND = 404
_SECONDS_ENOUGH = 120  # by which a clock may be off, to be shown in seconds


@click.command()
@click.argument(
    "folders", nargs=-1, required=True, metavar="CONFIGDIR...", type=click.Path(file_okay=False, path_type=Path)
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def check(folders: tuple[Path, ...], as_json: bool) -> None:
    """Say what is wrong with the servers of these folders, by file and line. Exit status 1 if anything is."""
    from anontrace.backend.operating import checking

    found = checking.faults(folders)
    if as_json:
        click.echo(json_line({"ok": not found, "faults": found}))
    else:
        for fault in found:
            click.echo(line(fault), err=True)
        if not found:
            click.echo(f"nothing is wrong with {len(folders)} {'folder' if len(folders) == 1 else 'folders'}")
    sys.exit(1 if found else 0)


@click.command()
@click.argument("places", nargs=-1, required=True, metavar="URL|DIR...")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def status(places: tuple[str, ...], as_json: bool) -> None:
    """Show peers, keys, queues and losses of running servers. DIR: a server's folder, or one with a network. URL: where
    a server listens for its operators.

    Exit status 1 if one does not answer or is not ready, or if discovery shows them different directories.
    """
    found = [each for name in places for each in _answers(name)]
    forked = forks(each.get("directory") for each in found)
    if as_json:
        click.echo(json_line({"servers": found, "forks": forked}))
    else:
        _show(found)
        for number in forked:
            click.echo(
                line(f"directory {number} is not the same for all: discovery shows different histories"), err=True
            )
    sys.exit(0 if not forked and all(each.get("ready") for each in found) else 1)


def forks(shown: Iterable[str | None]) -> list[str]:
    """The numbers of the directories of which more than one was shown."""
    digests: dict[str, set[str]] = {}
    for each in shown:
        if each is not None:
            number, _, digest = each.partition(": ")
            digests.setdefault(number, set()).add(digest)
    return sorted(number for number, found in digests.items() if len(found) > 1)


def _answers(name: str) -> list[dict[str, Any]]:
    """What each server says that a URL or folder means, or why it says nothing."""
    from anontrace.backend.errors import ConfigError

    try:
        return [_asked(place) for place in _places(name)]
    except ConfigError as error:
        return [{"url": name, "ready": False, "error": str(error)}]


def _places(name: str) -> "list[Place]":
    """Where each server is that a URL or folder means."""
    from anontrace.backend import config
    from anontrace.backend.errors import ConfigError
    from anontrace.backend.operating.nearby import Place

    if name.startswith(("http://", "https://")):
        try:
            return [Place.at(name.rstrip("/"))]
        except ValueError as error:
            raise ConfigError(f"{name}: {error}") from None
    folder = Path(name)
    inside = sorted(path.parent for path in folder.glob(f"*/{config.FILE}"))
    homes = [folder] if (folder / config.FILE).exists() or not inside else inside
    return [Place.for_staff(server) for server in map(config.load, homes)]


def _asked(place: "Place") -> dict[str, Any]:
    import httpx
    from pydantic import ValidationError

    from anontrace.backend.observing.documents import Status
    from anontrace.backend.web.http import reason_in, silence_in

    failed: dict[str, Any] = {"url": place.url, "ready": False}
    try:
        answer = place.request("GET", "/v1/status", 10)
        document = answer.raise_for_status().json()
        Status.model_validate(document)
    except httpx.HTTPStatusError as error:
        if error.response.status_code == _NOT_FOUND:
            return failed | {"error": "that is asked at its `staff_listen`: give its folder, or that URL"}
        return failed | {"error": reason_in(error.response.content) or f"status {error.response.status_code}"}
    except (ValidationError, ValueError, RecursionError):
        return failed | {"error": "it is no server of this kind"}
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return failed | {"error": silence_in(error) + ("" if place.socket is None else f" at {place.socket}")}
    return {"url": place.url, **document}


def _offset(seconds: float) -> str:
    """By how much a server's clock is off the others'."""
    from anontrace.clock import duration_text

    if abs(seconds) < _SECONDS_ENOUGH:
        return f"{seconds:+.0f} s"
    return f"{'+' if seconds > 0 else '-'}{duration_text(abs(seconds))}"


def _show(found: list[dict[str, Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Column, Table

    console = Console()
    names = Column("server", no_wrap=True)
    servers = Table(
        names, "ready", "clock", "keys (days)", "peers", "queued", "accepted", "dropped", box=box.SIMPLE, pad_edge=False
    )
    for each in found:
        if "error" in each:
            click.echo(line(f"{each['url']}: no usable answer ({each['error']})"), err=True)
            continue
        keys = each["roles"].get("mix", {})
        counters = each["counters"]
        servers.add_row(
            escape(line(each["name"])),
            "yes" if each["ready"] else "[red]no[/red]",
            _offset(each["clock_offset"]),
            f"{keys.get('first_key_day')} to {keys['last_key_day']}" if keys.get("last_key_day") else "-",
            f"{len(each['peers']) - len(each['missing'])} of {len(each['peers'])}",
            str(sum(each["queues"].values())),
            str(counters.get("accepted", 0)),
            str(sum(count for name, count in counters.items() if name.startswith("dropped"))),
        )
    if servers.row_count:
        console.print(servers)
    for shown in sorted({each["directory"] for each in found if each.get("directory")}):
        console.print(line(f"directory {shown}"), highlight=False, markup=False)
    known = next((each for each in found if each.get("peers")), None)
    if known is None:
        return
    title = escape(line(f"as {known['name']} sees"))
    peers = Table("mix", "name", "roles", "newest key", "loses at", box=box.SIMPLE, title=title)
    for peer in known["peers"]:
        roles = escape(line(" ".join([*peer["roles"], *(["retiring"] if peer.get("retiring") else [])])))
        if not peer["listed"]:
            peers.add_row(str(peer["number"]), "[red]missing[/red]", roles)
            continue
        lossy = " ".join(map(str, peer["lossy"]))
        name = escape(line(peer["name"]))
        peers.add_row(str(peer["number"]), name, roles, str(peer["newest_key_day"]), lossy or "-")
    console.print(peers)
