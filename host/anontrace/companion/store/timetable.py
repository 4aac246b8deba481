"""When each regular task is due next, when mailboxes were asked last, the level of traffic, and what the last receipts
said.

Kept in the state, so that a restart neither repeats nor skips anything. Nothing here is secret.
"""

from dataclasses import dataclass

from anontrace.companion.store.database import Database

_KEPT_SAMPLES = 400
_ASKED, _ANSWERED = "asked", "answered"  # no tasks: mailboxes were asked last; the last receipt that was answered


@dataclass(frozen=True)
class Sample:
    """What a receipt said of the swap that it asked about."""

    found: bool | None  # it is held, or not; None: no answer came
    successor: bool  # of a SURB, and not the first of its address
    asked: int | None = None  # unix seconds: when the receipt was sent, by `run`
    sent: int | None = None  # when the swap was, if it was under way


class TimetableStore:
    def __init__(self, database: Database) -> None:
        self._db = database

    def due(self) -> dict[str, int]:
        """When each task is due next, unix seconds; a task that never ran is missing."""
        rows = self._db.rows("SELECT task, due FROM timetable WHERE task NOT IN (?, ?)", _ASKED, _ANSWERED)
        return {row["task"]: row["due"] for row in rows}

    def set_due(self, task: str, due: int) -> None:
        with self._db.transaction():
            self._db.run("INSERT OR REPLACE INTO timetable (task, due) VALUES (?, ?)", task, due)

    def asked(self, now: float) -> int | None:
        """When mailboxes were asked last, unix seconds. None also for what a clock that was ahead has noted: what is
        still to come by `now` says nothing of when that was."""
        row = self._db.row("SELECT due FROM timetable WHERE task = ? AND due <= ?", _ASKED, int(now))
        return int(row["due"]) if row else None

    def was_asked(self) -> bool:
        """Whether mailboxes were ever asked, by whatever clock."""
        return self._db.row("SELECT 1 FROM timetable WHERE task = ?", _ASKED) is not None

    def set_asked(self, now: int) -> None:
        with self._db.transaction():
            self._db.run("INSERT OR REPLACE INTO timetable (task, due) VALUES (?, ?)", _ASKED, now)

    def answered(self) -> int | None:
        """When the last receipt was sent that was answered, unix seconds."""
        row = self._db.row("SELECT due FROM timetable WHERE task = ?", _ANSWERED)
        return int(row["due"]) if row else None

    def set_answered(self, sent: int) -> None:
        """A receipt that was sent then is answered. Runs within the caller's transaction."""
        self._db.run(
            "INSERT INTO timetable (task, due) VALUES (?, ?)"
            " ON CONFLICT (task) DO UPDATE SET due = max(due, excluded.due)",
            _ANSWERED, sent,
        )  # fmt: skip

    def level(self) -> str | None:
        """The name of the level of traffic, None before one was chosen."""
        row = self._db.row("SELECT level FROM traffic")
        return str(row["level"]) if row else None

    def set_level(self, name: str) -> None:
        with self._db.transaction():
            self._db.run("INSERT OR REPLACE INTO traffic (id, level) VALUES (1, ?)", name)

    def add_sample(self, sample: Sample) -> None:
        """Keep what a receipt said. Runs within the caller's transaction."""
        number = self._db.run(
            "INSERT INTO samples (found, successor, asked, sent) VALUES (?, ?, ?, ?)",
            None if sample.found is None else int(sample.found), sample.successor, sample.asked, sample.sent,
        )  # fmt: skip
        self._db.run("DELETE FROM samples WHERE id <= ?", number - _KEPT_SAMPLES)

    def samples(self) -> list[Sample]:
        """Those that are kept, the latest first."""
        return [
            Sample(_truth(row["found"]), bool(row["successor"]), row["asked"], row["sent"])
            for row in self._db.rows("SELECT found, successor, asked, sent FROM samples ORDER BY id DESC")
        ]

    def last_samples(self, count: int, of_successors: bool = False) -> list[bool | None]:
        """What the last `count` receipts said, the latest first; all of them, or those about successors."""
        return [each.found for each in self.samples() if each.successor >= of_successors][:count]


def _truth(value: int | None) -> bool | None:
    return None if value is None else bool(value)
