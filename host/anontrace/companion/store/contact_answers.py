"""What the wearer answered to the health authority, and what it wrote back.

An answer is *ready* (to be sent), *sent* (the first mix has it), then *accepted* (the nymserver keeps it for the
authority) or *refused* (it does not, however often it came). The row lives for 30 days, as what it answers does.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from anontrace.companion.days import KEPT_SECONDS
from anontrace.companion.store.database import Database
from anontrace.companion.store.states import ACCEPTED, READY, REFUSED, SENT


@dataclass(frozen=True)
class StoredAnswer:
    """`said`: what the answer says, to be shown. `tag` and `identity`: by which the nymserver knows it. `way_back`:
    what opens a letter (`SurbSecrets`, and the reply key), empty without one."""

    number: int
    case_id: bytes = field(repr=False)
    state: str
    said: dict[str, Any] = field(repr=False)
    payload: bytes = field(repr=False)  # 239, until it is accepted or refused
    tag: bytes = field(repr=False)
    identity: bytes = field(repr=False)
    way_back: bytes = field(repr=False)
    reply_key: bytes = field(repr=False)
    made: int  # unix seconds
    changed: int  # when it was sent last
    tries: int  # how often it was sent
    letter: str | None = field(repr=False)
    written: int | None  # when the letter was found


class ContactAnswerStore:
    def __init__(self, database: Database) -> None:
        self._db = database

    def add(
        self,
        case_id: bytes,
        said: dict[str, Any],
        sealed: tuple[bytes, bytes, bytes, bytes],
        way_back: tuple[int, bytes] | None,
        now: int,
    ) -> int:
        """Keep one that is ready, before anything of it leaves; its number. `sealed`: payload, tag, identity and reply
        key; `way_back`: the number of its mailbox, and what opens what comes there. Runs within the caller's
        transaction."""
        mailbox, secrets = way_back or (None, b"")
        return self._db.run(
            "INSERT INTO contact_answers (case_id, state, said, payload, tag, identity, reply_key, mailbox, way_back,"
            f" made, changed) VALUES (?, '{READY}', ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            case_id, json.dumps(said), *sealed, mailbox, secrets, now, now,
        )  # fmt: skip

    def all(self) -> list[StoredAnswer]:
        """In the order in which they were given."""
        return self._some("1 = 1")

    def of_case(self, case_id: bytes) -> list[StoredAnswer]:
        return self._some("case_id = ?", case_id)

    def get(self, number: int) -> StoredAnswer:
        (found,) = self._some("id = ?", number)
        return found

    def by_mailbox(self, mailbox: int) -> StoredAnswer | None:
        """The one whose letter comes to this mailbox."""
        found = self._some("mailbox = ?", mailbox)
        return found[0] if found else None

    def _some(self, condition: str, *values: object) -> list[StoredAnswer]:
        return [
            StoredAnswer(
                row["id"], row["case_id"], row["state"], json.loads(row["said"]), row["payload"], row["tag"],
                row["identity"], row["way_back"], row["reply_key"], row["made"], row["changed"], row["tries"],
                row["letter"], row["written"],
            )
            for row in self._db.rows(f"SELECT * FROM contact_answers WHERE {condition} ORDER BY id", *values)
        ]  # fmt: skip

    def set_sent(self, numbers: list[int], now: int) -> None:
        """The first mix has these."""
        with self._db.transaction():
            for number in numbers:
                self._db.run(
                    f"UPDATE contact_answers SET state = '{SENT}', changed = ?, tries = tries + 1 WHERE id = ?",
                    now, number,
                )  # fmt: skip

    def set_ready(self, number: int) -> None:
        """It was lost, and is to be sent again; runs within the caller's transaction, as `finish` does."""
        self._db.run(f"UPDATE contact_answers SET state = '{READY}' WHERE id = ?", number)

    def finish(self, number: int, state: str) -> None:
        assert state in (ACCEPTED, REFUSED)
        self._db.run("UPDATE contact_answers SET state = ?, payload = x'' WHERE id = ?", state, number)

    def set_letter(self, number: int, letter: str, now: int) -> None:
        """Runs within the caller's transaction."""
        self._db.run("UPDATE contact_answers SET letter = ?, written = ? WHERE id = ?", letter, now, number)

    def put_right(self, now: int) -> None:
        """What was sent later than now was so by a clock that was ahead."""
        with self._db.transaction():
            self._db.run("UPDATE contact_answers SET changed = ? WHERE changed > ?", now, now)

    def forget(self, now: int) -> None:
        with self._db.transaction():
            self._db.run("DELETE FROM contact_answers WHERE made <= ?", now - KEPT_SECONDS)
