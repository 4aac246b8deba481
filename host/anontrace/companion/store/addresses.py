"""Contact addresses, their mailboxes, and the SURBs that lead from the one to the other.

A SURB is *made*, then *sent* in a swap, then *confirmed* to be stored at the nymserver, and at last *replaced* by the
next one of its address; apart from that it is *seen* once the nymserver was seen to hold it (else its confirmation is
inferred), and *spent* once a message came by it. Its mailbox is polled from the start until its time is over, whatever
the state.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from anontrace.companion.database import Database
from anontrace.companion.vault import Vault

MADE = "made"
SENT = "sent"
CONFIRMED = "confirmed"
REPLACED = "replaced"

_CONTACT_ADDRESS = "addresses.contact_address"
_MAILBOX = "mailboxes.address"
_AUTHENTICATION = "surbs.authentication"
_BLOB = "surbs.blob"
_SECRETS = "surbs.secrets"


@dataclass(frozen=True)
class Address:
    """A contact address of this companion's badge: K for one slot."""

    number: int
    slot: int
    contact_address: bytes = field(repr=False)


@dataclass(frozen=True)
class NewSurb:
    """What is to be stored of a SURB that was just made."""

    server: int  # number of the mailbox server
    mailbox: bytes = field(repr=False)
    until: int  # unix seconds: nothing can arrive later
    authentication: bytes = field(repr=False)
    blob: bytes = field(repr=False)
    secrets: bytes = field(repr=False)


@dataclass(frozen=True)
class PendingSwap:
    """A SURB with all that its swap holds."""

    surb: int
    address: Address
    state: str
    changed: int  # unix seconds: when it was made or last sent
    authentication: bytes = field(repr=False)
    blob: bytes = field(repr=False)


@dataclass(frozen=True)
class UnderWay:
    """A SURB whose swap is not confirmed yet, without its secrets."""

    surb: int
    slot: int
    changed: int  # unix seconds: when it was made or last sent


@dataclass(frozen=True)
class Mailbox:
    number: int
    server: int
    address: bytes = field(repr=False)
    skip: int


@dataclass(frozen=True)
class ReceivingSurb:
    """The SURB that leads to a mailbox: what opens a payload found there."""

    surb: int
    address: Address
    blob: bytes = field(repr=False)
    secrets: bytes = field(repr=False)


