"""State folders as companions up to 0.1 made them: a plain database, in which secrets are sealed one by one."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from anontrace.companion.keys import keyfile
from anontrace.companion.store import database
from nacl import bindings

VERSIONS = range(1, database.ENCRYPTED)


def seal(key: bytes, column: str, plaintext: bytes) -> bytes:
    nonce = os.urandom(24)
    return nonce + bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, column.encode(), nonce, key)


def write(path: Path, key: bytes, version: int, now: int) -> None:
    """The database of a version, with a row of most kinds."""
    with closing(sqlite3.connect(path)) as connection:
        for script in database.MIGRATIONS[:version]:
            connection.executescript(script)
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("PRAGMA journal_mode = WAL")
        rows = {
            "network (id, name, file, proxy, added)": (1, "old", "file", "socks5h://127.0.0.1:9050", 1),
            "badges (id, owner_key, day, day_key)": (
                1, seal(key, "badges.owner_key", b"o" * 32), now // 86400, seal(key, "badges.day_key", b"d" * 32),
            ),
            "addresses (id, badge, slot, contact_address)": (
                1, 1, 7, seal(key, "addresses.contact_address", b"K" * 20),
            ),
            "mailboxes (id, server, address, until)": (
                1, 5, seal(key, "mailboxes.address", b"m" * 32), now + 86400,
            ),
            "surbs (address, mailbox, state, authentication, blob, secrets, changed)": (
                1, 1, "confirmed", seal(key, "surbs.authentication", b"a" * 32), seal(key, "surbs.blob", b"b" * 174),
                seal(key, "surbs.secrets", b"s" * 99), now,
            ),
            "log_pieces": (1, 0, 1, 0, b"piece", now),
            "notifications (received, content)": (
                now, seal(key, "notifications.content", (7).to_bytes(4, "little") + b"K" * 20 + b"c" * 191),
            ),
            "uploads (kind, state, subject, case_id, payload, upload_id, log, made)": (
                "report", "accepted", seal(key, "uploads.subject", b"token"), seal(key, "uploads.case_id", b"case"),
                None, b"u" * 16, b"", now,
            ),
        }  # fmt: skip
        for columns, values in rows.items():
            connection.execute(f"INSERT INTO {columns} VALUES ({', '.join('?' * len(values))})", values)
        connection.commit()


def make(folder: Path, version: int, now: int) -> bytes:
    """A whole folder; returns its vault key."""
    folder.mkdir(mode=0o700)
    key = os.urandom(keyfile.KEY_SIZE)
    keyfile.store(folder, key, keyfile.PLAIN)
    write(folder / database.FILE, key, version, now)
    (folder / database.FILE).chmod(0o600)
    return key
