"""`anontrace-server move`: a stopped server's state from its folder to a cluster, back, or to another cluster."""

import asyncio
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from anontrace_shared.errors import FormatError

from anontrace.backend import config
from anontrace.backend.config import Server
from anontrace.backend.errors import BackendError, ConfigError
from anontrace.backend.keys import keyfiles
from anontrace.backend.store import address

if TYPE_CHECKING:
    from anontrace.backend.store.moving import Progress

_FOLDER = "folder"
_EXAMPLES = """\b
Examples:
  anontrace-server move mix-1 --to "redis://10.0.0.1:6379,10.0.0.2:6379"
  anontrace-server move mix-1 --to folder"""


@click.command(epilog=_EXAMPLES)
@click.argument("folder", metavar="CONFIGDIR", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--to", required=True, metavar="STORE", help="A cluster as in `store` of server.toml, or `folder`: CONFIGDIR/store."
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def move(folder: Path, to: str, as_json: bool) -> None:
    """Move the state of the stopped server in CONFIGDIR from where server.toml says to STORE.

    Everything is copied, then compared. From then on the server starts from STORE only. Interrupted, it is said again
    and goes on. What was moved is not deleted.
    """
    server = config.load(folder)
    line = None if to == _FOLDER else _line(to, server)
    _refuse_unless_movable(server)
    _refuse_if_running(server)
    from anontrace.backend.operating import storeplace

    with _progress(as_json) as progress:
        try:
            moved = asyncio.run(storeplace.move(server, line, progress, lambda: _refuse_if_running(server)))
        except KeyboardInterrupt:
            raise BackendError("interrupted; the same command goes on with it") from None
    source, target = server.config.store or str(folder / storeplace.FOLDER), line or str(folder / storeplace.FOLDER)
    if as_json:
        found = {"from": source, "to": target, "rows": moved.rows, "queued": moved.queued, "already": moved.already}
        click.echo(json.dumps(found))
        return
    if moved.already:
        click.echo(f"{source}: was moved to {target} before; nothing was changed")
    else:
        click.echo(f"{source}: moved to {target}: {moved.rows} rows and {moved.queued} queue entries, all compared")
    path = folder / config.FILE
    if line is None:
        click.echo(f"now remove the line `store` from {path}, then check and run it")
        click.echo("what the cluster holds under the old prefix is of no use any more; docs/operations.md deletes it")
    else:
        click.echo(f'now have {path} say, above its sections, store = "{line}", then check and run it')
        if server.config.store is None:
            click.echo(f"{source} was left as it is, for you to delete when the server runs")


def _line(to: str, server: Server) -> str:
    try:
        address.parse(to, server.config.name)
    except FormatError as error:
        raise ConfigError(f"--to: {error}, or `folder`") from None
    return to


def _refuse_unless_movable(server: Server) -> None:
    from anontrace.backend.operating import checking

    if os.name == "posix" and (owner := server.folder.stat().st_uid) != os.geteuid():
        # What another user writes into the folder, the server could not open any more.
        raise ConfigError(f"{server.folder}: belongs to user {owner}, not to you; do this as the server's user")
    for name in checking.secret_names(server):
        keyfiles.read(server.folder, name)


def _refuse_if_running(server: Server) -> None:
    from anontrace.backend.operating import copies

    place = copies.running_at(server)
    if place is not None:
        raise ConfigError(f"{server.config.name} runs: it answers at {place}; stop it, and every worker of it")


@contextmanager
def _progress(as_json: bool) -> "Iterator[Progress]":
    """A bar on standard error, if that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=as_json or not console.is_terminal) as bar:
        tasks: dict[str, object] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)  # type: ignore[arg-type]

        yield show
