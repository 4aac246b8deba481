"""`anontrace service`: let the system start `anontrace run` for this user."""

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from anontrace.companion.context import Context, pass_context
from anontrace.companion.output import AsIs

if TYPE_CHECKING:
    from anontrace.companion.system.service import Service

_NO_BADGE = click.option("--no-badge", is_flag=True, help="Leave the badges alone; sync them by hand.")


@click.group()
def service() -> None:
    """Let the system start `anontrace run` whenever you log in."""


@service.command()
@_NO_BADGE
@pass_context
def install(context: Context, no_badge: bool) -> None:
    """Start `anontrace run` now, and whenever you log in.

    Linux: a systemd user unit; macOS: a launchd agent; Windows: `anontrace service print` tells the steps. A service
    cannot ask for a passphrase: lock your secrets with the keyring or a key file first (`anontrace passphrase`).

    \b
    Examples:
      anontrace service install
      anontrace --state /media/key/anontrace service install --no-badge
    """
    from anontrace.companion.system import service_managers

    system = service_managers.this_system()
    manager = service_managers.manager(system)
    described = _described(context, no_badge)
    with context.reading():  # what keeps `run` from starting shows now, and to somebody who is there
        pass
    changed = manager.install(described)
    context.output.show(
        {"system": system, "path": str(manager.path), "changed": changed},
        lambda: [
            f"Started, now and whenever you log in: {manager.path}"
            if changed
            else "It is installed already, and runs.",
            f"Whether it runs: anontrace service status. What it says: {manager.log}",
        ],
    )


@service.command("status")
@pass_context
def status_(context: Context) -> None:
    """Whether the service runs; ends with 1 if it does not.

    \b
    Examples:
      anontrace service status
      anontrace --json service status
    """
    from anontrace.companion.errors import ServiceError
    from anontrace.companion.system import service_managers

    system = service_managers.this_system()
    manager = service_managers.manager(system)
    standing = manager.standing()
    document = {
        "system": system, "path": str(manager.path), "log": manager.log, "state": standing.state, "code": standing.code,
    }  # fmt: skip
    if standing.state == service_managers.RUNNING:
        context.output.show(document, lambda: [f"It runs. What it says: {manager.log}"])
        return
    sentence = {
        service_managers.ABSENT: "there is no service; to have one: anontrace service install",
        service_managers.STOPPED: "the service does not run; to start it: anontrace service install",
        service_managers.FAILING: f"the service has failed ({standing.code}); why: {manager.log}",
    }[standing.state]
    context.output.show_part(document, list, ServiceError(sentence))


@service.command()
@pass_context
def remove(context: Context) -> None:
    """Stop the service and take it away. Your state folder stays.

    \b
    Example:
      anontrace service remove
    """
    from anontrace.companion.system import service_managers

    system = service_managers.this_system()
    manager = service_managers.manager(system)
    removed = manager.remove()
    context.output.show(
        {"system": system, "path": str(manager.path), "removed": removed},
        lambda: ["Stopped and removed." if removed else "There is no service to remove."],
    )


@service.command("print")
@click.option("--system", type=click.Choice(["linux", "macos", "windows"]), help="For which.  [default: this one]")
@_NO_BADGE
@pass_context
def print_(context: Context, system: str | None, no_badge: bool) -> None:
    """Show what `install` would write; for Windows, the steps to take. Changes nothing.

    \b
    Examples:
      anontrace service print
      anontrace service print --system windows
    """
    from anontrace.companion.system import service_managers

    chosen = system or service_managers.this_system()
    text = service_managers.text(chosen, _described(context, no_badge))
    context.output.show({"system": chosen, "text": text}, lambda: [AsIs(text.rstrip("\n"))])


def _described(context: Context, no_badge: bool) -> "Service":
    """What is to be run; SetupError where it could not open the state folder by itself."""
    from anontrace.companion.context import SYSTEM_ADAPTER
    from anontrace.companion.errors import SetupError
    from anontrace.companion.keys import keyfile, passphrase
    from anontrace.companion.system.service import Service

    program = shutil.which(sys.argv[0])
    if program is None:
        raise SetupError(f"this program is not found as {sys.argv[0]!r}; call it by its whole path")
    environment = {}
    if keyfile.exists(context.folder) and keyfile.protection(context.folder) == keyfile.PASSPHRASE:
        named = passphrase.named_file()
        if named is None:
            raise SetupError(
                "a service cannot ask for your passphrase; lock your secrets with the keyring (anontrace passphrase"
                f" --protect keyring) or a key file, or name a file with the passphrase in {passphrase.ENVIRONMENT}"
            )
        environment[passphrase.ENVIRONMENT] = str(named.absolute())
    arguments = ["--state", str(context.folder.absolute())]
    if context.adapter != SYSTEM_ADAPTER:
        arguments += ["--adapter", context.adapter]
    return Service(Path(program).absolute(), (*arguments, "run", *(["--no-badge"] if no_badge else [])), environment)
