"""Whether a store in a folder is intact: found out, and said if not, before RocksDB may change anything in it.

RocksDB creates what is missing and accepts what it finds. So a store is made in an empty folder only, and one that is
there is first read without a change and compared with its mark (mark.py). Never repairs, and never knows tables or
keys.
"""

import errno
import fcntl
import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from rocksdict import AccessType, DBRecoveryMode, Options, Rdict, WriteOptions

from anontrace.backend.errors import StoreError

from . import mark
from .mark import Mark, MarkFile, StoreInUse

_CURRENT, _IDENTITY, _LOCK = "CURRENT", "IDENTITY", "LOCK"
_MANIFEST = re.compile(r"MANIFEST-(\d+)")
_TABLE = re.compile(r"\b(\d{6,})\.sst\b|\btable file (\d+)\b")
_GUESS = re.compile(r"\s+The file .* may be corrupted\.\s*$", re.DOTALL)
_LOG_HEADER, _LOG_SEQUENCE = 7, 8  # bytes: checksum, length and kind of a record; the number of its first change
_OF_THE_DISK = {"lost+found"}
_MARKED = b"marked"  # in the default column family of a store that has a mark
_DAMAGE = ("Corruption", "Invalid argument", "NotFound", "IO error: No such file or directory")
_RAW = '{"raw_mode": true, "prefix_extractors": {}}'
# The engine's own log would be a diary of all that it did.
_OPTIONS = """\
[Version]
  rocksdb_version=9.0.0
  options_file_version=1.1
[DBOptions]
  track_and_verify_wals_in_manifest=true
  info_log_level=FATAL_LEVEL
[CFOptions "default"]
"""


class Guard:
    """Has a store's folder for this process alone, from construction to `close`, and keeps its mark."""

    def __init__(self, folder: Path) -> None:
        """StoreError if another process has it, or if what lies there is not a whole store: then nothing was touched.
        An empty folder, or none, is where a store may be made."""
        self._folder = folder
        self._file: MarkFile | None = None
        self._manifest = _Manifest(folder)
        self._noting = threading.Lock()
        names = _names(folder)
        try:
            if not names:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not names or mark.FILE in names:
                self._file = MarkFile.open(folder, make=True)
            if not names:
                self._written.write_through(Mark())
                mark.sync_folder(folder.parent)
        except OSError as error:
            self.close()
            raise StoreError(f"{folder}: {error.strerror}") from None

    @property
    def _written(self) -> MarkFile:
        assert self._file is not None
        return self._file

    @property
    def _mark(self) -> Mark | None:
        return None if self._file is None else self._file.mark

    @property
    def is_made(self) -> bool:
        """Whether there is a store, and not only the beginning of one."""
        return self._mark is None or self._mark.made

    def examine(self) -> set[str]:
        """The names of the column families. StoreError, with nothing touched, if the store is not whole."""
        if not self.is_made:
            return set()
        with _locked(self._folder):
            return _examined(self._folder, self._mark)

    def opened(self, database: Rdict) -> None:
        """Say that RocksDB has opened it for writing. From here on only what has a mark is this store."""
        if self._file is None:  # a store of version 0.1
            self._file = MarkFile.open(self._folder, make=True)
        if self._mark is None or not self._mark.made:
            self._written.write_through(self._reached(database.latest_sequence_number()))
        anchor(database)
        database.flush()
        self._written.write_through(self._reached(database.latest_sequence_number()))

    def acknowledge(self, database: Rdict) -> None:
        """Note how far the store has come, before anybody is told; `database` has just synchronised its log."""
        with self._noting:
            self._written.write(self._reached(database.latest_sequence_number()))

    def settle(self) -> None:
        """Note that RocksDB's files have changed, and nothing else: for any thread."""
        with self._noting:
            assert self._mark is not None
            self._written.write(self._reached(self._mark.sequence))

    def _reached(self, sequence: int) -> Mark:
        """`sequence`: all up to this is on the disk."""
        old = self._mark or Mark()
        try:
            manifest = self._manifest
            # The manifest grows with each log that is begun, which is empty at first.
            if manifest.follow() or (old.logs and old.logs[-1][1] == bytes(mark.LOG_DIGEST)):
                logs = {number: _digest(start) for number, start in _beginnings(self._folder).items()}
                old = replace(old, logs=tuple(sorted(logs.items())[-mark.MAX_LOGS :]), listed=sequence)
            identity = old.identity or _identity(self._folder)
            return Mark(
                True, sequence, manifest.number, manifest.length, manifest.digest, identity, old.logs, old.listed
            )
        except OSError as error:
            raise StoreError(f"{self._folder}: {error.strerror}") from None

    def close(self) -> None:
        """Let others have it."""
        if self._file is not None:
            self._file.close()
            self._file = None


