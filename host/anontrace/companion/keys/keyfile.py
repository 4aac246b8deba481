"""How the vault key is kept: wrapped under a passphrase, wrapped under a key in the system's keyring, or as it is.

Owns the file vault.key: the 32 bytes themselves, or JSON with the wrapped ones. Changing the protection wraps the same
vault key anew, in one step; what it replaces is overwritten.
"""

import json
import os
from pathlib import Path
from typing import Any

from nacl import bindings, exceptions

from anontrace.companion.errors import SetupError, StateError
from anontrace.companion.keys import keychain, passphrase, private
from anontrace.companion.keys.passphrase import Stretching
from anontrace.companion.keys.wiping import overwrite, wipe

FILE = "vault.key"
KEY_SIZE = bindings.crypto_aead_xchacha20poly1305_ietf_KEYBYTES
NONCE_SIZE = bindings.crypto_aead_xchacha20poly1305_ietf_NPUBBYTES

PLAIN = "file"
PASSPHRASE = "passphrase"  # noqa: S105 - not a password
KEYRING = "keyring"
PROTECTIONS = (PASSPHRASE, KEYRING, PLAIN)

_VERSION = 1
_PURPOSE = b"anontrace vault key"


def protection(folder: Path) -> str:
    """How the vault key of this folder is protected."""
    data = _read(folder)
    return PLAIN if len(data) == KEY_SIZE else str(_parse(folder, data)["protection"])


def load(folder: Path) -> bytes:
    """The vault key (32); asks for the passphrase where there is one. StateError when it cannot be had."""
    data = _read(folder)
    if len(data) == KEY_SIZE:
        return data
    document = _parse(folder, data)
    if document["protection"] != PASSPHRASE:
        key = _unwrapped(document, keychain.get(document["name"]))
        if key is None:
            raise SetupError("the key in the system's keyring is not the one of this state folder")
        return key
    stretching = Stretching(document["salt"], document["operations"], document["memory"])
    prompt = "Passphrase"
    for _ in range(passphrase.attempts()):
        key = _unwrapped(document, stretching.key(passphrase.ask(prompt)))
        if key is not None:
            return key
        prompt = "That is not it. Passphrase"
    raise SetupError(f"the passphrase is wrong{passphrase.origin()}")


def _unwrapped(document: dict[str, Any], wrapping: bytes) -> bytes | None:
    """The vault key; None if this key does not open it."""
    try:
        return bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(
            document["wrapped"][NONCE_SIZE:], _PURPOSE, document["wrapped"][:NONCE_SIZE], wrapping
        )
    except (exceptions.CryptoError, ValueError):
        return None


def exists(folder: Path) -> bool:
    return private.is_there(folder / FILE)


def store(folder: Path, key: bytes, kind: str, chosen: str | None = None) -> None:
    """Keep the vault key under this protection from now on; `chosen` is the passphrase where that is the protection."""
    before = _parse(folder, _read(folder)) if exists(folder) and protection(folder) == KEYRING else None
    if kind == PLAIN:
        data = key
    elif kind == PASSPHRASE:
        assert chosen is not None
        stretching = Stretching.fresh()
        data = _document(
            kind, key, stretching.key(chosen),
            salt=stretching.salt.hex(), operations=stretching.operations, memory=stretching.memory,
        )  # fmt: skip
    else:
        wrapping, name = os.urandom(KEY_SIZE), os.urandom(8).hex()
        keychain.put(name, wrapping)
        data = _document(kind, key, wrapping, name=name)
    _replace(folder / FILE, data)
    if before is not None:
        keychain.forget(before["name"])


def forget(folder: Path) -> None:
    """Take the folder's key out of the system's keyring, if it has one there."""
    try:
        if protection(folder) == KEYRING:
            keychain.forget(_parse(folder, _read(folder))["name"])
    except StateError:
        return  # no key, or none that anybody could use


def _document(kind: str, key: bytes, wrapping: bytes, **fields: Any) -> bytes:
    nonce = os.urandom(NONCE_SIZE)
    wrapped = nonce + bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(key, _PURPOSE, nonce, wrapping)
    document = {"version": _VERSION, "protection": kind, "wrapped": wrapped.hex(), **fields}
    return (json.dumps(document) + "\n").encode()


def _parse(folder: Path, data: bytes) -> dict[str, Any]:
    """What protects the key. JSON, in whatever encoding of Unicode somebody has saved it."""
    try:
        document = json.loads(data)
        version, kind = document["version"], document["protection"]
        found = {"protection": kind, "wrapped": bytes.fromhex(document["wrapped"])}
        if kind == PASSPHRASE:
            found |= {
                "salt": bytes.fromhex(document["salt"]),
                "operations": int(document["operations"]),
                "memory": int(document["memory"]),
            }
        elif kind == KEYRING:
            found["name"] = str(document["name"])
    except (ValueError, KeyError, TypeError) as error:
        raise StateError(
            f"the vault key {folder / FILE} is damaged: it has {len(data)} bytes, and is neither a key of {KEY_SIZE}"
            " bytes nor a protected one; put it back as it was, or move the folder away and bring back a backup:"
            " anontrace restore FILE"
        ) from error
    if version != _VERSION or kind not in (PASSPHRASE, KEYRING):
        raise StateError("the vault key was written by a newer anontrace; update this one")
    return found


def _read(folder: Path) -> bytes:
    path = folder / FILE
    try:
        private.check_folder(folder)
        return private.read(path)
    except FileNotFoundError:
        raise StateError(
            f"the vault key {path} is missing, and without it the state folder cannot be read; move the folder away and"
            " bring back a backup: anontrace restore FILE"
        ) from None
    except OSError as error:
        raise StateError(f"the vault key {path} cannot be read: {error.strerror}") from error


def _replace(path: Path, data: bytes) -> None:
    """Write the file in one step, durably, for its user only; the old content is overwritten afterwards."""
    temporary = path.with_suffix(".new")
    old = None
    try:
        private.check_folder(path.parent)
        if os.name == "posix" and private.is_there(path):
            old = private.open_file(path, for_writing=True)
        wipe(temporary)  # of an attempt that broke off
        private.write(temporary, data)
        temporary.replace(path)
        private.sync_folder(path.parent)
        if old is not None:
            overwrite(old)
    except OSError as error:
        raise StateError(f"the vault key {path} cannot be written: {error.strerror}") from error
    finally:
        if old is not None:
            os.close(old)
