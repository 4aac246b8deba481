"""Bringing over the state of a companion up to 0.1, whose secrets were sealed value by value under the vault key.

A sealed value: nonce (24) ‖ XChaCha20-Poly1305 under the vault key, with the name of its column as additional data.
"""

import apsw
from nacl import bindings, exceptions

from anontrace.companion.errors import StateError
from anontrace.companion.store import database

_NONCE = bindings.crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
_SEALED = (
    "network.proxy", "badges.owner_key", "badges.day_key", "addresses.contact_address", "mailboxes.address",
    "surbs.authentication", "surbs.blob", "surbs.secrets", "notifications.content", "uploads.subject",
    "uploads.case_id", "uploads.payload",
)  # fmt: skip


def brought_over(image: bytes, vault_key: bytes) -> apsw.Connection:
    """The database of an image, of whatever version, in memory and as it is today.

    StateError where it does not open, or is of a newer companion.
    """
    connection = database.in_memory(image)
    try:
        version = int(connection.pragma("user_version"))
        if not version or connection.pragma("quick_check") != "ok":
            raise StateError("the database is damaged; bring back a backup: anontrace restore FILE")
        sealed = version < database.ENCRYPTED
        database.migrate(connection)
        if sealed:
            _unseal(connection, vault_key)
    except apsw.Error as error:
        raise StateError(f"the database is damaged ({error}); bring back a backup: anontrace restore FILE") from error
    return connection


def _unseal(connection: apsw.Connection, vault_key: bytes) -> None:
    with connection:
        for each in _SEALED:
            table, column = each.split(".")
            rows = connection.execute(f"SELECT rowid, {column} FROM {table} WHERE {column} IS NOT NULL").fetchall()
            for number, value in rows:
                if isinstance(value, bytes):  # the oldest companions kept a proxy as it is
                    opened: bytes | str = _opened(each, value, vault_key)
                    if each == "network.proxy":
                        assert isinstance(opened, bytes)
                        opened = opened.decode()
                    connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (opened, number))


def _opened(column: str, sealed: bytes, key: bytes) -> bytes:
    try:
        return bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(
            sealed[_NONCE:], column.encode(), sealed[:_NONCE], key
        )
    except (exceptions.CryptoError, ValueError) as error:
        raise StateError(
            f"a secret in the state folder does not open ({column}): it was sealed with another vault key"
        ) from error
