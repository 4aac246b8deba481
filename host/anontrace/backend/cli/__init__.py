"""The command line of the servers, `anontrace-server`: one file per command group. Never shows a traceback unasked."""

import sys
from typing import NoReturn

import click
from anontrace_shared.errors import AnontraceError

from anontrace import streams
from anontrace.foreign.lines import line
from anontrace.lazygroup import SETTINGS, LazyGroup

COMMANDS = {
    "init": "network",
    "run": "run",
    "authority": "authority",
    "staff": "staff",
    "check": "check",
    "status": "check",
    "seal": "network",
    "move": "move",
    "init-server": "network",
    "network": "network",
    "plan": "plan",
}


@click.group(cls=LazyGroup, package=__package__, modules=COMMANDS, context_settings=SETTINGS)
@click.option("--debug", is_flag=True, help="Show tracebacks and details.")
@click.version_option(package_name="anontrace")
@click.pass_context
def group(context: click.Context, debug: bool) -> None:
    """Servers of an Anontrace network: discovery, mixes, nymserver, mailbox server, health authority."""
    context.obj = debug


def main() -> None:
    """Entry point: errors are one line on standard error; exit status 1, or 2 for a command line that is not right."""
    streams.prepare()
    debug = "--debug" in sys.argv
    try:
        group.main(prog_name="anontrace-server", standalone_mode=False)
    except click.ClickException as error:
        if debug:
            raise
        if isinstance(error, click.exceptions.NoArgsIsHelpError):
            error.show()
            sys.exit(error.exit_code)
        hint = ""
        if isinstance(error, click.UsageError) and error.ctx is not None:
            hint = f"; see {error.ctx.command_path} --help"
        _fail(error.format_message().rstrip(".") + hint, error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _fail("aborted", 1)
    except BrokenPipeError:
        streams.abandon()
        sys.exit(1)
    except streams.OutputError as error:
        streams.abandon()
        _fail(str(error), 1)
    except ModuleNotFoundError as error:
        if debug or (error.name or "anontrace").startswith("anontrace"):
            raise
        _fail(f"{error.name} is missing; install what servers need: pip install 'anontrace[server]'", 1)
    except (AnontraceError, OSError) as error:
        if debug:
            raise
        _fail(str(error), 1)


def _fail(message: str, status: int) -> NoReturn:
    click.echo(f"anontrace-server: {line(' '.join(message.split()))}", err=True)
    sys.exit(status)
