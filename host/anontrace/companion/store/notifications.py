"""Notifications and retractions that were received."""

from dataclasses import dataclass, field

from anontrace.companion.days import KEPT_SECONDS
from anontrace.companion.store.database import Database
from anontrace.mixnet.notification import Notification


@dataclass(frozen=True)
class StoredNotification:
    slot: int
    received: int
    contact_address: bytes = field(repr=False)
    content: bytes = field(repr=False)  # as in docs/protocol.md section 7


class NotificationStore:
    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, notification: StoredNotification) -> None:
        """Runs within the caller's transaction."""
        plaintext = notification.slot.to_bytes(4, "little") + notification.contact_address + notification.content
        self._db.run(
            "INSERT INTO notifications (received, content) VALUES (?, ?)",
            notification.received, plaintext,
        )  # fmt: skip

    def all(self) -> list[StoredNotification]:
        found = []
        for row in self._db.rows("SELECT received, content FROM notifications ORDER BY id"):
            plaintext = row["content"]
            found.append(
                StoredNotification(
                    int.from_bytes(plaintext[:4], "little"), row["received"], plaintext[4:24], plaintext[24:]
                )
            )
        return found

    def forget(self, now: int) -> None:
        with self._db.transaction():
            self._db.run("DELETE FROM notifications WHERE received <= ?", now - KEPT_SECONDS)

    def forget_cases(self, cases: set[bytes]) -> None:
        """Delete what was received of these cases: their owner's, who is not known for it any more."""
        if not cases:
            return
        with self._db.transaction():
            for row in self._db.rows("SELECT id, content FROM notifications"):
                if Notification.decode(row["content"][24:], kept=True).case_id in cases:
                    self._db.run("DELETE FROM notifications WHERE id = ?", row["id"])
