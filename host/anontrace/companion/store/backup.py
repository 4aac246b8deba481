"""The whole state folder in one encrypted file, and back.

    magic ‖ salt (16) ‖ operations (4) ‖ memory in bytes (4) ‖ secretstream header (24) ‖ chunks

The key is Argon2id's of the passphrase; the chunks are libsodium's secretstream (XChaCha20-Poly1305), 64 KiB of
plaintext each, the last one tagged final: neither a changed nor a shortened file opens. Plaintext: the image of the
database, of which a restored state is made under keys of its own. What comes before the header is the additional data
of the first chunk. Backups of companions up to 0.1 have another magic, and before the image the vault key (32) under
which secrets in it are sealed.
"""

import os
import stat
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from nacl import bindings

from anontrace.companion.errors import SetupError, StateError
from anontrace.companion.keys import keyfile, private
from anontrace.companion.keys.passphrase import SALT, Stretching
from anontrace.companion.store.state import State

MAGIC = b"anontrace backup 2\n"
MAGIC_SEALED = b"anontrace backup 1\n"  # of companions up to 0.1; of the same length
CHUNK = 65536
MAX_BYTES = 1 << 28  # of a backup: a database of three badges and a month has a tenth of that
_SETTINGS = struct.Struct(f"<{SALT}sII")
_HEADER = bindings.crypto_secretstream_xchacha20poly1305_HEADERBYTES
_OVERHEAD = bindings.crypto_secretstream_xchacha20poly1305_ABYTES
_MESSAGE = bindings.crypto_secretstream_xchacha20poly1305_TAG_MESSAGE
_FINAL = bindings.crypto_secretstream_xchacha20poly1305_TAG_FINAL

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Opened:
    """What was in a backup."""

    image: bytes = field(repr=False)
    old_key: bytes = field(repr=False)  # under which secrets in the image are sealed; empty from 0.2 on


def write(folder: Path, key: bytes, target: Path, passphrase: str, progress: Progress) -> int:
    """Write a backup of the folder, as it is at one moment, to a new file; returns its size in bytes.

    The file has its name once it is whole. SetupError where the name is taken; StateError where it cannot be written.
    """
    if private.is_there(target):
        raise SetupError(f"{target} exists already; give the backup another name")
    with closing(State(folder, key)) as opened:
        image = opened.image()
    stretching = Stretching.fresh()
    head = MAGIC + _SETTINGS.pack(stretching.salt, stretching.operations, stretching.memory)
    state = bindings.crypto_secretstream_xchacha20poly1305_state()
    header = bindings.crypto_secretstream_xchacha20poly1305_init_push(state, stretching.key(passphrase))
    part = target.with_name(f"{target.name}.part")
    try:
        part.unlink(missing_ok=True)  # of an attempt that broke off
        descriptor = private.make(part)
    except OSError as error:
        raise SetupError(f"{target} cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(head + header)
            for at in range(0, len(image), CHUNK):
                tag = _FINAL if at + CHUNK >= len(image) else _MESSAGE
                aad = head if at == 0 else None
                chunk = image[at : at + CHUNK]
                file.write(bindings.crypto_secretstream_xchacha20poly1305_push(state, chunk, aad, tag))
                progress(at + len(chunk), len(image))
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        if private.is_there(target):
            raise SetupError(f"{target} exists by now; give the backup another name")
        part.rename(target)
        private.sync_folder(target.parent)
        return size
    except OSError as error:
        raise StateError(f"{target} cannot be written: {error.strerror}; there is no backup") from error
    finally:
        part.unlink(missing_ok=True)


def read(source: Path, passphrase: str, progress: Progress) -> Opened:
    """What is in a backup; StateError when it is damaged or no backup, SetupError for a wrong passphrase."""
    data = _read(source)
    begin = len(MAGIC) + _SETTINGS.size
    if not data.startswith((MAGIC, MAGIC_SEALED)) or len(data) < begin + _HEADER + _OVERHEAD:
        raise StateError(f"{source} is no anontrace backup, or only the beginning of one")
    key = Stretching(*_SETTINGS.unpack(data[len(MAGIC) : begin])).key(passphrase)
    plaintext = b"".join(_opened(data[:begin], data[begin:], key, progress))
    if data.startswith(MAGIC):
        return Opened(plaintext, b"")
    return Opened(plaintext[keyfile.KEY_SIZE :], plaintext[: keyfile.KEY_SIZE])


def _read(source: Path) -> bytes:
    """The bytes of a file that has an end, and is no larger than a backup can be."""
    try:
        # Without O_NONBLOCK a pipe that nobody writes to would be waited for.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(source, flags), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise StateError(f"{source} is no regular file; copy the backup into one, and restore from that")
            if found.st_size > MAX_BYTES:
                raise StateError(f"{source} is no anontrace backup: it is too large for one")
            return file.read(MAX_BYTES)
    except OSError as error:
        raise SetupError(f"the backup {source} cannot be read: {error.strerror}") from error


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
