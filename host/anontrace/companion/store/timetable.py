"""When each regular task is due next, when mailboxes were asked last, the level of traffic, and what the last receipts
said.

Kept in the state, so that a restart neither repeats nor skips anything. Nothing here is secret.
"""

from anontrace.companion.store.database import Database

_KEPT_SAMPLES = 400
_ASKED = "asked"  # no task: when mailboxes were asked last


class TimetableStore:
    def __init__(self, database: Database) -> None:
        self._db = database

    def due(self) -> dict[str, int]:
        """When each task is due next, unix seconds; a task that never ran is missing."""
        rows = self._db.rows("SELECT task, due FROM timetable WHERE task != ?", _ASKED)
        return {row["task"]: row["due"] for row in rows}

    def set_due(self, task: str, due: int) -> None:
        with self._db.transaction():
            self._db.run("INSERT OR REPLACE INTO timetable (task, due) VALUES (?, ?)", task, due)

    def asked(self) -> int | None:
        """When mailboxes were asked last, unix seconds."""
        row = self._db.row("SELECT due FROM timetable WHERE task = ?", _ASKED)
        return int(row["due"]) if row else None

    def set_asked(self, now: int) -> None:
        with self._db.transaction():
            self._db.run("INSERT OR REPLACE INTO timetable (task, due) VALUES (?, ?)", _ASKED, now)

    def level(self) -> str | None:
        """The name of the level of traffic, None before one was chosen."""
        row = self._db.row("SELECT level FROM traffic")
        return str(row["level"]) if row else None

    def set_level(self, name: str) -> None:
        with self._db.transaction():
            self._db.run("INSERT OR REPLACE INTO traffic (id, level) VALUES (1, ?)", name)

    def add_sample(self, found: bool | None, successor: bool, sent: int | None = None) -> None:
        """A receipt said that what it asked about, the swap of a new address or of a successor, is held, or not; None:
        its answer never came. `sent`: when that swap was, if that is known. Runs within the caller's transaction."""
        number = self._db.run(
            "INSERT INTO samples (found, successor, sent) VALUES (?, ?, ?)",
            None if found is None else int(found), successor, sent,
        )  # fmt: skip
        self._db.run("DELETE FROM samples WHERE id <= ?", number - _KEPT_SAMPLES)

    def last_samples(self, count: int, of_successors: bool = False) -> list[bool | None]:
        """What the last `count` receipts said, the latest first; all of them, or those about successors."""
        rows = self._db.rows(
            "SELECT found FROM samples WHERE successor >= ? ORDER BY id DESC LIMIT ?", of_successors, count
        )
        return [None if row["found"] is None else bool(row["found"]) for row in rows]

    def last_missing(self) -> list[int]:
        """When those swaps were sent that receipts said are not held."""
        return self._db.column("SELECT sent FROM samples WHERE found = 0 AND sent IS NOT NULL")
