"""The command line of the servers, `anontrace-server`: one file per command group. Never shows a traceback unasked."""

import sys

import click
from anontrace_shared.errors import AnontraceError

from .authority import authority
from .check import check, status
from .move import move
from .network import init, init_server, network, seal
from .run import run


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show tracebacks and details.")
@click.version_option(package_name="anontrace")
@click.pass_context
def group(context: click.Context, debug: bool) -> None:
    """Servers of an Anontrace network: discovery, mixes, nymserver, mailbox server, health authority."""
    context.obj = debug


group.add_command(init)
group.add_command(run)
group.add_command(authority)
group.add_command(check)
group.add_command(status)
group.add_command(seal)
group.add_command(move)
group.add_command(init_server)
group.add_command(network)


def main() -> None:
    """Entry point: errors are one line on standard error and exit status 1."""
    try:
        group()
    except (AnontraceError, OSError) as error:
        if "--debug" in sys.argv:
            raise
        click.echo(f"anontrace-server: {error}", err=True)
        sys.exit(1)
