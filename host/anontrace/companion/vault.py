"""Encryption of what is secret in the state folder: XChaCha20-Poly1305 under one vault key.

Owns the vault key, which lies beside the database in a file that only its user may read. Every sealed value is bound
to the name of its column, so that values cannot be moved between columns. Never logs or shows a key.
"""

import os
from pathlib import Path

from nacl import bindings, exceptions

from anontrace.companion.errors import StateError

KEY_FILE = "vault.key"
KEY_SIZE = bindings.crypto_aead_xchacha20poly1305_ietf_KEYBYTES
NONCE_SIZE = bindings.crypto_aead_xchacha20poly1305_ietf_NPUBBYTES


class Vault:
    """Seals and opens the secret columns of the database. Overhead: 40 bytes a value."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_SIZE:
            raise StateError("the vault key is damaged: it must be 32 bytes; restore it from a backup")
        self._key = key

    def seal(self, column: str, plaintext: bytes) -> bytes:
        nonce = os.urandom(NONCE_SIZE)
        sealed = bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, column.encode(), nonce, self._key)
        return nonce + sealed

    def open(self, column: str, sealed: bytes) -> bytes:
        """Raises StateError when the value was damaged or sealed under another key."""
        try:
            return bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(
                sealed[NONCE_SIZE:], column.encode(), sealed[:NONCE_SIZE], self._key
            )
        except (exceptions.CryptoError, ValueError) as error:
            raise StateError(
                f"a secret in the state folder does not open ({column}): it was sealed with another vault key"
            ) from error


def create_key(folder: Path) -> None:
    """Make the vault key of a new state folder; an existing one is kept."""
    path = folder / KEY_FILE
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "wb") as file:
        file.write(os.urandom(KEY_SIZE))
        file.flush()
        os.fsync(file.fileno())


def open_vault(folder: Path) -> Vault:
    path = folder / KEY_FILE
    try:
        return Vault(path.read_bytes())
    except FileNotFoundError:
        raise StateError(f"the vault key {path} is missing: without it the state folder cannot be read") from None