class _Manifest:
    """The file in which RocksDB lists all others, as it grows and is replaced."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._current = folder / _CURRENT
        self._seen: tuple[int, int] | None = None  # what CURRENT was
        self._path = folder
        self.number = 0
        self.length = 0
        self.digest = bytes(mark.DIGEST)

    def follow(self) -> bool:
        """Take in what was added, if anything was, and have it on the disk: else a mark could tell of more than there
        will be. OSError; StoreError if RocksDB's own files do not fit together."""
        while True:
            now = self._version()
            try:
                return self._take_in(now)
            except FileNotFoundError:
                if self._version() == now:
                    raise  # else another has replaced it meanwhile

    def _version(self) -> tuple[int, int]:
        """That of CURRENT, which is never written to, but replaced."""
        found = self._current.stat()
        return found.st_ino, found.st_mtime_ns

    def _take_in(self, version: tuple[int, int]) -> bool:
        if version != self._seen:
            self.number = _manifest_number(self._folder)
            self._path = self._folder / _manifest_name(self.number)
            mark.sync_folder(self._folder)
            self._hash, self.length, self._seen = blake2b(digest_size=mark.DIGEST), 0, version
        if self._path.stat().st_size == self.length:
            return False
        with self._path.open("rb") as file:
            file.seek(self.length)
            while data := file.read(1 << 20):
                self._hash.update(data)
                self.length += len(data)
            os.fdatasync(file.fileno())
        self.digest = self._hash.digest()
        return True


def is_there(folder: Path) -> bool:
    """Whether any trace of a store lies in a folder. StoreError if that cannot be known."""
    return bool(_names(folder))


def try_folder(folder: Path) -> bool:
    """Whether a process has the store in this folder open. If none has: StoreError if it is not whole. Changes
    nothing."""
    names = _names(folder)
    if not names:
        return False
    file: MarkFile | None = None
    try:
        if mark.FILE in names:
            file = MarkFile.open(folder, make=False)
        with _locked(folder):
            if file is None or file.mark is None or file.mark.made:
                _examined(folder, None if file is None else file.mark)
    except StoreInUse:
        return True
    finally:
        if file is not None:
            file.close()
    return False


def options() -> Options:
    """Of a database whose logs are checked when it is opened, and that keeps no diary. RocksDB's binding has no call
    for some of these, but reads them from a file."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "OPTIONS-000001").write_text(_OPTIONS, encoding="ascii")
        (Path(folder) / "rocksdict-config.json").write_text(_RAW, encoding="ascii")
        checked, _ = Options.load_latest(folder)
    checked.set_wal_recovery_mode(DBRecoveryMode.point_in_time())
    checked.set_paranoid_checks(True)
    return checked


def engine_name(folder: Path) -> str:
    """The path for RocksDB, to which names are UTF-8, whatever the locale. StoreError for one that is not."""
    try:
        return os.fsencode(folder).decode()
    except UnicodeError:
        raise StoreError(f"{folder}: the names of a server's folder, and of those above it, have to be UTF-8") from None


def anchor(database: Rdict) -> None:
    """Have the newest change in a column family that stays: what goes with another could not be told from a loss."""
    durably = WriteOptions()
    durably.sync = True
    database.put(_MARKED, b"", durably)


def scan(rows: Rdict, first: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
    """All rows, or those from a key on. The binding's own iterators end at a damaged block as if there were no more."""
    at = rows.iter()
    if first is None:
        at.seek_to_first()
    else:
        at.seek(first)
    while at.valid():
        yield at.key(), at.value()
        at.next()
    at.status()


