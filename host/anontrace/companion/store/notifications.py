"""Notifications and retractions that were received, sealed as a whole: even that one came is health data."""

from dataclasses import dataclass, field

from anontrace.companion.database import Database
from anontrace.companion.vault import Vault

KEPT_SECONDS = 30 * 86400

_CONTENT = "notifications.content"


@dataclass(frozen=True)
class StoredNotification:
    slot: int
    received: int
    contact_address: bytes = field(repr=False)
    content: bytes = field(repr=False)  # as in docs/protocol.md section 7


class NotificationStore:
    def __init__(self, database: Database, vault: Vault) -> None:
        self._db = database
        self._vault = vault

    def add(self, notification: StoredNotification) -> None:
        """Runs within the caller's transaction.."""
        plaintext = notification.slot.to_bytes(4, "little") + notification.contact_address + notification.content
        self._db.run(
            "INSERT INTO notifications (received, content) VALUES (?, ?)",
            notification.received, self._vault.seal(_CONTENT, plaintext),
        )  # fmt: skip

    def all(self) -> list[StoredNotification]:
        found = []
        for row in self._db.rows("SELECT received, content FROM notifications ORDER BY id"):
            plaintext = self._vault.open(_CONTENT, row["content"])
            found.append(
                StoredNotification(
                    int.from_bytes(plaintext[:4], "little"), row["received"], plaintext[4:24], plaintext[24:]
                )
            )
        return found

    def forget(self, now: int) -> None:
        with self._db.transaction():
            self._db.run("DELETE FROM notifications WHERE received <= ?", now - KEPT_SECONDS)
