"""Passphrases: how they are entered, and the keys that are derived from them with Argon2id.

They come from the terminal, without echo, or from the file that ANONTRACE_PASSPHRASE_FILE names (for services); never
as an argument. They never appear in any message.
"""

import os
import sys
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from nacl import exceptions
from nacl.pwhash import argon2id

from anontrace.companion import files
from anontrace.companion.errors import SetupError, StateError

ENVIRONMENT = "ANONTRACE_PASSPHRASE_FILE"
MIN_CHARACTERS = 8
MAX_ATTEMPTS = 3
SALT = argon2id.SALTBYTES
MAX_OPERATIONS = 16  # a file that asks for more is not ours, and would keep the computer busy
MAX_MEMORY = 1 << 30


@dataclass(frozen=True)
class Stretching:
    """What goes into Argon2id beside the passphrase; stands in the clear beside what is sealed."""

    salt: bytes  # 16
    operations: int = argon2id.OPSLIMIT_MODERATE
    memory: int = argon2id.MEMLIMIT_MODERATE  # bytes

    @classmethod
    def fresh(cls) -> "Stretching":
        return cls(os.urandom(SALT))

    def key(self, passphrase: str) -> bytes:
        """The key (32) of a passphrase; takes about half a second on purpose."""
        in_range = 1 <= self.operations <= MAX_OPERATIONS and argon2id.MEMLIMIT_MIN <= self.memory <= MAX_MEMORY
        if not in_range or len(self.salt) != SALT:
            raise StateError("the passphrase settings of this file make no sense; it is damaged")
        try:
            text = unicodedata.normalize("NFC", passphrase).encode()
            return bytes(argon2id.kdf(32, text, self.salt, self.operations, self.memory))
        except (exceptions.CryptoError, ValueError) as error:
            raise StateError("the key of the passphrase could not be made; is there too little memory?") from error


def from_file(path: Path) -> str:
    """The first line of a file."""
    first = files.read(path, "the passphrase file").partition("\n")[0]
    if not first:
        raise SetupError(f"the passphrase file {path} has an empty first line")
    return first


def ask(prompt: str) -> str:
    """An existing passphrase; SetupError where there is neither a file named in the environment nor a terminal."""
    if named := os.environ.get(ENVIRONMENT):
        return from_file(Path(named))
    return _typed(prompt, confirm=False)


def origin() -> str:
    """Where a passphrase came from that was wrong, to follow a sentence: the file, if it was in one, and what of that
    does not show."""
    named = named_file()
    if named is None:
        return ""
    word = from_file(named)
    unseen = ", which begins or ends with a space" if word != word.strip() else ""
    return f": it is the first line of {named}{unseen}"


def attempts() -> int:
    """How often it makes sense to ask for an existing passphrase: what comes from a file does not change."""
    return 1 if os.environ.get(ENVIRONMENT) else MAX_ATTEMPTS


def ask_new(prompt: str, file: Path | None = None) -> str:
    """A passphrase that is going to be used: typed twice, or from a file, and not too short."""
    chosen = from_file(file) if file is not None else _typed(prompt, confirm=True)
    if len(chosen) < MIN_CHARACTERS:
        raise SetupError(f"a passphrase needs {MIN_CHARACTERS} characters at least; a few random words do well")
    return chosen


def named_file() -> Path | None:
    """The file that the environment names."""
    named = os.environ.get(ENVIRONMENT)
    return Path(named) if named else None


def _typed(prompt: str, confirm: bool) -> str:
    import click

    if not sys.stdin.isatty():
        how = "by --passphrase-file" if confirm else f"in {ENVIRONMENT}"
        raise SetupError(f"a passphrase is needed, and nobody is here to type it; name a file with it {how}")
    typed: str = click.prompt(prompt, hide_input=True, confirmation_prompt=confirm, err=True)
    return typed
