"""Receipts that were asked for: the mailbox of each answer, what opens it, and what it says.

A receipt asks whether the nymserver holds the blob of a SURB or an answer of the wearer's, or how an upload stands. Its
row lives as long as its mailbox, so that an answer that comes twice is known.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from anontrace.companion.store.database import Database
from anontrace.mixnet.sizes import BOX, GROUP


@dataclass(frozen=True)
class StoredReceipt:
    """Of `surb`, `upload` and `contact_answer` one is set: the number of what it asks about."""

    mailbox: int
    group: int  # that its mailbox is in
    box: bytes = field(repr=False)  # the beginning of the other half of the mailbox's address
    surb: int | None
    upload: int | None
    made: int  # unix seconds
    secrets: bytes = field(repr=False)
    answer: bytes | None = field(repr=False)  # the payload (239) that came to its mailbox
    contact_answer: int | None = None


class ReceiptStore:
    def __init__(self, database: Database) -> None:
        self._db = database

    def add(
        self,
        mailbox: int,
        secrets: bytes,
        now: int,
        *,
        surb: int | None = None,
        upload: int | None = None,
        contact_answer: int | None = None,
    ) -> None:
        """Runs within the caller's transaction."""
        self._db.run(
            "INSERT INTO receipts (mailbox, surb, upload, contact_answer, secrets, made) VALUES (?, ?, ?, ?, ?, ?)",
            mailbox, surb, upload, contact_answer, secrets, now,
        )  # fmt: skip

    def put_right(self, now: int) -> None:
        """What was asked later than now was so by a clock that was ahead."""
        with self._db.transaction():
            self._db.run("UPDATE receipts SET made = ? WHERE made > ?", now, now)

    def answered(self) -> list[StoredReceipt]:
        """Those whose answers were not judged yet."""
        return self._receipts("WHERE r.answer IS NOT NULL AND NOT r.judged")

    def open(self) -> list[StoredReceipt]:
        """Those that wait for their answers."""
        return self._receipts("WHERE r.answer IS NULL AND NOT r.judged")

    def _receipts(self, condition: str) -> list[StoredReceipt]:
        rows = self._db.rows(
            "SELECT r.mailbox, m.mail_group, m.address, r.surb, r.upload, r.made, r.secrets, r.answer,"
            f" r.contact_answer FROM receipts r JOIN mailboxes m ON m.id = r.mailbox {condition} ORDER BY r.mailbox"
        )
        return [
            StoredReceipt(
                row["mailbox"], row["mail_group"], row["address"][GROUP : GROUP + BOX], row["surb"], row["upload"],
                row["made"], row["secrets"], row["answer"], row["contact_answer"],
            )
            for row in rows
        ]  # fmt: skip

    def set_answer(self, mailbox: int, answer: bytes) -> bool:
        """What came to a mailbox; False if that is no receipt's, or was answered. Runs within the caller's
        transaction."""
        if self._db.row("SELECT 1 FROM receipts WHERE mailbox = ? AND answer IS NULL", mailbox) is None:
            return False
        self._db.run("UPDATE receipts SET answer = ? WHERE mailbox = ?", answer, mailbox)
        return True

    def set_judged(self, mailboxes: Sequence[int]) -> None:
        """Nothing more follows from these; runs within the caller's transaction."""
        self._db.run(
            "UPDATE receipts SET judged = 1 WHERE mailbox IN (SELECT value FROM json_each(?))",
            json.dumps(list(mailboxes)),
        )

    def withdraw(self, mailboxes: Sequence[int]) -> None:
        """These were not sent after all."""
        with self._db.transaction():
            self._db.run(
                "DELETE FROM mailboxes WHERE id IN (SELECT value FROM json_each(?))", json.dumps(list(mailboxes))
            )
