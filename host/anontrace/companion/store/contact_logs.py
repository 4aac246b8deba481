"""The sealed contact log as it was pulled from the badge: pieces of segments, kept for 30 days, or as the wearer says.

The companion cannot read the log: it keeps, hands on and deletes whole blocks.
"""

from collections.abc import Callable

from anontrace.companion.store.commitments import ROOM
from anontrace.companion.store.database import Database
from anontrace.wire import places


class LogStore:
    def __init__(self, database: Database, handed_in: Callable[[], int]) -> None:
        """`handed_in`: how many bytes uploads and commitments hold of it by now."""
        self._db = database
        self._handed_in = handed_in

    def pulled(self, badge: int, era: int, segment: int) -> int:
        """How many bytes of this segment are stored: where to read on."""
        row = self._db.row(
            "SELECT max(start + length(data)) AS end FROM log_pieces WHERE badge = ? AND era = ? AND segment = ?",
            badge, era, segment,
        )  # fmt: skip
        return int(row["end"] or 0) if row else 0

    def append(self, badge: int, era: int, segment: int, start: int, data: bytes, now: int) -> None:
        """Durable when this returns. `start` is what `pulled` said."""
        with self._db.transaction():
            self._db.run(
                "INSERT INTO log_pieces (badge, era, segment, start, data, pulled) VALUES (?, ?, ?, ?, ?, ?)",
                badge, era, segment, start, data, now,
            )  # fmt: skip
            self.keep_room()

    def keep_room(self) -> None:
        """Have room for the log once more, with what it says of places and what binds it, so that it does not show
        whether it is committed or handed in; runs within the caller's transaction."""
        self._db.spare(max(self.size() + places.SIZE + places.PLAIN + ROOM - self._handed_in(), 0))

    def size(self) -> int:
        """Bytes of the log as far as it is stored."""
        row = self._db.row("SELECT ifnull(sum(length(data)), 0) AS size FROM log_pieces")
        return int(row["size"]) if row else 0

    def segment(self, badge: int, era: int, segment: int) -> bytes:
        rows = self._db.rows(
            "SELECT data FROM log_pieces WHERE badge = ? AND era = ? AND segment = ? ORDER BY start",
            badge,
            era,
            segment,
        )
        return b"".join(row["data"] for row in rows)

    def segments(self) -> list[list[bytes]]:
        """The stored segments of each badge and era, in the order in which they were written."""
        joined: dict[tuple[int, int], dict[int, list[bytes]]] = {}
        for row in self._db.rows("SELECT * FROM log_pieces ORDER BY badge, era, segment, start"):
            pieces = joined.setdefault((row["badge"], row["era"]), {}).setdefault(row["segment"], [])
            pieces.append(row["data"])
        return [[b"".join(pieces) for pieces in segments.values()] for segments in joined.values()]

    def forget(self, now: int) -> None:
        """Delete segments pulled longer ago than their badge's log is kept: all their contacts are older still."""
        with self._db.transaction():
            self._db.run(
                "DELETE FROM log_pieces WHERE (badge, era, segment) IN (SELECT p.badge, p.era, p.segment"
                " FROM log_pieces p JOIN badges b ON b.id = p.badge GROUP BY p.badge, p.era, p.segment"
                " HAVING max(p.pulled) <= ? - 86400 * max(b.keep_days))",
                now,
            )
