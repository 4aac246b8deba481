"""The wearer's badges: owner key, day key, and what is known of each (docs/protocol.md, sections 1 and 4).

The day key is ratcheted forward with the days and the older one overwritten: somebody who takes this folder later
learns nothing of the days before.
"""

import json
import os
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from anontrace_shared import schedule

from anontrace.companion.errors import StateError
from anontrace.companion.store.database import Database

RATCHET = 1
LIST = 2
MODES = {RATCHET: "ratchet", LIST: "list"}


class Met(NamedTuple):
    """Where in its life a badge was at the last session with it."""

    boot: int  # number of its boot, 16 bits
    period: int  # of 300 s since that boot
    at: int  # unix seconds, by this computer's clock


@dataclass(frozen=True)
class Badge:
    number: int
    owner_key: bytes = field(repr=False)
    day: int  # the day of day_key
    day_key: bytes = field(repr=False)
    provisioned: int | None  # unix seconds
    mode: int | None
    era: int  # counts provisionings: segment numbers start again with each
    first_slot: int | None  # the first slot that it may have broadcast
    horizon: int  # exclusive
    last_sync: int | None
    info: dict[str, Any]
    keyed: bool  # its owner key may be on a badge
    keep_days: int  # for which its log is kept, by itself and here
    met: Met | None  # None: no session since it got its owner key

    def key_of_day(self, day: int) -> bytes:
        """D(day); StateError for a day whose key is gone."""
        if day < self.day:
            raise StateError("the keys of past days are deleted: choose a slot of today or later, and check the clock")
        return schedule.day_key(self.day_key, self.day, day)


class BadgeStore:
    def __init__(self, database: Database) -> None:
        self._db = database

    def all(self) -> list[Badge]:
        badges = []
        for row in self._db.rows("SELECT * FROM badges ORDER BY id"):
            badges.append(
                Badge(
                    number=row["id"],
                    owner_key=row["owner_key"],
                    day=row["day"],
                    day_key=row["day_key"],
                    provisioned=row["provisioned"],
                    mode=row["mode"],
                    era=row["era"],
                    first_slot=row["first_slot"],
                    horizon=row["horizon"],
                    last_sync=row["last_sync"],
                    info=json.loads(row["info"]) if row["info"] else {},
                    keyed=bool(row["keyed"]),
                    keep_days=row["keep_days"],
                    met=None if row["met_at"] is None else Met(row["met_boot"], row["met_period"], row["met_at"]),
                )
            )
        return badges

    def get(self, number: int | None = None) -> Badge | None:
        """The badge of this number, or the first one; None where there is none."""
        badges = [badge for badge in self.all() if number in (None, badge.number)]
        return badges[0] if badges else None

    def count(self) -> int:
        row = self._db.row("SELECT count(*) AS n FROM badges")
        return int(row["n"]) if row else 0

    def ensure(self, today: int) -> Badge:
        """The first badge; keys are made, with the day key of `today`, when there is none yet."""
        with self._db.transaction():
            return self.get() or self._new(today)

    def add(self, today: int) -> Badge:
        """One more badge, with keys of its own."""
        with self._db.transaction():
            return self._new(today)

    def _new(self, today: int) -> Badge:
        number = self._db.run(
            "INSERT INTO badges (owner_key, day, day_key) VALUES (?, ?, ?)",
            os.urandom(32), today, os.urandom(32),
        )  # fmt: skip
        made = self.get(number)
        assert made is not None
        return made

    def set_keyed(self, badge: Badge) -> None:
        """Remember that the owner key may be on a badge; written before it is, so that it never goes onto two.

        That badge may count its boots from 1.
        """
        with self._db.transaction():
            self._db.run("UPDATE badges SET keyed = 1, met_at = NULL WHERE id = ?", badge.number)

    def set_met(self, badge: Badge, met: Met) -> None:
        """A session stands: what the badge sent before is of no use from now on."""
        with self._db.transaction():
            self._db.run("UPDATE badges SET met_boot = ?, met_period = ?, met_at = ? WHERE id = ?", *met, badge.number)

    def remove(self, badge: Badge) -> None:
        """Delete a badge with its keys, addresses, mailboxes and log."""
        with self._db.transaction():
            self._db.run(
                "DELETE FROM mailboxes WHERE id IN (SELECT mailbox FROM surbs JOIN addresses"
                " ON addresses.id = surbs.address WHERE addresses.badge = ?)",
                badge.number,
            )  # fmt: skip
            self._db.run("DELETE FROM badges WHERE id = ?", badge.number)

    def ratchet(self, today: int) -> None:
        """Turn the day keys forward to `today` and overwrite the older ones."""
        for badge in self.all():
            if badge.day < today:
                with self._db.transaction():
                    self._db.run(
                        "UPDATE badges SET day = ?, day_key = ? WHERE id = ?",
                        today, badge.key_of_day(today), badge.number,
                    )  # fmt: skip

    def set_keep_days(self, badge: Badge, days: int) -> None:
        """For how many days (1 to 30) its log is kept from now on."""
        with self._db.transaction():
            self._db.run("UPDATE badges SET keep_days = ? WHERE id = ?", days, badge.number)

    def set_provisioned(self, badge: Badge, mode: int, first_slot: int, horizon: int, now: int) -> None:
        """A new era begins: the badge was told its keys, and may count its segments from 1 again."""
        with self._db.transaction():
            self._db.run(
                "UPDATE badges SET provisioned = ?, mode = ?, era = era + 1,"
                " first_slot = min(ifnull(first_slot, ?), ?), horizon = max(horizon, ?) WHERE id = ?",
                now, mode, first_slot, first_slot, horizon, badge.number,
            )  # fmt: skip

    def set_erased(self, badge: Badge) -> None:
        """The badge has forgotten what it was told; what it may have broadcast before stays known."""
        with self._db.transaction():
            self._db.run("UPDATE badges SET provisioned = NULL, mode = NULL, info = NULL WHERE id = ?", badge.number)

    def set_horizon(self, badge: Badge, horizon: int) -> None:
        """Remember what the badge may have broadcast; written before the badge is told, so that it is never too low."""
        with self._db.transaction():
            self._db.run("UPDATE badges SET horizon = max(horizon, ?) WHERE id = ?", horizon, badge.number)

    def set_info(self, badge: Badge, info: dict[str, Any]) -> None:
        """Remember what a badge said, though the sync is not over."""
        with self._db.transaction():
            self._db.run("UPDATE badges SET info = ? WHERE id = ?", json.dumps(info), badge.number)

    def set_synced(self, badge: Badge, info: dict[str, Any], now: int) -> None:
        with self._db.transaction():
            self._db.run("UPDATE badges SET last_sync = ?, info = ? WHERE id = ?", now, json.dumps(info), badge.number)
