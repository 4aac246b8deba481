"""How far a store in a folder had come: a small file beside RocksDB's own, which is also the lock on the folder.

RocksDB takes a log that was cut short, or is gone, for one that never went further; a mark knows better. Never knows
what is in the store, and never decides whether that is right (soundness.py).
"""

import fcntl
import os
import stat
import struct
import threading
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from anontrace.backend.errors import StoreError

FILE = "mark"
DIGEST = 16  # bytes
_IDENTITY = 64  # bytes, padded with zeros
_MAGIC = b"anontra1"
LOG_DIGEST = 8  # bytes
MAX_LOGS = 16  # that a mark has room for: there are one or two
_LOG = struct.Struct(f">Q{LOG_DIGEST}s")
_BODY = struct.Struct(f">8sQ?QQQ{_IDENTITY}s{DIGEST}sQ{MAX_LOGS * _LOG.size}s")
_SLOT = 512  # bytes: what a disk writes whole, or not at all
_SLOTS = 3  # one that is on the disk, one on its way there, one that is being written
_SECONDS_BETWEEN_SYNCS = 0.1


class StoreInUse(StoreError):
    """Another process, or another part of this one, has the store open."""


@dataclass(frozen=True, slots=True)
class Mark:
    """`made`: False while the store is being made, and nothing in it has been acknowledged. `sequence`: RocksDB's
    number of the last change that was. `manifest`, `length`, `digest`: the number of the file in which RocksDB lists
    all others, how many bytes of it were on the disk, and their BLAKE2b (16 bytes). `identity`: the database's own.
    `logs`: the newest logs, by number, with the BLAKE2b (8 bytes) of how each begins, zeros if that is not known; any
    that was begun after them holds only what came after change `listed`."""

    made: bool = False
    sequence: int = 0
    manifest: int = 0
    length: int = 0
    digest: bytes = field(default=bytes(DIGEST), repr=False)
    identity: str = ""
    logs: tuple[tuple[int, bytes], ...] = field(default=(), repr=False)
    listed: int = 0


class MarkFile:
    """The file, and the lock on it, from `open` to `close`. Written from one thread at a time."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor = descriptor
        self._path = path
        self.mark: Mark | None = None  # None: nothing was ever written
        self._turn = 0
        self._slot = 0
        self._turning = threading.Lock()
        self._news = threading.Event()
        self._closing = threading.Event()
        self._failure: OSError | None = None
        self._syncing: threading.Thread | None = None

    @classmethod
    def open(cls, folder: Path, make: bool) -> "MarkFile":
        """`make`: if it is not there; else only read. StoreError if another process has it, or it is damaged.
        FileNotFoundError."""
        path = folder / FILE
        try:
            descriptor = os.open(path, (os.O_RDWR | os.O_CREAT if make else os.O_RDONLY) | os.O_NONBLOCK, 0o600)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StoreError(f"{path}: cannot be opened: {error.strerror}") from None
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise StoreError(f"{path}: damaged: it is no file")
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file = cls(descriptor, path)
            file._load()
            return file
        except BlockingIOError:
            os.close(descriptor)
            raise StoreInUse(f"{folder}: another process has this store open") from None
        except OSError as error:
            os.close(descriptor)
            raise StoreError(f"{path}: {error.strerror}") from None
        except BaseException:
            os.close(descriptor)
            raise

    def _load(self) -> None:
        data = os.pread(self._descriptor, _SLOTS * _SLOT + 1, 0)
        if not data.strip(b"\0"):
            return
        found = [each for slot in range(_SLOTS) if (each := _decoded(data[slot * _SLOT :][:_SLOT], slot)) is not None]
        if len(data) != _SLOTS * _SLOT or not found:
            raise StoreError(f"{self._path}: damaged: it says no more how far the store had come")
        self._turn, self._slot, self.mark = max(found, key=lambda each: each[0])
        self._slot = (self._slot + 1) % _SLOTS

    def write(self, mark: Mark) -> None:
        """Survives the end of this process at once, and that of the machine a moment later. OSError."""
        if self._failure is not None:
            raise self._failure
        with self._turning:
            self._put(mark)
        if self._syncing is None:
            self._syncing = threading.Thread(target=self._keep_synced, name="store-mark", daemon=True)
            self._syncing.start()
        self._news.set()

    def write_through(self, mark: Mark) -> None:
        """Survives all that the disk does. OSError."""
        with self._turning:
            if self.mark is None:
                os.pwrite(self._descriptor, bytes(_SLOTS * _SLOT), 0)  # later writes need no room on the disk
            self._put(mark)
            os.fsync(self._descriptor)
            self._slot = (self._slot + 1) % _SLOTS
        sync_folder(self._path.parent)

    def _put(self, mark: Mark) -> None:
        self._turn += 1
        logs = b"".join(_LOG.pack(*log) for log in mark.logs)
        body = _BODY.pack(
            _MAGIC, self._turn, mark.made, mark.sequence, mark.manifest, mark.length, mark.identity.encode(),
            mark.digest, mark.listed, logs,
        )  # fmt: skip
        data = body + blake2b(body, digest_size=DIGEST).digest()
        os.pwrite(self._descriptor, data.ljust(_SLOT, b"\0"), self._slot * _SLOT)
        self.mark = mark

    def _keep_synced(self) -> None:
        while not self._closing.is_set():
            self._news.wait()
            self._news.clear()
            with self._turning:
                self._slot = (self._slot + 1) % _SLOTS  # the slot that is synchronised is left alone meanwhile
            try:
                os.fdatasync(self._descriptor)
            except OSError as error:
                self._failure = error
                return
            self._closing.wait(_SECONDS_BETWEEN_SYNCS)

    def close(self) -> None:
        """Have it on the disk, as far as that can be, and let go."""
        self._closing.set()
        self._news.set()
        if self._syncing is not None:
            self._syncing.join()
        os.close(self._descriptor)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk. OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _decoded(data: bytes, slot: int) -> tuple[int, int, Mark] | None:
    """Turn, slot and mark; None if it was never written, or not whole."""
    body, check = data[: _BODY.size], data[_BODY.size :][:DIGEST]
    if len(body) < _BODY.size or blake2b(body, digest_size=DIGEST).digest() != check:
        return None
    magic, turn, made, sequence, manifest, length, identity, digest, listed, packed = _BODY.unpack(body)
    if magic != _MAGIC:
        return None
    logs = tuple((number, start) for number, start in _LOG.iter_unpack(packed) if number)
    return turn, slot, Mark(made, sequence, manifest, length, digest, identity.rstrip(b"\0").decode(), logs, listed)
