"""Encryption of what is secret in the state folder: XChaCha20-Poly1305 under one vault key.

Every sealed value is bound to the name of its column, so that values cannot be moved between columns. How the vault
key itself is kept is `keyfile`'s business. Never logs or shows a key.
"""

import os

from nacl import bindings, exceptions

from anontrace.companion.errors import StateError
from anontrace.companion.keyfile import KEY_SIZE, NONCE_SIZE


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
