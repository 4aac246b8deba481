"""The sealed contact log as it was pulled from the badge: pieces of segments, kept for 30 days.

The companion cannot read the log: it keeps, hands on and deletes whole blocks.
"""

from anontrace.companion.database import Database

KEPT_SECONDS = 30 * 86400


class LogStore:
    def __init__(self, database: Database) -> None:
        self._db = database

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
        """Delete segments pulled more than 30 days ago: all their contacts are older still."""
        with self._db.transaction():
            self._db.run(
                "DELETE FROM log_pieces WHERE (badge, era, segment) IN ("
                "SELECT badge, era, segment FROM log_pieces GROUP BY badge, era, segment HAVING max(pulled) <= ?)",
                now - KEPT_SECONDS,
            )  # fmt: skip
