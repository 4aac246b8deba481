"""`anontrace backup`, `restore` and `erase-all`: the state folder in one encrypted file, back again, and gone."""

import sys
from pathlib import Path

import click

from anontrace.companion.commands.protecting import PROTECT, SAID
from anontrace.companion.context import Context, pass_context
from anontrace.companion.output import confirm, say
from anontrace.companion.words import later, spoken

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("file", type=_FILE)
@click.option("--passphrase-file", type=_FILE,
              help="Take the passphrase of the backup from the first line of this file.")  # fmt: skip
@pass_context
def backup(context: Context, file: Path, passphrase_file: Path | None) -> None:
    """Write everything into one encrypted file.

    FILE must not exist yet. The backup has a passphrase of its own, which you are asked for. It holds all that the
    state folder holds as of now; whoever has it and its passphrase is you, so keep it well and delete old ones.

    \b
    Example:
      anontrace backup ~/anontrace-january.backup
    """
    from anontrace.companion.keys.passphrase import ask_new

    with context.reading():  # what is wrong with it shows before anything is asked
        pass
    write(context, file, ask_new("Passphrase for the backup", passphrase_file))


def write(context: Context, file: Path, chosen: str) -> None:
    """Write the backup under this passphrase."""
    from anontrace.companion.store import backup as backing_up

    with context.output.progress(later("writing the backup")) as progress:
        size = backing_up.write(context.folder, context.key, file, chosen, progress)
    context.output.show(
        {"file": str(file), "bytes": size},
        lambda: [spoken("Written: %(file)s, %(size)s bytes, encrypted.", file=file, size=size)],
    )


@click.command()
@click.argument("file", type=_FILE)
@click.option("--passphrase-file", type=_FILE,
              help="Take the passphrase of the backup from the first line of this file.")  # fmt: skip
@PROTECT
@pass_context
def restore(context: Context, file: Path, passphrase_file: Path | None, protect: str | None) -> None:
    """Make the state folder anew from a backup.

    A state that exists is never overwritten. Without --protect, the passphrase of the backup locks the new state
    folder too. Use a state on one computer only: two that answer for the same addresses get in each other's way.

    \b
    Examples:
      anontrace restore ~/anontrace-january.backup
      anontrace --state /new/folder restore ~/anontrace-january.backup --protect keyring
    """
    from anontrace.companion.keys.passphrase import ask, from_file
    from anontrace.companion.store import backup as backing_up
    from anontrace.companion.store import state

    state.check_free(context.folder)
    typed = ask("Passphrase of the backup") if passphrase_file is None else from_file(passphrase_file)
    with context.output.progress("reading the backup") as progress:
        opened = backing_up.read(file, typed, progress)
    kind = protect or "passphrase"
    state.restore(context.folder, opened.image, opened.old_key, kind, typed if kind == "passphrase" else None)
    context.output.show(
        {"state": str(context.folder), "protection": kind},
        lambda: [f"Restored to {context.folder} ({SAID[kind]}).", "Next: anontrace status"],
    )


@click.command("erase-all", short_help="Erase everything of yours from this computer.")
@click.option("--yes", is_flag=True, help="Erase without being asked.")
@pass_context
def erase_all(context: Context, yes: bool) -> None:
    """Erase all of this companion's keys, log and notifications from this computer.

    Overwrites and deletes the state folder's files. What you registered stays at the servers until its time is over,
    but nobody, you included, can receive or open anything by it any more. The badge keeps what it holds: erase it
    first, with `anontrace badge erase`.

    \b
    Example:
      anontrace erase-all
    """
    from anontrace.companion.errors import SetupError
    from anontrace.companion.store import making

    if not making.traces(context.folder):
        raise SetupError(f"there is no anontrace state in {context.folder}")
    if not yes:
        if context.output.as_json or not sys.stdin.isatty():
            raise SetupError("this erases everything, and nobody is here to be asked; to go on, give --yes")
        say(f"Everything in {context.folder} will be erased. Without a backup it is lost for good.")
        confirm("Erase it?", "nothing is erased")
    erase(context)


def erase(context: Context) -> None:
    """Erase everything, as was agreed to."""
    from anontrace.companion.store import erasing
    from anontrace.companion.system.service import serves

    erasing.erase(context.folder)
    left = serves(context.folder)
    context.output.show(
        {"erased": str(context.folder), "service": left},
        lambda: [
            spoken("Erased."),
            *([spoken("The service for it is still there: anontrace service remove")] if left else []),
        ],
    )
