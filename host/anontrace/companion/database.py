"""The companion's SQLite file: opening, durability, schema versions and migrations.

A transaction that returned survives a power cut (WAL, synchronous=FULL); deleted secrets are overwritten
(secure_delete). Tables belong to the modules of `store`; nothing here knows their meaning.
"""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anontrace.companion.errors import BusyError, CompanionError, StateError

FILE = "companion.db"
BUSY_SECONDS = 15.0
LEAST_FREE = 1 << 20  # bytes; with less, an input/output error means that the disk is full

# One script per schema version, applied in order; a released script is never changed.
MIGRATIONS = (
    """
    CREATE TABLE network (
        id INTEGER PRIMARY KEY CHECK (id = 1), name TEXT NOT NULL, file TEXT NOT NULL, proxy TEXT,
        added INTEGER NOT NULL
    );
    CREATE TABLE directory (
        id INTEGER PRIMARY KEY CHECK (id = 1), sequence INTEGER NOT NULL, document TEXT NOT NULL,
        fetched INTEGER NOT NULL
    );
    CREATE TABLE badges (
        id INTEGER PRIMARY KEY, owner_key BLOB NOT NULL, day INTEGER NOT NULL, day_key BLOB NOT NULL,
        provisioned INTEGER, mode INTEGER, era INTEGER NOT NULL DEFAULT 0,
        first_slot INTEGER, horizon INTEGER NOT NULL DEFAULT 0, last_sync INTEGER, info TEXT
    );
    CREATE TABLE addresses (
        id INTEGER PRIMARY KEY, badge INTEGER NOT NULL REFERENCES badges (id) ON DELETE CASCADE,
        slot INTEGER NOT NULL, contact_address BLOB NOT NULL, UNIQUE (badge, slot)
    );
    CREATE TABLE mailboxes (
        id INTEGER PRIMARY KEY, server INTEGER NOT NULL, address BLOB NOT NULL,
        skip INTEGER NOT NULL DEFAULT 0, until INTEGER NOT NULL
    );
    CREATE INDEX mailboxes_until ON mailboxes (until);
    CREATE TABLE surbs (
        id INTEGER PRIMARY KEY,
        address INTEGER NOT NULL REFERENCES addresses (id) ON DELETE CASCADE,
        mailbox INTEGER NOT NULL UNIQUE REFERENCES mailboxes (id) ON DELETE CASCADE,
        state TEXT NOT NULL CHECK (state IN ('made', 'sent', 'confirmed', 'replaced')),
        spent INTEGER NOT NULL DEFAULT 0,
        authentication BLOB NOT NULL, blob BLOB NOT NULL, secrets BLOB NOT NULL, changed INTEGER NOT NULL
    );
    CREATE INDEX surbs_address ON surbs (address);
    CREATE INDEX surbs_state ON surbs (state);
    CREATE INDEX surbs_spent ON surbs (address) WHERE spent;
    CREATE TABLE log_pieces (
        badge INTEGER NOT NULL REFERENCES badges (id) ON DELETE CASCADE, era INTEGER NOT NULL, segment INTEGER NOT NULL,
        start INTEGER NOT NULL, data BLOB NOT NULL, pulled INTEGER NOT NULL, PRIMARY KEY (badge, era, segment, start)
    );
    CREATE TABLE notifications (
        id INTEGER PRIMARY KEY, received INTEGER NOT NULL, content BLOB NOT NULL
    );
    CREATE TABLE uploads (
        id INTEGER PRIMARY KEY, kind TEXT NOT NULL CHECK (kind IN ('report', 'pass-on')),
        state TEXT NOT NULL CHECK (state IN ('asked', 'ready', 'accepted', 'refused')),
        subject BLOB NOT NULL, case_id BLOB, payload BLOB, upload_id BLOB NOT NULL,
        sent INTEGER NOT NULL DEFAULT 0, log BLOB NOT NULL, made INTEGER NOT NULL
    );
    """,
    """
    ALTER TABLE mailboxes ADD COLUMN asked INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE renewals (
        surb INTEGER PRIMARY KEY REFERENCES surbs (id) ON DELETE CASCADE,
        state TEXT NOT NULL CHECK (state IN ('replacing', 'draining', 'dummy due', 'settling', 'checking')),
        due INTEGER NOT NULL, looks INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE timetable (task TEXT PRIMARY KEY, due INTEGER NOT NULL);
    CREATE TABLE samples (id INTEGER PRIMARY KEY, day INTEGER NOT NULL, bytes INTEGER NOT NULL, found INTEGER);
    CREATE TABLE traffic (id INTEGER PRIMARY KEY CHECK (id = 1), level TEXT NOT NULL);
    """,
    """
    ALTER TABLE surbs ADD COLUMN seen INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE surbs ADD COLUMN sends INTEGER NOT NULL DEFAULT 0;
    """,
    """
    ALTER TABLE badges ADD COLUMN keyed INTEGER NOT NULL DEFAULT 0;
    UPDATE badges SET keyed = 1;
    """,
)


