"""`anontrace passphrase`: set or change what locks the secrets on disk."""

from pathlib import Path

import click

from anontrace.companion.commands.protecting import PASSPHRASE_FILE, PROTECT, SAID
from anontrace.companion.context import Context, pass_context


@click.command()
@PROTECT
@PASSPHRASE_FILE
@pass_context
def passphrase(context: Context, protect: str | None, passphrase_file: Path | None) -> None:
    """Set or change the passphrase, or what else locks your secrets.

    Asks for the present passphrase, where there is one, and for the new one. For a service, name a file that holds the
    passphrase in ANONTRACE_PASSPHRASE_FILE; it is never an argument.

    \b
    Examples:
      anontrace passphrase                      a new passphrase
      anontrace passphrase --protect keyring    lock with the system's keyring instead
      anontrace passphrase --protect file       no passphrase any more
    """
    from anontrace.companion.keys.passphrase import ask_new

    _ = context.key  # the present passphrase is asked for first
    kind, chosen = protect or "passphrase", None
    if kind == "passphrase":
        chosen = ask_new("New passphrase", passphrase_file)
    lock_with(context, kind, chosen)


def lock_with(context: Context, kind: str, chosen: str | None) -> None:
    """Lock the secrets by this from now on."""
    from anontrace.companion.keys import keyfile
    from anontrace.companion.store.lock import exclusive

    with exclusive(context.folder):
        keyfile.store(context.folder, context.key, kind, chosen)
    context.output.show({"protection": kind}, lambda: [f"Done: {SAID[kind]}."])
