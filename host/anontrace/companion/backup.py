"""The whole state folder in one encrypted file, and back.

    magic ‖ salt (16) ‖ operations (4) ‖ memory in bytes (4) ‖ secretstream header (24) ‖ chunks

The key is Argon2id's of the passphrase; the chunks are libsodium's secretstream (XChaCha20-Poly1305), 64 KiB of
plaintext each, the last one tagged final: neither a changed nor a shortened file opens. Plaintext: vault key (32)
‖ the database. What comes before the header is the additional data of the first chunk.
"""

import os
import sqlite3
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from nacl import bindings

from anontrace.companion import database, keyfile
from anontrace.companion.errors import SetupError, StateError
from anontrace.companion.passphrase import SALT, Stretching
from anontrace.companion.state import State

MAGIC = b"anontrace backup 1\n"
CHUNK = 65536
_MOST = 1 << 30  # bytes of a backup
_SETTINGS = struct.Struct(f"<{SALT}sII")
_HEADER = bindings.crypto_secretstream_xchacha20poly1305_HEADERBYTES
_OVERHEAD = bindings.crypto_secretstream_xchacha20poly1305_ABYTES
_MESSAGE = bindings.crypto_secretstream_xchacha20poly1305_TAG_MESSAGE
_FINAL = bindings.crypto_secretstream_xchacha20poly1305_TAG_FINAL

Progress = Callable[[int, int], None]


def write(folder: Path, key: bytes, target: Path, passphrase: str, progress: Progress) -> int:
    """Write a backup of the folder, as it is at one moment, to a new file; returns its size in bytes."""
    plaintext = key + _snapshot(folder)
    stretching = Stretching.fresh()
    head = MAGIC + _SETTINGS.pack(stretching.salt, stretching.operations, stretching.memory)
    state = bindings.crypto_secretstream_xchacha20poly1305_state()
    header = bindings.crypto_secretstream_xchacha20poly1305_init_push(state, stretching.key(passphrase))
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    except FileExistsError:
        raise SetupError(f"{target} exists already; give the backup another name") from None
    except OSError as error:
        raise SetupError(f"{target} cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(head + header)
            for at in range(0, len(plaintext), CHUNK):
                tag = _FINAL if at + CHUNK >= len(plaintext) else _MESSAGE
                aad = head if at == 0 else None
                chunk = plaintext[at : at + CHUNK]
                file.write(bindings.crypto_secretstream_xchacha20poly1305_push(state, chunk, aad, tag))
                progress(at + len(chunk), len(plaintext))
            file.flush()
            os.fsync(file.fileno())
            return file.tell()
    except OSError as error:
        target.unlink(missing_ok=True)
        raise StateError(f"{target} cannot be written: {error.strerror}; there is no backup") from error


def read(source: Path, passphrase: str, progress: Progress) -> tuple[bytes, bytes]:
    """The vault key and the database in a backup; StateError when it is damaged, SetupError for a wrong passphrase."""
    try:
        with source.open("rb") as file:
            data = file.read(len(MAGIC))
            if data == MAGIC:  # else it may be anything, and have no end
                data += file.read(_MOST)
    except OSError as error:
        raise SetupError(f"the backup {source} cannot be read: {error.strerror}") from error
    begin = len(MAGIC) + _SETTINGS.size
    if not data.startswith(MAGIC) or len(data) < begin + _HEADER + _OVERHEAD:
        raise StateError(f"{source} is no anontrace backup, or only the beginning of one")
    key = Stretching(*_SETTINGS.unpack(data[len(MAGIC) : begin])).key(passphrase)
    plaintext = b"".join(_opened(data[:begin], data[begin:], key, progress))
    return plaintext[: keyfile.KEY_SIZE], plaintext[keyfile.KEY_SIZE :]


def restore(folder: Path, key: bytes, data: bytes, protection: str, passphrase: str | None) -> None:
    """Make the state folder of a backup; SetupError where there is one already."""
    if (folder / database.FILE).exists() or keyfile.exists(folder):
        raise SetupError(f"{folder} holds a state already, which is not overwritten; restore to another (--state)")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.name == "posix":
            folder.chmod(0o700)
        keyfile.store(folder, key, protection, passphrase)
        temporary = folder / f"{database.FILE}.new"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(folder / database.FILE)
    except OSError as error:
        raise StateError(f"the state folder {folder} cannot be made: {error.strerror}") from error
    with closing(State(folder, key)) as state:
        state.badges.all()  # opens every key: what does not fit together is found now


def _snapshot(folder: Path) -> bytes:
    """The database as it is at one moment, whoever writes to it meanwhile."""
    try:
        with (
            closing(sqlite3.connect(folder / database.FILE, timeout=database.BUSY_SECONDS)) as source,
            closing(sqlite3.connect(":memory:")) as copy,
        ):
            source.backup(copy)
            return copy.serialize()
    except sqlite3.DatabaseError as error:
        raise database.explain(error, folder / database.FILE) from error


def _opened(head: bytes, sealed: bytes, key: bytes, progress: Progress) -> Iterator[bytes]:
    state = bindings.crypto_secretstream_xchacha20poly1305_state()
    bindings.crypto_secretstream_xchacha20poly1305_init_pull(state, sealed[:_HEADER], key)
    size = CHUNK + _OVERHEAD
    for at in range(_HEADER, len(sealed), size):
        first = at == _HEADER
        try:
            chunk, tag = bindings.crypto_secretstream_xchacha20poly1305_pull(
                state, sealed[at : at + size], head if first else None
            )
        except Exception as error:  # PyNaCl: RuntimeError, ValueError or TypeError, by the kind of damage
            if first:
                raise SetupError("the passphrase is wrong, or the backup is damaged") from error
            raise StateError("the backup is damaged; nothing was restored") from error
        last = at + size >= len(sealed)
        if (tag == _FINAL) != last:
            raise StateError("the backup is not whole; nothing was restored")
        progress(min(at + size, len(sealed)), len(sealed))
        yield chunk
