"""The companion's SQLite file: opening, encryption, durability, schema versions and migrations.

Every page is encrypted (SQLite3 Multiple Ciphers, ChaCha20-Poly1305) under the key of the present epoch
(`keys.epoch`), so that without it neither tables nor numbers of rows show. A transaction that returned survives a power
cut (WAL, synchronous=FULL), and that it was there is remembered beside the database: one that has lost rows is refused.
Tables belong to the modules of `store`; nothing here knows their meaning.
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import apsw

from anontrace.companion.errors import BusyError, CompanionError, StateError, damaged
from anontrace.companion.keys import private
from anontrace.companion.keys.epoch import Epoch, EpochFile

FILE = "companion.db"
BESIDE = ("-wal", "-shm", "-journal")  # what SQLite puts beside it
BUSY_SECONDS = 15.0
MIN_FREE = 1 << 20  # bytes; with less, an input/output error means that the disk is full
PAGE = 4096
MIN_SPARE = 16  # pages that are free after each transaction, so that the file grows in steps
STEP = 64  # pages
_OVERFLOW = PAGE - 32 - 4  # bytes of a blob that fill a page beside its nonce, its tag and the number of the next one
_LOCAL = 550  # bytes of it that lie in the row
_PLAIN = b"SQLite format 3\0"  # how a database that is not encrypted begins
_TRIES = 5

Row = Mapping[str, Any]

# One script per schema version, applied in order; a released script is never changed.
MIGRATIONS = (
    """
    CREATE TABLE network (
        id INTEGER PRIMARY KEY CHECK (id = 1), name TEXT NOT NULL, file TEXT NOT NULL, proxy TEXT,
        added INTEGER NOT NULL
    );
    CREATE TABLE directory (
        id INTEGER PRIMARY KEY CHECK (id = 1), sequence INTEGER NOT NULL, document BLOB NOT NULL,
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
    # From here on the file is encrypted as a whole; `older` brings over what was sealed value by value.
    """
    CREATE TABLE reached (
        id INTEGER PRIMARY KEY CHECK (id = 1), transactions INTEGER NOT NULL DEFAULT 0, turned INTEGER
    );
    INSERT INTO reached (id) VALUES (1);
    CREATE TABLE filling (content BLOB NOT NULL);
    """,
    """
    CREATE TABLE mail_groups (
        id INTEGER PRIMARY KEY, server INTEGER NOT NULL, day INTEGER NOT NULL, address BLOB NOT NULL,
        known INTEGER NOT NULL DEFAULT 0, until INTEGER NOT NULL
    );
    ALTER TABLE mailboxes ADD COLUMN mail_group INTEGER REFERENCES mail_groups (id) ON DELETE CASCADE;
    CREATE INDEX mailboxes_group ON mailboxes (mail_group);
    CREATE TABLE messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        mail_group INTEGER NOT NULL REFERENCES mail_groups (id) ON DELETE CASCADE, place INTEGER NOT NULL,
        digest BLOB NOT NULL, content BLOB, told INTEGER NOT NULL, UNIQUE (mail_group, place)
    );
    CREATE INDEX messages_unsolved ON messages (mail_group) WHERE content IS NULL;
    CREATE TABLE sums (
        id INTEGER PRIMARY KEY, server INTEGER NOT NULL, coefficients BLOB NOT NULL, value BLOB NOT NULL
    );
    CREATE TABLE expected (
        id INTEGER PRIMARY KEY, mailbox INTEGER NOT NULL REFERENCES mailboxes (id) ON DELETE CASCADE,
        digest BLOB NOT NULL, payload BLOB NOT NULL, kind TEXT NOT NULL, subject INTEGER NOT NULL,
        meaning INTEGER NOT NULL, came INTEGER
    );
    CREATE INDEX expected_digest ON expected (digest);
    CREATE INDEX expected_mailbox ON expected (mailbox);
    ALTER TABLE renewals ADD COLUMN seed BLOB;
    UPDATE renewals SET state = 'draining' WHERE state = 'dummy due';
    """,
    """
    ALTER TABLE badges ADD COLUMN keep_days INTEGER NOT NULL DEFAULT 30;
    """,
    # Receipts instead of buckets, fragments instead of chunks: an upload under way begins anew, under another ID.
    """
    ALTER TABLE surbs ADD COLUMN leaves INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE receipts (
        mailbox INTEGER PRIMARY KEY REFERENCES mailboxes (id) ON DELETE CASCADE,
        surb INTEGER REFERENCES surbs (id) ON DELETE CASCADE,
        upload INTEGER REFERENCES uploads (id) ON DELETE CASCADE,
        secrets BLOB NOT NULL, made INTEGER NOT NULL, answer BLOB, judged INTEGER NOT NULL DEFAULT 0
    );
    DELETE FROM samples;
    ALTER TABLE samples DROP COLUMN bytes;
    ALTER TABLE samples DROP COLUMN day;
    ALTER TABLE samples ADD COLUMN successor INTEGER NOT NULL DEFAULT 0;
    DELETE FROM timetable WHERE task IN ('chunk', 'confirm');
    ALTER TABLE uploads ADD COLUMN way TEXT NOT NULL DEFAULT 'direct' CHECK (way IN ('direct', 'mixes'));
    ALTER TABLE uploads ADD COLUMN unsent BLOB;
    ALTER TABLE uploads ADD COLUMN opens INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE uploads ADD COLUMN changed INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE uploads ADD COLUMN moved INTEGER NOT NULL DEFAULT 0;
    UPDATE uploads SET way = 'mixes', upload_id = randomblob(16), sent = 0, moved = 1
        WHERE state IN ('asked', 'ready');
    """,
    """
    ALTER TABLE samples ADD COLUMN asked INTEGER;
    ALTER TABLE samples ADD COLUMN sent INTEGER;
    """,
    # What is said of places: of one size, so that nobody sees how much. An upload that has begun without it stays so.
    """
    CREATE TABLE places (
        id INTEGER PRIMARY KEY CHECK (id = 1), noting INTEGER NOT NULL DEFAULT 0, document BLOB NOT NULL
    );
    INSERT INTO places (id, document) VALUES (1, zeroblob(1579));
    ALTER TABLE uploads ADD COLUMN places BLOB NOT NULL DEFAULT x'';
    """,
    # Where in its life a badge was at the last session: a beacon from before that is a recording.
    """
    ALTER TABLE badges ADD COLUMN met_boot INTEGER;
    ALTER TABLE badges ADD COLUMN met_period INTEGER;
    ALTER TABLE badges ADD COLUMN met_at INTEGER;
    """,
    """
    CREATE TABLE contact_answers (
        id INTEGER PRIMARY KEY, case_id BLOB NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('ready', 'sent', 'accepted', 'refused')),
        said TEXT NOT NULL, payload BLOB NOT NULL, tag BLOB NOT NULL, identity BLOB NOT NULL, reply_key BLOB NOT NULL,
        mailbox INTEGER REFERENCES mailboxes (id) ON DELETE SET NULL, way_back BLOB NOT NULL,
        made INTEGER NOT NULL, changed INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 0, letter TEXT, written INTEGER
    );
    CREATE INDEX contact_answers_mailbox ON contact_answers (mailbox);
    ALTER TABLE receipts ADD COLUMN contact_answer INTEGER REFERENCES contact_answers (id) ON DELETE CASCADE;
    """,
    # What the wearer is shown of past days: bytes of traffic, and how many records were handed in of each day.
    """
    CREATE TABLE carried (
        day INTEGER PRIMARY KEY, requests INTEGER NOT NULL, sent INTEGER NOT NULL, received INTEGER NOT NULL
    );
    ALTER TABLE uploads ADD COLUMN days TEXT NOT NULL DEFAULT '{}';
    """,
    # What codes bind, and the tests whose results are asked for.
    """
    CREATE TABLE commitments (
        id INTEGER PRIMARY KEY, code BLOB NOT NULL, opening BLOB NOT NULL, made INTEGER NOT NULL
    );
    CREATE TABLE tests (
        id INTEGER PRIMARY KEY, token_hash BLOB NOT NULL UNIQUE,
        state TEXT NOT NULL CHECK (state IN ('waiting', 'positive', 'negative', 'ended')),
        code BLOB NOT NULL, statement BLOB NOT NULL, made INTEGER NOT NULL, changed INTEGER NOT NULL
    );
    """,
)
ENCRYPTED = 5  # the first version that is encrypted as a whole