class AddressStore:
    def __init__(self, database: Database, vault: Vault) -> None:
        self._db = database
        self._vault = vault

    def slots(self, badge: int, first: int, end: int) -> set[int]:
        """Slots in [first, end) that have an address already, in whatever state."""
        rows = self._db.rows("SELECT slot FROM addresses WHERE badge = ? AND slot >= ? AND slot < ?", badge, first, end)
        return {row["slot"] for row in rows}

    def contact_addresses(self, badge: int, first: int, end: int) -> dict[int, bytes]:
        """K by slot, for the slots in [first, end) that have one."""
        rows = self._db.rows(
            "SELECT slot, contact_address FROM addresses WHERE badge = ? AND slot >= ? AND slot < ? ORDER BY slot",
            badge, first, end,
        )  # fmt: skip
        return {row["slot"]: self._vault.open(_CONTACT_ADDRESS, row["contact_address"]) for row in rows}

    def add(self, badge: int, made: list[tuple[int, bytes, NewSurb]], now: int) -> None:
        """Store new addresses (slot, K, SURB), all or none."""
        with self._db.transaction():
            for slot, contact_address, surb in made:
                address = self._db.run(
                    "INSERT INTO addresses (badge, slot, contact_address) VALUES (?, ?, ?)",
                    badge, slot, self._vault.seal(_CONTACT_ADDRESS, contact_address),
                )  # fmt: skip
                self._insert_surb(address, surb, now)

    def add_successors(self, made: list[tuple[Address, NewSurb]], now: int) -> None:
        """Store successors of SURBs, all or none."""
        with self._db.transaction():
            self.insert_successors(made, now)

    def insert_successors(self, made: list[tuple[Address, NewSurb]], now: int) -> None:
        """The same within the caller's transaction."""
        for address, surb in made:
            self._insert_surb(address.number, surb, now)

    def _insert_surb(self, address: int, surb: NewSurb, now: int) -> None:
        seal = self._vault.seal
        mailbox = self._db.run(
            "INSERT INTO mailboxes (server, address, until) VALUES (?, ?, ?)",
            surb.server, seal(_MAILBOX, surb.mailbox), surb.until,
        )  # fmt: skip
        self._db.run(
            "INSERT INTO surbs (address, mailbox, state, authentication, blob, secrets, changed)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            address, mailbox, MADE, seal(_AUTHENTICATION, surb.authentication), seal(_BLOB, surb.blob),
            seal(_SECRETS, surb.secrets), now,
        )  # fmt: skip

    def under_way(self, state: str) -> list[UnderWay]:
        """The SURBs that are made, or those that are sent, but not confirmed; opens no secret."""
        rows = self._db.rows(
            "SELECT s.id, a.slot, s.changed FROM surbs s JOIN addresses a ON a.id = s.address"
            " WHERE s.state = ? ORDER BY s.id",
            state,
        )
        return [UnderWay(row["id"], row["slot"], row["changed"]) for row in rows]

    def pending(self) -> list[PendingSwap]:
        """All SURBs that are made or sent but not confirmed."""
        return self._swaps("WHERE s.state IN (?, ?) ORDER BY s.id", MADE, SENT)

    def swaps(self, surbs: Sequence[int]) -> list[PendingSwap]:
        """These SURBs, whatever their state."""
        return self._swaps("WHERE s.id IN (SELECT value FROM json_each(?)) ORDER BY s.id", json.dumps(list(surbs)))

    def unseen_successors(self) -> list[int]:
        """SURBs that are taken for confirmed, and for which an older one is about to be given up."""
        rows = self._db.rows(
            "SELECT n.id FROM renewals r JOIN surbs o ON o.id = r.surb"
            " JOIN surbs n ON n.address = o.address AND n.id > o.id WHERE n.state = ? AND NOT n.seen ORDER BY n.id",
            CONFIRMED,
        )
        return [row["id"] for row in rows]

    def to_repeat(self, first: int, limit: int) -> list[PendingSwap]:
        """Up to `limit` SURBs of slots from `first` on that are taken for confirmed and were never seen.

        Successors that were sent but once come first, then those sent least often.
        """
        return self._swaps(
            "LEFT JOIN (SELECT o.address FROM renewals r JOIN surbs o ON o.id = r.surb WHERE r.state = 'draining') d"
            " ON d.address = a.id WHERE s.state = ? AND NOT s.seen AND a.slot >= ?"
            " AND s.id = (SELECT max(id) FROM surbs WHERE address = a.id)"
            " ORDER BY d.address IS NULL OR s.sends >= 2, s.sends, s.changed LIMIT ?",
            CONFIRMED, first, limit,
        )  # fmt: skip

    def _swaps(self, condition: str, *values: object) -> list[PendingSwap]:
        unseal = self._vault.open
        return [
            PendingSwap(
                row["id"],
                Address(row["address"], row["slot"], unseal(_CONTACT_ADDRESS, row["contact_address"])),
                row["state"],
                row["changed"],
                unseal(_AUTHENTICATION, row["authentication"]),
                unseal(_BLOB, row["blob"]),
            )
            for row in self._db.rows(
                "SELECT s.id, s.state, s.changed, s.authentication, s.blob, a.id AS address, a.slot,"  # noqa: S608
                f" a.contact_address FROM surbs s JOIN addresses a ON a.id = s.address {condition}",
                *values,
            )
        ]

    def set_sent(self, surbs: list[int], now: int) -> None:
        """These were sent, for the first time or again."""
        with self._db.transaction():
            for surb in surbs:
                self._db.run("UPDATE surbs SET sends = sends + 1 WHERE id = ?", surb)
                self._db.run(
                    "UPDATE surbs SET state = ?, changed = ? WHERE id = ? AND state IN (?, ?)",
                    SENT, now, surb, MADE, SENT,
                )  # fmt: skip

    def set_lost(self, surbs: list[int], now: int) -> None:
        """These were sent and may not have arrived: they are to be sent again."""
        with self._db.transaction():
            for surb in surbs:
                self._db.run(
                    "UPDATE surbs SET state = ?, changed = ? WHERE id = ? AND state = ?", MADE, now, surb, SENT
                )

    def set_missing(self, surb: int, now: int) -> None:
        """The nymserver does not hold it, but what came before, if anything did; it is to be sent again.

        Runs within the caller's transaction.
        """
        self._db.run("UPDATE surbs SET state = ?, changed = ? WHERE id = ?", MADE, now, surb)
        self._db.run(
            "UPDATE surbs SET state = ? WHERE state = ? AND id = (SELECT max(o.id) FROM surbs o JOIN surbs n"
            " ON n.address = o.address WHERE n.id = ? AND o.id < n.id)",
            CONFIRMED, REPLACED, surb,
        )  # fmt: skip

    def set_confirmed(self, surbs: list[int], now: int, seen: bool = True) -> None:
        """The nymserver holds these, seen there or not; earlier SURBs of the same addresses are replaced by them."""
        with self._db.transaction():
            for surb in surbs:
                self._db.run("UPDATE surbs SET seen = seen OR ? WHERE id = ?", seen, surb)
                self._db.run(
                    "UPDATE surbs SET state = ?, changed = ? WHERE id = ? AND state IN (?, ?)",
                    CONFIRMED, now, surb, MADE, SENT,
                )  # fmt: skip
                self._db.run(
                    "UPDATE surbs SET state = ?, changed = ? WHERE id < ? AND state != ?"
                    " AND address = (SELECT address FROM surbs WHERE id = ?)",
                    REPLACED, now, surb, REPLACED, surb,
                )  # fmt: skip

    def confirmed_until(self, badge: int, slot: int) -> int:
        """End (exclusive) of the unbroken run of confirmed slots that begins with `slot`; `slot` if there is none."""
        rows = self._db.rows(
            "SELECT DISTINCT a.slot FROM addresses a JOIN surbs s ON s.address = a.id"
            " WHERE a.badge = ? AND a.slot >= ? AND s.state IN (?, ?) ORDER BY a.slot",
            badge, slot, CONFIRMED, REPLACED,
        )  # fmt: skip
        end = slot
        for row in rows:
            if row["slot"] != end:
                break
            end += 1
        return end

    def pending_count(self) -> int:
        row = self._db.row("SELECT count(*) AS n FROM surbs WHERE state IN (?, ?)", MADE, SENT)
        return int(row["n"]) if row else 0

    def live_mailboxes(self, now: int) -> list[Mailbox]:
        rows = self._db.rows("SELECT id, server, address, skip FROM mailboxes WHERE until > ? ORDER BY id", now)
        return [
            Mailbox(row["id"], row["server"], self._vault.open(_MAILBOX, row["address"]), row["skip"]) for row in rows
        ]

    def to_ask(self, server: int, slots: tuple[int, int], now: int, limit: int) -> list[Mailbox]:
        """Up to `limit` live mailboxes of a server whose slot is in [first, end): those due for their last look first,
        then those asked longest ago."""
        rows = self._db.rows(
            "SELECT m.id, m.server, m.address, m.skip FROM mailboxes m JOIN surbs s ON s.mailbox = m.id"
            " JOIN addresses a ON a.id = s.address LEFT JOIN renewals r ON r.surb = s.id AND r.state = 'checking'"
            " WHERE m.server = ? AND m.until > ? AND a.slot >= ? AND a.slot < ?"
            " ORDER BY r.surb IS NULL, m.asked, a.slot LIMIT ?",
            server, now, *slots, limit,
        )  # fmt: skip
        return [
            Mailbox(row["id"], row["server"], self._vault.open(_MAILBOX, row["address"]), row["skip"]) for row in rows
        ]

    def set_asked(self, mailboxes: list[int], now: int) -> None:
        """These were asked; runs within the caller's transaction."""
        self._db.run(
            "UPDATE mailboxes SET asked = ? WHERE id IN (SELECT value FROM json_each(?))", now, json.dumps(mailboxes)
        )

    def live_mailbox_count(self, now: int) -> int:
        row = self._db.row("SELECT count(*) AS n FROM mailboxes WHERE until > ?", now)
        return int(row["n"]) if row else 0

    def receiving(self, mailbox: int) -> ReceivingSurb | None:
        found = self._receiving("s.mailbox = ?", mailbox)
        return found[0] if found else None

    def to_replace(self) -> list[ReceivingSurb]:
        """SURBs that were spent and have no successor yet."""
        return self._receiving("s.spent AND s.id = (SELECT max(id) FROM surbs WHERE address = s.address)")

    def to_renew(self, slots: tuple[int, int], limit: int) -> list[ReceivingSurb]:
        """Up to `limit` SURBs in use whose slot is in [first, end): those that were spent first, then any at random."""
        return self._receiving(
            "s.state = 'confirmed' AND s.id = (SELECT max(id) FROM surbs WHERE address = s.address)"
            " AND (s.spent OR (a.slot >= ? AND a.slot < ?)) AND a.id NOT IN"
            " (SELECT o.address FROM renewals r JOIN surbs o ON o.id = r.surb)",
            *slots, limit, order="s.spent DESC, random() LIMIT ?",
        )  # fmt: skip

    def _receiving(self, condition: str, *values: object, order: str = "s.id") -> list[ReceivingSurb]:
        unseal = self._vault.open
        return [
            ReceivingSurb(
                row["id"],
                Address(row["address"], row["slot"], unseal(_CONTACT_ADDRESS, row["contact_address"])),
                unseal(_BLOB, row["blob"]),
                unseal(_SECRETS, row["secrets"]),
            )
            for row in self._db.rows(
                "SELECT s.id, s.blob, s.secrets, a.id AS address, a.slot, a.contact_address"  # noqa: S608 - own text
                f" FROM surbs s JOIN addresses a ON a.id = s.address WHERE {condition} ORDER BY {order}",
                *values,
            )
        ]

    def set_spent(self, surb: int) -> None:
        """A message came by it, so the nymserver had it, and no other will; runs within the caller's transaction."""
        self._db.run("UPDATE surbs SET spent = 1, seen = 1 WHERE id = ?", surb)

    def set_skip(self, mailbox: int, skip: int) -> None:
        """Messages fetched so far; runs within the caller's transaction, with what was found in them."""
        self._db.run("UPDATE mailboxes SET skip = ? WHERE id = ?", skip, mailbox)

    def forget(self, now: int) -> None:
        """Delete mailboxes whose time is over with the secrets of their SURBs, and addresses that have no SURB left."""
        with self._db.transaction():
            self._db.run("DELETE FROM mailboxes WHERE until <= ?", now)
            self._db.run(
                "DELETE FROM addresses WHERE NOT EXISTS (SELECT 1 FROM surbs WHERE surbs.address = addresses.id)"
            )
