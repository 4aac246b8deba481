"""What each of the last 30 days cost: requests, and the bytes of their bodies both ways, for the wearer to see.

Sums of whole days and nothing else: neither when in the day, nor to whom, nor for what.
"""

from dataclasses import dataclass

from anontrace.companion.days import KEPT_DAYS
from anontrace.companion.store.database import Database


@dataclass(frozen=True)
class Carried:
    """The traffic of one day."""

    requests: int = 0
    sent: int = 0  # bytes of requests' bodies
    received: int = 0  # bytes of answers'

    @property
    def bytes(self) -> int:
        return self.sent + self.received


class CarriedStore:
    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, day: int, more: Carried) -> None:
        """Add to a day (number since 1970, UTC)."""
        with self._db.transaction():
            self._db.run(
                "INSERT INTO carried (day, requests, sent, received) VALUES (?, ?, ?, ?) ON CONFLICT (day) DO UPDATE"
                " SET requests = requests + excluded.requests, sent = sent + excluded.sent,"
                " received = received + excluded.received",
                day, more.requests, more.sent, more.received,
            )  # fmt: skip

    def by_day(self) -> dict[int, Carried]:
        """The days of which anything is known, the oldest first."""
        rows = self._db.rows("SELECT day, requests, sent, received FROM carried ORDER BY day")
        return {row["day"]: Carried(row["requests"], row["sent"], row["received"]) for row in rows}

    def forget(self, today: int) -> None:
        """Delete what is older than 30 days."""
        with self._db.transaction():
            self._db.run("DELETE FROM carried WHERE day <= ?", today - KEPT_DAYS)