class Database:
    """The open database. Statements outside `transaction` only read.

    What the disk, its damage or another process spoils comes out as a StateError or BusyError.
    """

    def __init__(self, connection: apsw.Connection, path: Path, epochs: EpochFile, epoch: Epoch) -> None:
        self._connection = connection
        self._path = path
        self._epochs = epochs
        self._epoch = epoch

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and durable once left. Within another one it is a part of that: each costs the disk a write
        that it waits for."""
        if self._connection.in_transaction:
            yield
            return
        with self._sentences():
            self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            with self._sentences():
                self._grow(MIN_SPARE)
                count = self._connection.execute(
                    "UPDATE reached SET transactions = transactions + 1 RETURNING transactions"
                ).get
                self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # on a full disk SQLite may have gone back by itself
                self._connection.execute("ROLLBACK")
            raise
        self._epochs.reach(count)

    def run(self, statement: str, *values: Any) -> int:
        """Execute one changing statement; returns the id of the inserted row (or the last one inserted)."""
        with self._sentences():
            self._connection.execute(statement, values)
            return self._connection.last_insert_rowid()

    def run_many(self, statement: str, values: Iterable[tuple[Any, ...]]) -> list[int]:
        """Execute one changing statement for each row of values; returns what it gives back by RETURNING, a number for
        each."""
        with self._sentences():
            return [number for (number,) in self._connection.executemany(statement, values)]

    def rows(self, statement: str, *values: Any) -> list[Row]:
        with self._sentences():
            cursor = self._connection.execute(statement, values)
            if (first := cursor.fetchone()) is None:
                return []
            names = [name for name, *_ in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in (first, *cursor)]

    def column(self, statement: str, *values: Any) -> list[Any]:
        """The first values of all rows."""
        with self._sentences():
            return [value for value, *_ in self._connection.execute(statement, values)]

    def row(self, statement: str, *values: Any) -> Row | None:
        found = self.rows(statement, *values)
        return found[0] if found else None

    def spare(self, size: int) -> None:
        """Let the file have room for so many bytes more, within the caller's transaction: what is stored later does not
        show in its size."""
        with self._sentences():
            self._grow(MIN_SPARE + size * 11 // (10 * PAGE))

    def _grow(self, pages: int) -> None:
        """By whole steps, to so many free pages at least. Freed pages are encrypted like any others."""
        free, count = int(self._connection.pragma("freelist_count")), int(self._connection.pragma("page_count"))
        if free >= pages:
            return
        grown = -(-(count + pages - free) // STEP) * STEP
        taken = (grown - count + free) * _OVERFLOW + _LOCAL
        self._connection.execute("INSERT INTO filling VALUES (zeroblob(?))", (taken,))
        self._connection.execute("DELETE FROM filling")

    def is_turn_due(self, day: int) -> bool:
        """Whether the epoch is to be ended: once on each day."""
        row = self.row("SELECT turned FROM reached")
        return row is not None and row["turned"] != day

    def turn(self, day: int) -> None:
        """Encrypt every page anew, under the key of a new epoch, and destroy the key of the present one.

        What was deleted before then opens no more, wherever the disk has kept it. Put off while somebody reads. The
        caller holds the lock of the state folder.
        """
        self._epochs.keep(self._epoch)  # of an attempt that broke off
        mode = str(self._connection.pragma("journal_mode"))
        if mode == "wal" and not self._alone():
            return
        try:
            with self._sentences():
                following = self._epochs.begin(self._epoch)
                self._connection.execute(f"PRAGMA rekey = '{_raw(following)}'", can_cache=False)
                self._epochs.keep(following)
                self._epoch = following
                self._connection.execute("UPDATE reached SET turned = ?", (day,))
        finally:
            with self._sentences():
                self._connection.pragma("locking_mode", "normal")
                self._connection.pragma("journal_mode", mode)

    def _alone(self) -> bool:
        """Leave the write-ahead log, in which no page can be encrypted anew; False while another process reads.

        Nobody else is let in meanwhile: they would come with a key that is about to end.
        """
        self._connection.set_busy_timeout(0)
        try:
            self._connection.pragma("locking_mode", "exclusive")
            return bool(self._connection.pragma("journal_mode", "delete") == "delete")
        except (apsw.BusyError, apsw.LockedError):
            self._connection.pragma("locking_mode", "normal")
            return False
        finally:
            self._connection.set_busy_timeout(int(BUSY_SECONDS * 1000))

    def image(self) -> bytes:
        """The whole database as it is at one moment, whoever writes to it meanwhile; not encrypted."""
        with self._sentences():
            return _image(self._connection)

    def close(self) -> None:
        self._connection.close()
        self._epochs.close()

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
        if isinstance(error, apsw.Error) and not isinstance(
            error, (apsw.ConstraintError, apsw.SQLError, apsw.MisuseError, apsw.BindingsError)
        ):
            raise explain(error, self._path) from error


def explain(error: apsw.Error, path: Path) -> CompanionError:
    """What SQLite says of this file, as the wearer reads it."""
    if isinstance(error, (apsw.BusyError, apsw.LockedError)):
        return BusyError("the state folder is in use by another anontrace process; try again")
    if isinstance(error, apsw.FullError) or (isinstance(error, apsw.IOError) and _free(path) < MIN_FREE):
        return StateError(f"the disk that holds {path.parent} is full; make room, and run the command again")
    if isinstance(error, (apsw.ReadOnlyError, apsw.PermissionsError, apsw.CantOpenError)):
        return StateError(f"{path} cannot be written ({error}); is {path.parent} yours, and its disk writable?")
    if isinstance(error, (apsw.CorruptError, apsw.NotADBError)):
        return damaged(path, str(error))
    return StateError(f"{path} cannot be used: {error}")


def _free(path: Path) -> int:
    try:
        return shutil.disk_usage(path.parent).free
    except OSError:
        return MIN_FREE


def open_database(folder: Path, vault_key: bytes) -> Database:
    """Open what is there, migrating as needed; makes nothing.

    Raises StateError when a file is missing, damaged, not its user's alone, older than it had come to, or of a newer
    companion.
    """
    path = folder / FILE
    for beside in ("", *BESIDE):
        private.check(folder / (FILE + beside))
    if is_plain(folder):
        raise damaged(path, "it is not encrypted as it was")
    epochs = EpochFile.open(folder, vault_key)
    try:
        reached = epochs.reached()  # before the database is looked at: another process may go on meanwhile
        connection, epoch = _opened(path, epochs)
        try:
            if _version(connection) != len(MIGRATIONS):
                migrate(connection)
            if connection.execute("SELECT transactions FROM reached").get < reached:
                raise damaged(path, f"it has lost what was written last, {path.name}-wal or a part of it")
        except BaseException:
            connection.close()
            raise
    except apsw.Error as error:
        epochs.close()
        raise explain(error, path) from error
    except BaseException:
        epochs.close()
        raise
    return Database(connection, path, epochs, epoch)


def _opened(path: Path, epochs: EpochFile) -> tuple[apsw.Connection, Epoch]:
    """With the key that opens it: while an epoch ends it may be the one or the other, the older one first."""
    if not private.is_there(path):
        raise damaged(path, "it is missing")
    size = path.stat().st_size
    if size == 0:
        raise damaged(path, "it is empty")
    if size < PAGE:  # which SQLite would take for a new one, and fill
        raise damaged(path, f"of its first page there are {size} bytes")
    for _ in range(_TRIES):  # another process may end the epoch between the look at the keys and at the database
        for epoch in epochs.epochs():
            connection = _connect(path, epoch)
            try:
                connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
                for name, value in (
                    ("journal_mode", "wal"), ("synchronous", "full"), ("foreign_keys", "on"), ("secure_delete", "on"),
                ):  # fmt: skip
                    connection.pragma(name, value)
                return connection, epoch
            except apsw.NotADBError:
                connection.close()
            except BaseException:
                connection.close()
                raise
    raise damaged(path, "it does not open with the keys that lie beside it")


def sqlite_name(path: Path) -> str:
    """The path for SQLite, which takes every name as UTF-8, whatever the locale. StateError for one that is not."""
    try:
        return os.fsencode(path.parent.resolve() / path.name).decode()
    except UnicodeError:
        raise StateError(
            f"{path} cannot be used: the names of a state folder, and of those above it, have to be UTF-8"
        ) from None


def _connect(path: Path, epoch: Epoch) -> apsw.Connection:
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOFOLLOW
    connection = apsw.Connection(sqlite_name(path), flags=flags)
    connection.set_busy_timeout(int(BUSY_SECONDS * 1000))
    connection.pragma("cipher", "chacha20")
    connection.execute(f"PRAGMA key = '{_raw(epoch)}'", can_cache=False)
    return connection


def _raw(epoch: Epoch) -> str:
    """A key that is one already, and needs no stretching."""
    return f"raw:{epoch.key.hex()}"


def is_plain(folder: Path) -> bool:
    """Whether the database is one of a companion up to 0.1, not encrypted. StateError for what is no file of ours."""
    try:
        with os.fdopen(private.open_file(folder / FILE), "rb") as file:
            return file.read(len(_PLAIN)) == _PLAIN
    except FileNotFoundError:
        return False


def plain_image(folder: Path) -> bytes:
    """The whole database of a companion up to 0.1."""
    path = folder / FILE
    try:
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOFOLLOW
        with closing(apsw.Connection(sqlite_name(path), flags=flags)) as connection:
            connection.set_busy_timeout(int(BUSY_SECONDS * 1000))
            return _image(connection)
    except apsw.Error as error:
        raise explain(error, path) from error


def _image(connection: apsw.Connection) -> bytes:
    """The bytes of a database whose tables can all be read. apsw.Error for one that is damaged."""
    connection.execute("BEGIN")
    try:
        _check(connection)
        image = connection.serialize("main")
    finally:
        connection.execute("COMMIT")
    # From the first page on that SQLite cannot read, and be it a free one, it leaves zeros in an image without a word.
    with closing(in_memory(image)) as read:
        _check(read)
    return image


def _check(connection: apsw.Connection) -> None:
    if (found := str(connection.execute("PRAGMA quick_check(1)").get)) != "ok":
        raise apsw.CorruptError(found.splitlines()[-1])


def in_memory(image: bytes = b"") -> apsw.Connection:
    """A database that is on no disk: an empty one, or of an image. StateError where that is damaged."""
    connection = apsw.Connection(
        ":memory:", flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI
    )
    if image:
        connection.deserialize("main", image[:18] + b"\1\1" + image[20:])  # it has no write-ahead log any more
    return connection


def put(folder: Path, connection: apsw.Connection, epoch: Epoch) -> None:
    """Write what is in memory into a new, encrypted file; durable when this returns."""
    path = folder / FILE
    descriptor = private.make(path)
    try:
        uri = f"{path.absolute().as_uri()}?cipher=chacha20&key={_raw(epoch)}"
        connection.execute("VACUUM INTO ?", (uri,), can_cache=False)
        os.fsync(descriptor)
    except apsw.Error as error:
        raise explain(error, path) from error
    finally:
        os.close(descriptor)


def _version(connection: apsw.Connection) -> int:
    return int(connection.pragma("user_version"))


def migrate(connection: apsw.Connection) -> None:
    """Bring the tables up to date, all or nothing; of two processes that try, one finds it done."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _version(connection)
        if version > len(MIGRATIONS):
            raise StateError("the state folder was written by a newer anontrace; update this one")
        for script in MIGRATIONS[version:]:
            connection.execute(script)
        connection.pragma("user_version", len(MIGRATIONS))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
