"""The `anontrace` command: global options, the commands by name, and how failures reach the user.

A command's module is loaded when it is called (or its help is shown). No failure shows a traceback without --debug.
"""

import os
import sys
import traceback
from pathlib import Path

import click

from anontrace import streams
from anontrace.companion.context import SYSTEM_ADAPTER, Context
from anontrace.companion.errors import FAILED, INTERRUPTED, USAGE, CompanionError, SetupError
from anontrace.companion.output import Output, show_error, show_failure
from anontrace.lazygroup import SETTINGS, LazyGroup

COMMANDS = {
    "init": "commands.init",
    "badge": "commands.badge",
    "register": "commands.register",
    "poll": "commands.poll",
    "exposures": "commands.exposures",
    "commit": "commands.commit",
    "report": "commands.report",
    "result": "commands.result",
    "pass-on": "commands.report",
    "place": "commands.place",
    "status": "commands.status",
    "open": "page.command",
    "run": "commands.run",
    "service": "commands.service",
    "doctor": "commands.doctor",
    "passphrase": "commands.passphrase",
    "backup": "commands.backup",
    "restore": "commands.backup",
    "erase-all": "commands.backup",
    "completion": "commands.completion",
}

_JSON, _DEBUG = "--json", "--debug"

_EPILOG = """\b
Exit codes: 0 done; 1 failed or refused; 2 wrong usage, or an earlier step is missing; 3 a server cannot be
reached; 4 the badge or Bluetooth cannot be reached; 5 done in part, run it again; 130 interrupted, or you said no.
"""


def _default_folder() -> Path:
    import platformdirs

    return platformdirs.user_data_path("anontrace", appauthor=False)


@click.group(
    cls=LazyGroup, package="anontrace.companion", modules=COMMANDS, epilog=_EPILOG,
    context_settings=SETTINGS,
)  # fmt: skip
@click.option("--state", "folder", type=click.Path(file_okay=False, path_type=Path), envvar="ANONTRACE_STATE",
              help="Folder that holds your keys, log and notifications.  [env: ANONTRACE_STATE]")  # fmt: skip
@click.option(_JSON, "as_json", is_flag=True, help="Print one JSON document instead of text; with any command.")
@click.option(_DEBUG, is_flag=True, help="Show the traceback of a failure; with any command.")
@click.option("--adapter", default=SYSTEM_ADAPTER, envvar="ANONTRACE_BLE", show_default=True,
              help="Bluetooth to use: system, on Linux also hci1 and the like, or bumble:TRANSPORT. "
                   " [env: ANONTRACE_BLE]")  # fmt: skip
@click.version_option(package_name="anontrace")
@click.pass_context
def anontrace(ctx: click.Context, folder: Path | None, as_json: bool, debug: bool, adapter: str) -> None:
    """Be told when you met somebody who tested positive, without anybody learning whom you met."""
    _check_x25519()
    ctx.obj = Context(folder or _default_folder(), adapter, Output(as_json))


def _check_x25519() -> None:
    """SetupError if the environment names a way to compute X25519 that cannot be had; it is loaded only if it does."""
    if os.environ.get("ANONTRACE_X25519"):
        from anontrace_primitives import x25519_batches

        try:
            x25519_batches.choose()
        except x25519_batches.UnavailableError as error:
            raise SetupError(str(error)) from None


def run(arguments: list[str]) -> int:
    """Run a command line; returns the exit code."""
    flags, rest = _split(arguments)
    as_json, debug = _JSON in flags, _DEBUG in flags  # click has not parsed them yet when it fails to parse the rest
    try:
        result = anontrace.main([*flags, *rest], prog_name="anontrace", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        if as_json:
            assert error.ctx is not None  # whose help it is
            show_failure(f"Missing command; see: {error.ctx.command_path} --help", "usage", USAGE, as_json)
        else:
            click.echo(error.format_message())  # the help, which is what somebody wants who gives no command
        return USAGE
    except click.ClickException as error:
        if debug:
            traceback.print_exc()
        show_failure(_usage(error), "usage", USAGE, as_json)
        return USAGE
    except (click.Abort, KeyboardInterrupt):
        show_failure("interrupted; what was done is kept", "interrupted", INTERRUPTED, as_json)
        return INTERRUPTED
    except CompanionError as error:
        if debug:
            traceback.print_exc()
        show_error(error, as_json)
        return error.exit_code
    except BrokenPipeError:
        streams.abandon()
        return FAILED
    except streams.OutputError as error:
        streams.abandon()
        show_failure(str(error), "output", FAILED, as_json=False)
        return FAILED
    except Exception as error:
        if debug:
            traceback.print_exc()
        show_failure(
            f"a fault of the program ({type(error).__name__}: {error}); please report it, with the output of --debug",
            "fault", FAILED, as_json,
        )  # fmt: skip
        return FAILED


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The flags that go with any command, wherever they were typed, and the rest of the command line."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    flags = [word for word in (_JSON, _DEBUG) if word in arguments[:end]]
    return flags, [*(word for word in arguments[:end] if word not in flags), *arguments[end:]]


def _usage(error: click.ClickException) -> str:
    """What is wrong with a command line, in one line, and where to read how it is right."""
    said = " ".join(error.format_message().split()).rstrip(".")
    if not isinstance(error, click.UsageError) or error.ctx is None:
        return said
    return f"{said}{' See' if said.endswith('?') else '; see'}: {error.ctx.command_path} --help"


def _travel_light() -> None:
    """Leave out of this process what libraries would load on their own account: a third of a command's start."""
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # else it looks through every installed package
    # httpx's own command line comes with rich and pygments; where it is not installed, httpx does without.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]


def main() -> None:
    streams.prepare()
    os.umask(0o077)  # whatever a command writes is for its user alone
    _travel_light()
    sys.exit(run(sys.argv[1:]))
