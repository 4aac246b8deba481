"""`anontrace-server run`."""

import asyncio
from pathlib import Path

import click

from anontrace.backend import config
from anontrace.backend.config import Server


def _ready(server: Server) -> None:
    click.echo(f"ready {server.config.name} {server.config.url}")


def _run(servers: list[Server], debug: bool) -> None:
    from anontrace.backend import serving  # slow to load, and of no use to the other commands

    serving.set_up_logging(debug)
    work = serving.serve(servers, _ready)
    try:
        import uvloop
    except ImportError:  # Windows has none
        asyncio.run(work)
    else:
        uvloop.run(work)


@click.command()
@click.argument(
    "folders", nargs=-1, required=True, metavar="CONFIGDIR...", type=click.Path(file_okay=False, path_type=Path)
)
@click.pass_obj
def run(debug: bool, folders: tuple[Path, ...]) -> None:
    """Run the servers whose folders are given, in one process. Ends on SIGTERM or Ctrl-C."""
    _run([config.load(folder) for folder in folders], debug)
