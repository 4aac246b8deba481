"""What will arrive in mailboxes and is known beforehand, since whoever owns them caused it: dummies, receipts.

It is found again by its digest, wherever it turns up; what it was for is up to those who expect it.
"""

from dataclasses import dataclass, field

from anontrace.companion.store.addresses import Mailbox
from anontrace.companion.store.database import Database
from anontrace.mixnet.sizes import BOX, GROUP
from anontrace.wire import look

DUMMY = "dummy"
RECEIPT = "receipt"  # an answer that is known beforehand


@dataclass(frozen=True)
class Expected:
    """A payload (239) that may arrive in a mailbox. What `subject` and `meaning` say is up to its kind."""

    number: int
    mailbox: Mailbox
    payload: bytes = field(repr=False)
    kind: str
    subject: int
    meaning: int
    came: int | None  # unix seconds

    @property
    def row(self) -> bytes:
        """The message as it lies in a group (243)."""
        return self.mailbox.address[GROUP : GROUP + BOX] + self.payload


class ExpectedStore:
    def __init__(self, database: Database) -> None:
        self._db = database

    def expect(self, mailbox: int, payload: bytes, kind: str, subject: int = 0, meaning: int = 0) -> None:
        """Runs within the caller's transaction; gone with the mailbox. One may expect several in one mailbox."""
        row = self._db.row("SELECT address FROM mailboxes WHERE id = ?", mailbox)
        assert row is not None  # the caller has it from the store
        digest = look.digest(row["address"][GROUP : GROUP + BOX] + payload)
        self._db.run(
            "INSERT INTO expected (mailbox, digest, payload, kind, subject, meaning) VALUES (?, ?, ?, ?, ?, ?)",
            mailbox, digest, payload, kind, subject, meaning,
        )  # fmt: skip

    def find(self, group: int, digest: bytes) -> Expected | None:
        """What is expected in a mailbox of this group under this digest."""
        return self._one("m.mail_group = ? AND e.digest = ?", group, digest)

    def find_alone(self, mailbox: int, payload: bytes) -> Expected | None:
        """The same for what a mailbox that is in no group holds."""
        return self._one("e.mailbox = ? AND e.payload = ?", mailbox, payload)

    def set_came(self, number: int, now: int) -> None:
        """Runs within the caller's transaction."""
        self._db.run("UPDATE expected SET came = ? WHERE id = ? AND came IS NULL", now, number)

    def came(self, kind: str) -> list[Expected]:
        """All of a kind that arrived, in the order in which they were expected."""
        return self._all("e.kind = ? AND e.came IS NOT NULL", kind)

    def remove(self, numbers: list[int]) -> None:
        """These have been dealt with; runs within the caller's transaction."""
        for number in numbers:
            self._db.run("DELETE FROM expected WHERE id = ?", number)

    def _one(self, condition: str, *values: object) -> Expected | None:
        found = self._all(condition, *values)
        return found[0] if found else None

    def _all(self, condition: str, *values: object) -> list[Expected]:
        rows = self._db.rows(
            "SELECT e.*, m.server, m.address, m.skip FROM expected e"
            f" JOIN mailboxes m ON m.id = e.mailbox WHERE {condition} ORDER BY e.id",
            *values,
        )
        return [
            Expected(
                row["id"],
                Mailbox(row["mailbox"], row["server"], row["address"], row["skip"]),
                row["payload"],
                row["kind"],
                row["subject"],
                row["meaning"],
                row["came"],
            )
            for row in rows
        ]
