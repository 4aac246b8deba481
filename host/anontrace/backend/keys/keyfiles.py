"""Secrets on disk: one file each, one line, readable by its owner only. Nothing else reads or writes them.

They are sealed if the operator has a secret (atrest.py), and otherwise in hex, or as it is in the case of the login to
a cluster.
"""

import secrets
from pathlib import Path

from nacl.signing import SigningKey

from anontrace.backend.errors import ConfigError

from . import atrest, private

SIGNING = "signing.key"  # Ed25519 seed: the server's long-term identity
STORAGE = "storage.key"  # seals the daily mix keys in the store
LOG = "log.key"  # X25519: what contact logs are sealed to
TOKEN = "chain.key"  # noqa: S105  (the name of a file)  seals chain tokens
STAFF = "staff.key"  # seals what staff's authenticators share with the authority
STAFF_TOKEN = "staff.token"  # noqa: S105  (the name of a file)  what staff shared before they had accounts
STORE = "store.password"  # for the cluster, if the state is in one
NAMES = (SIGNING, STORAGE, LOG, TOKEN, STAFF, STORE)
KEY = 32


def write_new(folder: Path, name: str) -> bytes:
    """Make a random secret (32). ConfigError if the file is there already: a key is never overwritten."""
    secret = secrets.token_bytes(KEY)
    path = folder / name
    operator = atrest.operator_secret()
    text = secret.hex() if operator is None else atrest.seal(name, secret, operator)
    try:
        private.write_new(path, text + "\n")
    except FileExistsError:
        raise ConfigError(f"{path}: exists already") from None
    return secret


def read(folder: Path, name: str) -> bytes:
    """A secret (32). ConfigError if it is missing or malformed, or others may read it or may have put it there."""
    path = folder / name
    if name == STAFF and not path.exists() and (folder / STAFF_TOKEN).exists():
        raise ConfigError(
            f"{path}: no such file: this folder is of before staff had accounts; run `anontrace-server staff init "
            f"{folder}`, start the server, then `anontrace-server staff account add`"
        )
    text = _text(path)
    if atrest.is_sealed(text):
        return _unsealed(path, text)
    try:
        secret = bytes.fromhex(text)
    except ValueError:
        secret = b""
    if len(secret) != KEY:
        raise ConfigError(f"{path}: is not {KEY} bytes in hex")
    return secret


def read_login(folder: Path) -> tuple[str | None, str] | None:
    """User, if one is named, and password for a cluster, as the file has them: `PASSWORD` or `USER PASSWORD`. None
    without such a file. ConfigError if it is malformed, or others may read it or may have put it there."""
    path = folder / STORE
    if not path.exists() and not path.is_symlink():
        return None
    text = _text(path)
    words = (_unsealed(path, text).decode() if atrest.is_sealed(text) else text).split()
    if len(words) not in (1, 2) or not all(word.isprintable() for word in words):
        raise ConfigError(f"{path}: has to be a password, or a user, a space and a password")
    return words[0] if len(words) > 1 else None, words[-1]


def _text(path: Path) -> str:
    try:
        return private.text(path).strip()
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None


def _unsealed(path: Path, text: str) -> bytes:
    operator = atrest.operator_secret()
    if operator is None:
        raise ConfigError(f"{path}: is sealed; name the file of the operator's secret in {atrest.ENVIRONMENT}")
    try:
        return atrest.unseal(path.name, text, operator)
    except ValueError:
        said = f"the operator's secret does not open it, or it was changed; {atrest.origin(operator)}"
        raise ConfigError(f"{path}: {said}") from None


def seal(folder: Path) -> list[Path]:
    """Seal every open key file of a server's folder under the operator's secret, each in one step; which ones."""
    if not any((folder / name).exists() for name in NAMES):
        raise ConfigError(f"{folder}: there are no key files")
    operator = atrest.operator_secret()
    if operator is None:
        raise ConfigError(f"there is no operator's secret: name its file in {atrest.ENVIRONMENT}")
    sealed = []
    for name in NAMES:
        path = folder / name
        if not path.exists() or atrest.is_sealed(_text(path)):
            continue
        login = read_login(folder) if name == STORE else None
        secret = read(folder, name) if login is None else " ".join(word for word in login if word).encode()
        text = atrest.seal(name, secret, operator)
        beside = folder / f".{name}.new"
        beside.unlink(missing_ok=True)  # of an attempt that broke off
        private.write_new(beside, text + "\n")
        beside.replace(path)
        sealed.append(path)
    return sealed


def verify_key(seed: bytes) -> bytes:
    """The Ed25519 public key (32) of a signing seed."""
    return SigningKey(seed).verify_key.encode()