def as_store_error(error: Exception, where: str) -> StoreError:
    """rocksdict raises plain Exception, whose text begins with the kind of fault, and may name any path."""
    if isinstance(error, StoreError):
        return error
    text = str(error)
    return StoreError(f"{where}: damaged: {text}" if text.startswith(_DAMAGE) else f"{where}: {text}")


def _names(folder: Path) -> list[str]:
    """What lies in the folder; nothing if there is no folder. StoreError if that cannot be known."""
    try:
        return [path.name for path in folder.iterdir() if path.name not in _OF_THE_DISK]
    except FileNotFoundError:
        if folder.is_symlink():
            raise StoreError(f"{folder}: leads to {folder.readlink()}, which is not there") from None
        return []
    except NotADirectoryError:
        raise StoreError(f"{folder}: is no folder") from None
    except OSError as error:
        raise StoreError(f"{folder}: cannot be read: {error.strerror}") from None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """RocksDB's own lock, which a program that knows no marks may have. StoreInUse if one has."""
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_NONBLOCK)
    except FileNotFoundError:
        yield
        return
    except OSError as error:
        raise StoreError(f"{folder / _LOCK}: cannot be opened: {error.strerror}") from None
    try:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise StoreError(f"{folder / _LOCK}: {error.strerror}") from None
            raise StoreInUse(f"{folder}: another process has this store open") from None
        yield
    finally:
        os.close(descriptor)


def _examined(folder: Path, known: Mark | None) -> set[str]:
    """The names of the column families of a store that no process has open."""
    number = _manifest_number(folder)
    identity = _identity(folder)
    with _reading(folder / _manifest_name(number)):  # it is there, and a file
        pass
    if known is not None:
        if identity != known.identity:
            raise _damaged(folder, f"{_IDENTITY} is of another store")
        _compare(folder / _manifest_name(number), number, known)
        _compare_logs(folder, known)
    try:
        names, sequence, is_marked = _read(folder)
    except Exception as error:  # rocksdict raises plain Exception
        raise _unread(folder, error) from None
    if known is None and is_marked:
        raise _damaged(folder, f"{mark.FILE} is missing")
    if known is not None and sequence < known.sequence:
        raise _damaged(
            folder,
            f"its logs ({_logs(folder)}) are cut short or not readable: of {known.sequence} acknowledged changes"
            f" the last {known.sequence - sequence} are not there",
        )
    return names


def _unread(folder: Path, error: Exception) -> StoreError:
    """Why RocksDB cannot read a store. Of damage the file first, which it names by its path or its number, and without
    its guess, which is always the manifest."""
    text = _GUESS.sub("", str(error))
    table = _TABLE.search(text)
    if table is None or not text.startswith(_DAMAGE):
        return as_store_error(error, str(folder))
    name = f"{int(table[1] or table[2]):06}.sst"
    if not (folder / name).exists():
        return _damaged(folder, f"{name} is missing")
    why = re.sub(f"(:| in) {re.escape(str(folder / name))}", "", text.removeprefix("Corruption: "))
    return _damaged(folder, f"{name}: {why}")


def _read(folder: Path) -> tuple[set[str], int, bool]:
    """The column families, how far the database comes by its files and logs, and whether it has a mark."""
    with tempfile.TemporaryDirectory() as elsewhere:
        how = options()
        how.set_db_log_dir(elsewhere)  # it would write to one of its own otherwise
        names = set(Rdict.list_cf(engine_name(folder), how))
        families = {name: Options(raw_mode=True) for name in names - {"default"}}
        database = Rdict(engine_name(folder), how, column_families=families, access_type=AccessType.read_only(False))
        try:
            return names, database.latest_sequence_number(), database.get(_MARKED) is not None
        finally:
            database.close()


