"""Renewals under way: SURBs that are being replaced, and how far each has come (docs/companion-traffic.md).

One row per old SURB; it is deleted with the SURB. The steps are `companion.renewal`'s.
"""

import json
from dataclasses import dataclass, field

from anontrace.companion.database import Database
from anontrace.companion.vault import Vault

REPLACING = "replacing"  # the new SURB is on its way to the nymserver
DRAINING = "draining"  # it is there, or on its way once more; what was sent by the old one may still be in flight
DUMMY_DUE = "dummy due"  # the old SURB is to be spent by a dummy
SETTLING = "settling"  # the dummy is in flight
CHECKING = "checking"  # the old mailbox is to be asked for the last time

# Renewals by their successors.
_HAS = "surb IN (SELECT o.id FROM surbs o JOIN surbs n ON n.address = o.address AND o.id < n.id WHERE "
_OF = _HAS + "n.id = ?)"
_SURE = _HAS + "n.state = 'confirmed' AND (n.seen OR n.sends >= 2))"

_CONTACT_ADDRESS = "addresses.contact_address"
_BLOB = "surbs.blob"


@dataclass(frozen=True)
class OldSurb:
    """A SURB that is to be spent by its maker."""

    surb: int
    slot: int
    contact_address: bytes = field(repr=False)
    blob: bytes = field(repr=False)


class RenewalStore:
    def __init__(self, database: Database, vault: Vault) -> None:
        self._db = database
        self._vault = vault

    def start(self, surb: int, now: int) -> None:
        """Runs within the caller's transaction, with the storing of the successor."""
        self._db.run("INSERT INTO renewals (surb, state, due) VALUES (?, 'replacing', ?)", surb, now)

    def replaced(self, due: int) -> int:
        """Those whose successor the nymserver has begin to drain; how many."""
        return self._move("state = 'replacing' AND surb IN (SELECT id FROM surbs WHERE state = 'replaced')",
                          DRAINING, due)  # fmt: skip

    def drained(self, now: int) -> int:
        """Old SURBs are given up when the nymserver must have their successors: seen there, or sent twice."""
        return self._move(f"state = 'draining' AND due <= ? AND {_SURE}", DUMMY_DUE, now, now)

    def repeated(self, successors: list[int], due: int) -> None:
        """These went once more: what was sent by the old ones until they arrive is waited for."""
        with self._db.transaction():
            for surb in successors:
                self._db.run(f"UPDATE renewals SET due = max(due, ?) WHERE state = 'draining' AND {_OF}", due, surb)  # noqa: S608

    def set_back(self, successor: int) -> None:
        """The nymserver does not have it; runs within the caller's transaction."""
        self._db.run(
            f"UPDATE renewals SET state = 'replacing' WHERE state IN ('draining', 'dummy due') AND {_OF}",  # noqa: S608
            successor,
        )

    def settled(self, now: int) -> int:
        return self._move("state = 'settling' AND due <= ?", CHECKING, now, now)

    def _move(self, condition: str, state: str, due: int, *values: object) -> int:
        with self._db.transaction():
            moved = self._db.rows(f"SELECT surb FROM renewals WHERE {condition}", *values)  # noqa: S608 - own text
            for row in moved:
                self._db.run("UPDATE renewals SET state = ?, due = ? WHERE surb = ?", state, due, row["surb"])
        return len(moved)

    def with_dummy_due(self) -> list[OldSurb]:
        rows = self._db.rows(
            "SELECT r.surb, a.slot, a.contact_address, s.blob FROM renewals r JOIN surbs s ON s.id = r.surb"
            " JOIN addresses a ON a.id = s.address WHERE r.state = 'dummy due' ORDER BY r.due, r.surb"
        )
        unseal = self._vault.open
        return [
            OldSurb(row["surb"], row["slot"], unseal(_CONTACT_ADDRESS, row["contact_address"]),
                    unseal(_BLOB, row["blob"]))
            for row in rows
        ]  # fmt: skip

    def dummies_sent(self, surbs: list[int], due: int) -> None:
        with self._db.transaction():
            for surb in surbs:
                self._db.run("UPDATE renewals SET state = 'settling', due = ? WHERE surb = ?", due, surb)

    def checked(self, mailboxes: list[int], most_looks: int, now: int) -> None:
        """These mailboxes were asked: an old one is dropped if its message is there, or after `most_looks`.

        Runs within the caller's transaction.
        """
        rows = self._db.rows(
            "SELECT m.id, r.surb, r.looks, m.skip FROM renewals r JOIN surbs s ON s.id = r.surb"
            " JOIN mailboxes m ON m.id = s.mailbox WHERE r.state = 'checking'"
            " AND m.id IN (SELECT value FROM json_each(?))",
            json.dumps(mailboxes),
        )
        for row in rows:
            if row["skip"] or row["looks"] + 1 >= most_looks:
                self._db.run("DELETE FROM renewals WHERE surb = ?", row["surb"])
                self._db.run("UPDATE mailboxes SET until = ? WHERE id = ?", now, row["id"])
            else:
                self._db.run("UPDATE renewals SET looks = looks + 1 WHERE surb = ?", row["surb"])

    def counts(self) -> dict[str, int]:
        """How many renewals are in each state."""
        return {row["state"]: row["n"] for row in self._db.rows(
            "SELECT state, count(*) AS n FROM renewals GROUP BY state")}  # fmt: skip
