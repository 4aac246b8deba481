"""What the codes were made of that bind the wearer's log: kept for as long as a report by one may take."""

from anontrace_shared.errors import FormatError

from anontrace.companion.days import KEPT_SECONDS
from anontrace.companion.errors import StateError
from anontrace.companion.store.database import Database
from anontrace.wire.commitment import Commitment

ROOM = 1 << 17  # bytes that are kept free for some of them, and for the proof of one


class CommitmentStore:
    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, made: Commitment, now: int) -> None:
        """Durable when this returns."""
        with self._db.transaction():
            self._db.run(
                "INSERT INTO commitments (code, opening, made) VALUES (?, ?, ?)", made.code, made.encode(), now
            )

    def find(self, code: bytes) -> Commitment | None:
        """That of a code (10). StateError if it is damaged."""
        row = self._db.row("SELECT opening FROM commitments WHERE code = ? ORDER BY id DESC", code)
        if row is None:
            return None
        try:
            return Commitment.decode(row["opening"])
        except FormatError as error:
            said = f"a code in the state folder is damaged ({error}); make another: anontrace commit"
            raise StateError(said) from None

    def size(self) -> int:
        """Bytes of all."""
        row = self._db.row("SELECT ifnull(sum(length(opening)), 0) AS size FROM commitments")
        return int(row["size"]) if row else 0

    def forget(self, now: int) -> None:
        """Delete those made more than 30 days ago."""
        with self._db.transaction():
            self._db.run("DELETE FROM commitments WHERE made <= ?", now - KEPT_SECONDS)