def _compare(manifest: Path, number: int, known: Mark) -> None:
    """What was in the manifest is in it. One that RocksDB has begun since is not older."""
    if number < known.manifest:
        raise _damaged(manifest.parent, f"{_CURRENT} names {manifest.name}, which is older than the store")
    if number > known.manifest:
        return
    hashed, left = blake2b(digest_size=mark.DIGEST), known.length
    with _reading(manifest) as file:
        while left and (data := file.read(min(left, 1 << 20))):
            hashed.update(data)
            left -= len(data)
    if left:
        raise _damaged(manifest.parent, f"{manifest.name} is {left} bytes too short")
    if hashed.digest() != known.digest:
        raise _damaged(manifest.parent, f"{manifest.name} is not what it was")


def _compare_logs(folder: Path, known: Mark) -> None:
    """Each log is one that was there, or was begun since: RocksDB takes whatever has such a name."""
    listed = dict(known.logs)
    for number, start in _beginnings(folder).items():
        if len(start) < _LOG_HEADER + _LOG_SEQUENCE or not start.strip(b"\0"):
            continue  # nothing of it is there: what it lacks shows
        began = int.from_bytes(start[_LOG_HEADER:], "little")
        if number in listed:
            is_own = listed[number] in (_digest(start), bytes(mark.LOG_DIGEST))
        elif number < max(listed, default=0):
            is_own = len(listed) == mark.MAX_LOGS
        else:
            is_own = began > known.listed
        if not is_own:
            raise _damaged(folder, f"{number:06}.log does not begin as it did, or is of another store")


def _beginnings(folder: Path) -> dict[int, bytes]:
    """The logs by number, each with the header of its first record and the number of the change in that; less if it is
    shorter."""
    found: dict[int, bytes] = {}
    for path in folder.glob("*.log"):
        if path.stem.isascii() and path.stem.isdigit():
            try:
                with path.open("rb") as file:
                    found[int(path.stem)] = file.read(_LOG_HEADER + _LOG_SEQUENCE)
            except FileNotFoundError:
                continue  # RocksDB has deleted it since
            except OSError as error:
                raise StoreError(f"{path}: cannot be read: {error.strerror}") from None
    return found


def _digest(start: bytes) -> bytes:
    if len(start) < _LOG_HEADER + _LOG_SEQUENCE:
        return bytes(mark.LOG_DIGEST)
    return blake2b(start, digest_size=mark.LOG_DIGEST).digest()


@contextmanager
def _reading(path: Path) -> Iterator[Any]:
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            yield file
    except FileNotFoundError:
        raise _damaged(path.parent, f"{path.name} is missing") from None
    except IsADirectoryError:
        raise _damaged(path.parent, f"{path.name} is no file") from None
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from None


def _text(path: Path) -> str:
    with _reading(path) as file:
        return str(file.read(256).decode("ascii", "replace"))


def _manifest_number(folder: Path) -> int:
    if not (folder / _CURRENT).exists():
        raise _damaged(folder, f"{_CURRENT} is missing, and a new store is made in an empty folder only")
    found = _MANIFEST.fullmatch(_text(folder / _CURRENT).removesuffix("\n"))
    if found is None:
        raise _damaged(folder, f"{_CURRENT} names no MANIFEST")
    return int(found[1])


def _manifest_name(number: int) -> str:
    return f"MANIFEST-{number:06}"


def _identity(folder: Path) -> str:
    return _text(folder / _IDENTITY).strip()


def _logs(folder: Path) -> str:
    return ", ".join(sorted(path.name for path in folder.glob("*.log"))) or "none is there"


def _damaged(folder: Path, how: str) -> StoreError:
    return StoreError(f"{folder}: damaged: {how}; nothing was touched (docs/operations.md, A damaged store)")