class Database:
    """The open database. Statements outside `transaction` only read.

    What the disk, its damage or another process spoils comes out as a StateError or BusyError.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and durable once left."""
        with self._sentences():
            self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            with self._sentences():
                self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # on a full disk SQLite may have gone back by itself
                self._connection.execute("ROLLBACK")
            raise

    def run(self, statement: str, *values: object) -> int:
        """Execute one changing statement; returns the id of the inserted row (or the last one inserted)."""
        with self._sentences():
            return self._connection.execute(statement, values).lastrowid or 0

    def rows(self, statement: str, *values: object) -> list[sqlite3.Row]:
        with self._sentences():
            return self._connection.execute(statement, values).fetchall()

    def row(self, statement: str, *values: object) -> sqlite3.Row | None:
        with self._sentences():
            found: sqlite3.Row | None = self._connection.execute(statement, values).fetchone()
        return found

    def close(self) -> None:
        self._connection.close()

    def _sentences(self) -> "_Sentences":
        return _Sentences(self._path)


class _Sentences:
    """SQLite's errors in this block come out as sentences. A class, since it is entered for every statement."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        # What contradicts a constraint or is no SQL is a fault of the program, and no sentence would help.
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(
            error, (sqlite3.IntegrityError, sqlite3.ProgrammingError)
        ):
            raise explain(error, self._path) from error


def explain(error: sqlite3.Error, path: Path) -> CompanionError:
    """What SQLite says of this file, as the wearer reads it."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # the kind, without its details
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return BusyError("the state folder is in use by another anontrace process; try again")
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _free(path) < LEAST_FREE):
        return StateError(f"the disk that holds {path.parent} is full; make room, and run the command again")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN):
        return StateError(f"{path} cannot be written ({error}); is {path.parent} yours, and its disk writable?")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StateError(
            f"{path} cannot be used, it is damaged ({error}); move the folder away and bring back a backup:"
            " anontrace restore FILE"
        )
    return StateError(f"{path} cannot be used: {error}")


def _free(path: Path) -> int:
    try:
        return shutil.disk_usage(path.parent).free
    except OSError:
        return LEAST_FREE


def open_database(folder: Path) -> Database:
    """Open, creating or migrating as needed. Raises StateError when the file is damaged or of a newer companion."""
    path = folder / FILE
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        connection.row_factory = sqlite3.Row
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
            connection.execute(f"PRAGMA {pragma}")
        if _version(connection) != len(MIGRATIONS):
            _migrate(connection)
    except sqlite3.DatabaseError as error:
        raise explain(error, path) from error
    except OSError as error:
        raise StateError(f"{path} cannot be opened: {error.strerror}") from error
    return Database(connection, path)


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables up to date, all or nothing; of two processes that try, one finds it done."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _version(connection)
        if version > len(MIGRATIONS):
            raise StateError("the state folder was written by a newer anontrace; update this one")
        for script in MIGRATIONS[version:]:
            for statement in script.split(";"):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
