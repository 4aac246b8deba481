"""`anontrace-server run`."""

import asyncio
from pathlib import Path

import click
from anontrace_primitives import x25519_batches

from anontrace.backend import config
from anontrace.backend.config import Server
from anontrace.backend.errors import ConfigError


def _run(servers: list[Server], debug: bool, log_json: bool) -> None:
    from anontrace.backend.observing import logs, servicemanager
    from anontrace.backend.operating import serving  # slow to load, and of no use to the other commands

    silent = list(servers)

    def listening(server: Server) -> None:
        click.echo(f"listening {server.config.name} {server.config.url}")
        silent.remove(server)
        if not silent:  # what the others are is not waited for: they may wait for these
            servicemanager.ready()

    def ready(server: Server) -> None:
        click.echo(f"ready {server.config.name} {server.config.url}")

    _choose_x25519()
    logs.set_up(debug, log_json)
    work = serving.serve(servers, listening, ready)
    try:
        import uvloop
    except ImportError:  # Windows has none
        asyncio.run(work)
    else:
        uvloop.run(work)


def _choose_x25519() -> None:
    """Choose by what this process computes X25519 in batches. ConfigError if the environment names what cannot be
    had."""
    try:
        x25519_batches.choose()
    except x25519_batches.UnavailableError as error:
        raise ConfigError(str(error)) from None


@click.command()
@click.argument(
    "folders", nargs=-1, required=True, metavar="CONFIGDIR...", type=click.Path(file_okay=False, path_type=Path)
)
@click.option("--log-json", is_flag=True, help="Log one JSON object a line.")
@click.pass_obj
def run(debug: bool, folders: tuple[Path, ...], log_json: bool) -> None:
    """Run the servers whose folders are given, in one process. Ends on SIGTERM or Ctrl-C."""
    _run([config.load(folder) for folder in folders], debug, log_json)
