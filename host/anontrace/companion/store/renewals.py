"""Renewals under way: SURBs that are being replaced, and how far each has come (docs/companion-traffic.md).

One row per old SURB; it is deleted with the SURB. The steps are `schedule.renewal`'s.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from anontrace.companion.store.database import Database
from anontrace.companion.store.states import CHECKING, CONFIRMED, DRAINING, DUMMY_DUE, REPLACED, REPLACING, SETTLING

# Renewals by their successors.
_OF = "surb IN (SELECT o.id FROM surbs o JOIN surbs n ON n.address = o.address AND o.id < n.id WHERE n.id = ?)"
_SURE = (  # `+`: by the address, and not through all that are confirmed
    "EXISTS (SELECT 1 FROM surbs n WHERE n.address = s.address AND s.id < n.id"
    f" AND +n.state = '{CONFIRMED}' AND (n.seen OR n.sends >= 2 OR ?))"
)


@dataclass(frozen=True)
class OldSurb:
    """A SURB that is to be spent by its maker. `seed` (32): what its dummy is made from, None until it is given up."""

    surb: int
    mailbox: int
    slot: int
    contact_address: bytes = field(repr=False)
    blob: bytes = field(repr=False)
    secrets: bytes = field(repr=False)
    seed: bytes | None = field(repr=False)


class RenewalStore:
    def __init__(self, database: Database) -> None:
        self._db = database

    def start(self, surb: int, now: int) -> None:
        """Runs within the caller's transaction, with the storing of the successor."""
        self._db.run(f"INSERT INTO renewals (surb, state, due) VALUES (?, '{REPLACING}', ?)", surb, now)

    def put_right(self, latest: int) -> None:
        """None waits for longer than until then: what is due later was begun while the clock was ahead."""
        with self._db.transaction():
            self._db.run("UPDATE renewals SET due = ? WHERE due > ?", latest, latest)

    def replaced(self, due: Callable[[], int]) -> int:
        """Those whose successor the nymserver has begin to drain, each until it is `due`; how many."""
        of_them = f"EXISTS (SELECT 1 FROM surbs WHERE id = surb AND surbs.state = '{REPLACED}')"
        return self._move(f"state = '{REPLACING}' AND {of_them}", DRAINING, due)

    def drained(self, now: int, arrive: bool) -> list[OldSurb]:
        """Old SURBs to be given up: the nymserver must have their successors, seen there, sent twice, or sent while all
        that is sent `arrive`s."""
        return self._old(f"r.state = '{DRAINING}' AND r.due <= ? AND {_SURE}", now, arrive)

    def give_up(self, surb: int, seed: bytes, now: int) -> None:
        """Its dummy is due, made from this seed; runs within the caller's transaction."""
        self._db.run("UPDATE renewals SET state = ?, due = ?, seed = ? WHERE surb = ?", DUMMY_DUE, now, seed, surb)

    def repeated(self, successors: list[int], due: int) -> None:
        """These went once more: what was sent by the old ones until they arrive is waited for."""
        with self._db.transaction():
            for surb in successors:
                self._db.run(f"UPDATE renewals SET due = max(due, ?) WHERE state = '{DRAINING}' AND {_OF}", due, surb)

    def set_back(self, successor: int) -> None:
        """The nymserver does not have it; runs within the caller's transaction."""
        self._db.run(
            f"UPDATE renewals SET state = '{REPLACING}' WHERE state IN ('{DRAINING}', '{DUMMY_DUE}') AND {_OF}",
            successor,
        )

    def settled(self, now: int) -> int:
        return self._move(f"state = '{SETTLING}' AND due <= ?", CHECKING, lambda: now, now)

    def _move(self, condition: str, state: str, due: Callable[[], int], *values: object) -> int:
        with self._db.transaction():
            moved = self._db.column(f"SELECT surb FROM renewals WHERE {condition}", *values)
            for surb in moved:
                self._db.run("UPDATE renewals SET state = ?, due = ? WHERE surb = ?", state, due(), surb)
        return len(moved)

    def with_dummy_due(self) -> list[OldSurb]:
        return self._old(f"r.state = '{DUMMY_DUE}'")

    def _old(self, condition: str, *values: object) -> list[OldSurb]:
        rows = self._db.rows(
            "SELECT r.surb, s.mailbox, a.slot, a.contact_address, s.blob, s.secrets, r.seed FROM renewals r"
            f" JOIN surbs s ON s.id = r.surb JOIN addresses a ON a.id = s.address WHERE {condition}"
            " ORDER BY r.due, r.surb",
            *values,
        )
        return [
            OldSurb(
                row["surb"], row["mailbox"], row["slot"], row["contact_address"], row["blob"], row["secrets"],
                row["seed"],
            )
            for row in rows
        ]  # fmt: skip

    def dummies_asked(self, surbs: list[int], due: int) -> None:
        with self._db.transaction():
            for surb in surbs:
                self._db.run(f"UPDATE renewals SET state = '{SETTLING}', due = ? WHERE surb = ?", due, surb)

    def in_groups(self, groups: list[int]) -> list[int]:
        """The mailboxes of these groups that are looked into for the last time."""
        return self._db.column(
            "SELECT m.id FROM renewals r JOIN surbs s ON s.id = r.surb JOIN mailboxes m ON m.id = s.mailbox"
            f" WHERE r.state = '{CHECKING}' AND m.mail_group IN (SELECT value FROM json_each(?))",
            json.dumps(groups),
        )

    def checked(self, mailboxes: list[int], most_looks: int, now: int) -> None:
        """These mailboxes were asked: an old one is dropped if its message is there, or after `most_looks`.

        Runs within the caller's transaction.
        """
        rows = self._db.rows(
            "SELECT m.id, r.surb, r.looks, m.skip FROM renewals r JOIN surbs s ON s.id = r.surb"
            f" JOIN mailboxes m ON m.id = s.mailbox WHERE r.state = '{CHECKING}'"
            " AND m.id IN (SELECT value FROM json_each(?))",
            json.dumps(mailboxes),
        )
        for row in rows:
            if row["skip"] or row["looks"] + 1 >= most_looks:
                self._db.run("DELETE FROM renewals WHERE surb = ?", row["surb"])
                self._db.run("UPDATE mailboxes SET until = ? WHERE id = ?", now, row["id"])
            else:
                self._db.run("UPDATE renewals SET looks = looks + 1 WHERE surb = ?", row["surb"])

    def begun_count(self) -> int:
        """How many have something to send yet."""
        counts = self.counts()
        return sum(counts.get(state, 0) for state in (REPLACING, DRAINING, DUMMY_DUE))

    def counts(self) -> dict[str, int]:
        """How many renewals are in each state."""
        return {row["state"]: row["n"] for row in self._db.rows(
            "SELECT state, count(*) AS n FROM renewals GROUP BY state")}  # fmt: skip
