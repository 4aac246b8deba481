"""How a command lets the wearer choose what locks the secrets on disk: options, questions, and what to call it."""

import sys
from pathlib import Path

import click

KINDS = ("passphrase", "keyring", "file")  # as in keyfile.PROTECTIONS, which is not loaded for a help text
SAID = {
    "passphrase": "its secrets are locked with your passphrase",
    "keyring": "its secrets are locked with a key in this system's keyring",
    "file": "its secrets are encrypted, with the key in a file beside them that only you may read",
}

PROTECT = click.option("--protect", type=click.Choice(KINDS), help="What locks your secrets on disk.")
PASSPHRASE_FILE = click.option(
    "--passphrase-file", type=click.Path(dir_okay=False, path_type=Path),
    help="Take the new passphrase from the first line of this file.  [for opening: env ANONTRACE_PASSPHRASE_FILE]",
)  # fmt: skip


def choose(protect: str | None, file: Path | None) -> tuple[str, str | None]:
    """The protection of a new vault key, and its passphrase; asks on a terminal where nothing was said."""
    from anontrace.companion.keys import passphrase

    if file is None:
        file = passphrase.named_file()
    if protect == "passphrase" or (protect is None and file is not None):
        return "passphrase", passphrase.ask_new("New passphrase", file)
    if protect is None and sys.stdin.isatty() and sys.stderr.isatty():
        typed = click.prompt(
            "Passphrase for your secrets (empty: none)", default="", show_default=False, hide_input=True, err=True,
            value_proc=_long_enough,
        )  # fmt: skip
        if not typed:
            return "file", None
        if click.prompt("Repeat it", hide_input=True, err=True) != typed:
            raise click.UsageError("the two are not the same; nothing was made")
        return "passphrase", typed
    return protect or "file", None


def _long_enough(typed: str) -> str:
    from anontrace.companion.keys.passphrase import MIN_CHARACTERS

    if typed and len(typed) < MIN_CHARACTERS:
        raise click.UsageError(f"{MIN_CHARACTERS} characters at least, or none at all")
    return typed
