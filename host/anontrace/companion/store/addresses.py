"""Contact addresses, their mailboxes, and the SURBs that lead from the one to the other.

A SURB is *made*, then *sent* in a swap, then *confirmed* to be stored at the nymserver, and at last *replaced* by the
next one of its address; apart from that it is *seen* once a receipt said that the nymserver holds it (else its
confirmation is inferred), and *spent* once a message came by it. Its mailbox is looked into from the start until its
time is over, whatever the state.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from anontrace.companion.store.database import Database
from anontrace.companion.store.states import CHECKING, CONFIRMED, DRAINING, MADE, REPLACED, SENT
from anontrace.mixnet.sizes import BOX, GROUP


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
    group: int | None = None  # the group that its mailbox is in; None: one of its own, as made up to 0.2
    leaves: int = 0  # unix seconds: by `run` its swap is not sent earlier


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
    is_repeated: bool  # it was sent more than once


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


_NEW_MAILBOX = "INSERT INTO mailboxes (server, address, until, mail_group) VALUES (?, ?, ?, ?)"


class AddressStore:
    # Renewals are few, confirmed SURBs are thousands: `CROSS JOIN` and `+` let SQLite begin with the former.

    def __init__(self, database: Database) -> None:
        self._db = database

    def put_right(self, now: int, latest: int) -> None:
        """What was noted as sent or asked later than now was so by a clock that was ahead: take it for done now. And no
        swap waits for longer than until `latest`."""
        with self._db.transaction():
            self._db.run(
                "UPDATE surbs SET leaves = min(leaves, ?), changed = min(changed, ?) WHERE leaves > ? OR changed > ?",
                latest, now, latest, now,
            )  # fmt: skip
            self._db.run("UPDATE mailboxes SET asked = ? WHERE asked > ?", now, now)

    def slots(self, badge: int, first: int, end: int) -> set[int]:
        """Slots in [first, end) that have an address already, in whatever state."""
        known = "SELECT slot FROM addresses WHERE badge = ? AND slot >= ? AND slot < ?"
        return set(self._db.column(known, badge, first, end))

    def contact_addresses(self, badge: int, first: int, end: int) -> dict[int, bytes]:
        """K by slot, for the slots in [first, end) that have one."""
        rows = self._db.rows(
            "SELECT slot, contact_address FROM addresses WHERE badge = ? AND slot >= ? AND slot < ? ORDER BY slot",
            badge, first, end,
        )  # fmt: skip
        return {row["slot"]: row["contact_address"] for row in rows}

    def add(self, badge: int, made: list[tuple[int, bytes, NewSurb]], now: int) -> None:
        """Store new addresses (slot, K, SURB), all or none."""
        with self._db.transaction():
            addresses = self._db.run_many(
                "INSERT INTO addresses (badge, slot, contact_address) VALUES (?, ?, ?) RETURNING id",
                ((badge, slot, contact_address) for slot, contact_address, _ in made),
            )
            self._insert_surbs(addresses, [surb for _, _, surb in made], now)

    def add_successors(self, made: list[tuple[Address, NewSurb]], now: int) -> None:
        """Store successors of SURBs, all or none."""
        with self._db.transaction():
            self.insert_successors(made, now)

    def insert_successors(self, made: list[tuple[Address, NewSurb]], now: int) -> None:
        """The same within the caller's transaction."""
        self._insert_surbs([address.number for address, _ in made], [surb for _, surb in made], now)

    def _insert_surbs(self, addresses: list[int], surbs: list[NewSurb], now: int) -> None:
        mailboxes = self._db.run_many(
            f"{_NEW_MAILBOX} RETURNING id", ((each.server, each.mailbox, each.until, each.group) for each in surbs)
        )
        self._db.run_many(
            "INSERT INTO surbs (address, mailbox, state, authentication, blob, secrets, changed, leaves)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (address, mailbox, MADE, surb.authentication, surb.blob, surb.secrets, now, surb.leaves)
                for address, mailbox, surb in zip(addresses, mailboxes, surbs, strict=True)
            ),
        )

    def add_mailbox(self, server: int, address: bytes, until: int, group: int | None) -> int:
        """Its number; runs within the caller's transaction. One to which no SURB leads is for what is expected."""
        return self._db.run(_NEW_MAILBOX, server, address, until, group)

    def under_way(self, state: str) -> list[UnderWay]:
        """The SURBs that are made, or those that are sent, but not confirmed; opens no secret."""
        rows = self._db.rows(
            "SELECT s.id, a.slot, s.changed, s.sends FROM surbs s JOIN addresses a ON a.id = s.address"
            " WHERE s.state = ? ORDER BY s.id",
            state,
        )
        return [UnderWay(row["id"], row["slot"], row["changed"], row["sends"] > 1) for row in rows]

    def pending(self) -> list[PendingSwap]:
        """All SURBs that are made or sent but not confirmed."""
        return self._swaps("WHERE s.state IN (?, ?) ORDER BY s.id", MADE, SENT)

    def swaps(self, surbs: Sequence[int]) -> list[PendingSwap]:
        """These SURBs, whatever their state."""
        return self._swaps("WHERE s.id IN (SELECT value FROM json_each(?)) ORDER BY s.id", json.dumps(list(surbs)))

    def due(self, now: int) -> tuple[list[int], list[int]]:
        """The SURBs whose swaps are to be sent by now, in the order in which they leave: those of new addresses, and
        successors."""
        rows = self._db.rows(
            "SELECT s.id, EXISTS (SELECT 1 FROM surbs o WHERE o.address = s.address AND o.id < s.id) AS successor"
            " FROM surbs s WHERE s.state = ? AND s.leaves <= ? ORDER BY s.leaves, random()",
            MADE, now,
        )  # fmt: skip
        new, successors = ([row["id"] for row in rows if row["successor"] == kind] for kind in (0, 1))
        return new, successors

    def unseen_successors(self) -> list[int]:
        """SURBs that are taken for confirmed, and for which an older one is about to be given up."""
        return self._db.column(
            "SELECT n.id FROM renewals r CROSS JOIN surbs o ON o.id = r.surb"
            " CROSS JOIN surbs n ON n.address = o.address AND n.id > o.id WHERE +n.state = ? AND NOT n.seen"
            " ORDER BY n.id",
            CONFIRMED,
        )

    def to_repeat(self) -> list[int]:
        """Successors that were sent but once, and for which an older SURB waits to be given up."""
        return self._db.column(
            f"SELECT n.id FROM renewals r CROSS JOIN surbs o ON o.id = r.surb AND r.state = '{DRAINING}'"
            " CROSS JOIN surbs n ON n.address = o.address AND n.id > o.id"
            " WHERE +n.state = ? AND NOT n.seen AND n.sends < 2 ORDER BY n.id",
            CONFIRMED,
        )

    def in_use(self, now: int) -> list[int]:
        """SURBs that are confirmed, whatever their slots, with a live mailbox."""
        return self._db.column(
            "SELECT s.id FROM surbs s JOIN mailboxes m ON m.id = s.mailbox WHERE s.state = ? AND m.until > ?",
            CONFIRMED, now,
        )  # fmt: skip

    def _swaps(self, condition: str, *values: object) -> list[PendingSwap]:
        return [
            PendingSwap(
                row["id"],
                Address(row["address"], row["slot"], row["contact_address"]),
                row["state"],
                row["changed"],
                row["authentication"],
                row["blob"],
            )
            for row in self._db.rows(
                "SELECT s.id, s.state, s.changed, s.authentication, s.blob, a.id AS address, a.slot,"
                f" a.contact_address FROM surbs s JOIN addresses a ON a.id = s.address {condition}",
                *values,
            )
        ]

    def set_sent(self, surbs: list[int], now: int) -> None:
        """These were sent, for the first time or again."""
        with self._db.transaction():
            self._db.run_many(
                "UPDATE surbs SET sends = sends + 1, changed = CASE WHEN state IN (?, ?) THEN ? ELSE changed END,"
                " state = CASE state WHEN ? THEN ? ELSE state END WHERE id = ?",
                ((MADE, SENT, now, MADE, SENT, surb) for surb in surbs),
            )

    def set_lost(self, surbs: list[int], now: int, leaves: Callable[[], int]) -> None:
        """These were sent and may not have arrived: they are to be sent again, each not earlier than it `leaves`."""
        with self._db.transaction():
            for surb in surbs:
                self._db.run(
                    "UPDATE surbs SET state = ?, changed = ?, leaves = ? WHERE id = ? AND state = ?",
                    MADE, now, leaves(), surb, SENT,
                )  # fmt: skip

    def set_missing(self, surb: int, asked: int, now: int) -> bool:
        """The nymserver does not hold it, but what came before, if anything did; it is to be sent again.

        False, and nothing is changed, if it was sent again since that was `asked`, or has a successor. Runs within the
        caller's transaction.
        """
        row = self._db.row(
            "SELECT 1 FROM surbs WHERE id = ? AND state IN (?, ?) AND NOT (state = ? AND changed > ?)"
            " AND id = (SELECT max(n.id) FROM surbs n WHERE n.address = surbs.address)",
            surb, SENT, CONFIRMED, SENT, asked,
        )  # fmt: skip
        if row is None:
            return False
        self._db.run("UPDATE surbs SET state = ?, changed = ?, leaves = 0, seen = 0 WHERE id = ?", MADE, now, surb)
        self._db.run(
            "UPDATE surbs SET state = ? WHERE state = ? AND id = (SELECT max(o.id) FROM surbs o JOIN surbs n"
            " ON n.address = o.address WHERE n.id = ? AND o.id < n.id)",
            CONFIRMED, REPLACED, surb,
        )  # fmt: skip
        return True

    def is_successor(self, surb: int) -> bool:
        """Whether there was a SURB of its address before it."""
        return self._db.row(
            "SELECT 1 FROM surbs s JOIN surbs o ON o.address = s.address AND o.id < s.id WHERE s.id = ?", surb
        ) is not None  # fmt: skip

    def sent_at(self, surb: int) -> int | None:
        """When its swap was sent that is under way; None if none is."""
        row = self._db.row("SELECT changed FROM surbs WHERE id = ? AND state = ?", surb, SENT)
        return None if row is None else int(row["changed"])

    def is_seen(self, surb: int) -> bool:
        """Whether the nymserver was seen to hold it."""
        return self._db.row("SELECT 1 FROM surbs WHERE id = ? AND seen", surb) is not None

    def is_repeated(self, surb: int) -> bool:
        """Whether its swap was sent more than once."""
        return self._db.row("SELECT 1 FROM surbs WHERE id = ? AND sends > 1", surb) is not None

    def set_confirmed(self, surbs: list[int], now: int, seen: bool = True) -> None:
        """The nymserver holds these, seen there or not; earlier SURBs of the same addresses are replaced by them."""
        with self._db.transaction():
            self.set_confirmed_within(surbs, now, seen)

    def set_confirmed_within(self, surbs: list[int], now: int, seen: bool = True) -> None:
        """The same within the caller's transaction."""
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
        (end,) = self._db.column(
            "WITH RECURSIVE ends (slot) AS (VALUES (?) UNION ALL SELECT ends.slot + 1 FROM ends WHERE EXISTS"
            " (SELECT 1 FROM addresses a JOIN surbs s ON s.address = a.id"
            " WHERE a.badge = ? AND a.slot = ends.slot AND s.state IN (?, ?)))"
            " SELECT max(slot) FROM ends",
            slot, badge, CONFIRMED, REPLACED,
        )  # fmt: skip
        return int(end)

    def registered(self, badge: int, first: int, end: int) -> dict[int, bool]:
        """Slots in [first, end) that have an address, each with whether it is confirmed."""
        rows = self._db.rows(
            "SELECT a.slot, max(s.state IN (?, ?)) AS confirmed FROM addresses a JOIN surbs s ON s.address = a.id"
            " WHERE a.badge = ? AND a.slot >= ? AND a.slot < ? GROUP BY a.slot ORDER BY a.slot",
            CONFIRMED, REPLACED, badge, first, end,
        )  # fmt: skip
        return {row["slot"]: bool(row["confirmed"]) for row in rows}

    def pending_count(self) -> int:
        row = self._db.row("SELECT count(*) AS n FROM surbs WHERE state IN (?, ?)", MADE, SENT)
        return int(row["n"]) if row else 0

    def alone(self, now: int) -> list[Mailbox]:
        """The live mailboxes that are in no group."""
        rows = self._db.rows(
            "SELECT id, server, address, skip FROM mailboxes WHERE until > ? AND mail_group IS NULL ORDER BY id", now
        )
        return [Mailbox(row["id"], row["server"], row["address"], row["skip"]) for row in rows]

    def in_group(self, group: int, box: bytes) -> list[Mailbox]:
        """The mailboxes of a group whose second half begins like this (4 bytes): one, or hardly ever two."""
        rows = self._db.rows(
            "SELECT id, server, address, skip FROM mailboxes WHERE mail_group = ? AND substr(address, ?, ?) = ?",
            group, GROUP + 1, BOX, box,
        )  # fmt: skip
        return [Mailbox(row["id"], row["server"], row["address"], row["skip"]) for row in rows]

    def to_ask(self, server: int, slots: tuple[int, int], now: int, limit: int) -> list[Mailbox]:
        """Up to `limit` live mailboxes of a server that are in no group and whose slot is in [first, end): those due
        for their last look first, then those asked longest ago."""
        rows = self._db.rows(
            "SELECT m.id, m.server, m.address, m.skip FROM mailboxes m JOIN surbs s ON s.mailbox = m.id"
            f" JOIN addresses a ON a.id = s.address LEFT JOIN renewals r ON r.surb = s.id AND r.state = '{CHECKING}'"
            " WHERE m.server = ? AND m.mail_group IS NULL AND m.until > ? AND a.slot >= ? AND a.slot < ?"
            # What a clock that was ahead has noted says nothing of when that was.
            " ORDER BY r.surb IS NULL, iif(m.asked > ?, 0, m.asked), a.slot LIMIT ?",
            server, now, *slots, now, limit,
        )  # fmt: skip
        return [Mailbox(row["id"], row["server"], row["address"], row["skip"]) for row in rows]

    def set_asked(self, mailboxes: list[int], now: int) -> None:
        """These were asked; runs within the caller's transaction."""
        self._db.run(
            "UPDATE mailboxes SET asked = ? WHERE id IN (SELECT value FROM json_each(?))", now, json.dumps(mailboxes)
        )

    def live_mailbox_count(self, now: int) -> int:
        """Mailboxes to which a SURB leads; those for the answers to receipts are no news to anybody."""
        row = self._db.row(
            "SELECT count(*) AS n FROM mailboxes JOIN surbs ON mailbox = mailboxes.id WHERE until > ?", now
        )
        return int(row["n"]) if row else 0

    def has_dead_mailboxes(self, now: int) -> bool:
        """Whether any is kept in which, by this clock, nothing can arrive any more."""
        return self._db.row("SELECT 1 FROM mailboxes WHERE until <= ? LIMIT 1", now) is not None

    def receiving(self, mailbox: int) -> ReceivingSurb | None:
        found = self._receiving("s.mailbox = ?", mailbox)
        return found[0] if found else None

    def to_replace(self) -> list[ReceivingSurb]:
        """SURBs that were spent and have no successor yet."""
        return self._receiving("s.spent AND s.id = (SELECT max(id) FROM surbs WHERE address = s.address)")

    def to_renew(self, slots: tuple[int, int], now: int, limit: int) -> list[ReceivingSurb]:
        """Up to `limit` SURBs in use whose slot is in [first, end): those that were spent and whose time has come
        (`set_spent`), then any others at random."""
        return self._receiving(
            f"s.state = '{CONFIRMED}' AND s.id = (SELECT max(id) FROM surbs WHERE address = s.address)"
            " AND (s.spent AND s.leaves <= ? OR NOT s.spent AND a.slot >= ? AND a.slot < ?) AND a.id NOT IN"
            " (SELECT o.address FROM renewals r CROSS JOIN surbs o ON o.id = r.surb)",
            now, *slots, limit, order="s.spent DESC, random() LIMIT ?",
        )  # fmt: skip

    def _receiving(self, condition: str, *values: object, order: str = "s.id") -> list[ReceivingSurb]:
        return [
            ReceivingSurb(
                row["id"],
                Address(row["address"], row["slot"], row["contact_address"]),
                row["blob"],
                row["secrets"],
            )
            for row in self._db.rows(
                "SELECT s.id, s.blob, s.secrets, a.id AS address, a.slot, a.contact_address"
                f" FROM surbs s JOIN addresses a ON a.id = s.address WHERE {condition} ORDER BY {order}",
                *values,
            )
        ]

    def set_spent(self, surb: int, leaves: int) -> None:
        """A message came by it, so the nymserver had it, and no other will; `run` renews its address not earlier than
        it `leaves`. Runs within the caller's transaction."""
        self._db.run("UPDATE surbs SET spent = 1, seen = 1, leaves = ? WHERE id = ? AND NOT spent", leaves, surb)

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
