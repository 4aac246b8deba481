"""Groups of mailboxes, what their servers have told of them, and what could be made of it.

A message is *told* of by its digest, and *solved* once its content is known, or was known before. What was solved is
kept for some days: it has to be taken out of the sums that are still to come. Sums that mention messages which are not
solved yet are kept for later looks to solve them.
"""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from anontrace.companion.store.database import Database
from anontrace.mixnet.sizes import GROUP
from anontrace.wire.sums import Equation

KEPT_SECONDS = 7 * 86400  # for which what was solved is kept
MAX_SUMS = 512  # kept of one server
_NUMBER = 8  # bytes of a message's number, before its coefficient


@dataclass(frozen=True)
class MailGroup:
    """A group (16) at a mailbox server, begun on one day; nothing can arrive in it from `until` (unix seconds) on.
    `known`: how many of its messages were told of."""

    number: int
    server: int
    address: bytes = field(repr=False)
    known: int
    until: int


@dataclass(frozen=True)
class Unsolved:
    """A message of which only the digest (6) is known, and its group."""

    group: int
    digest: bytes = field(repr=False)


@dataclass(frozen=True)
class Told:
    """A message of a group that was told of: its place in the list, and its content (243: box, payload) if solved."""

    number: int
    place: int
    digest: bytes = field(repr=False)
    content: bytes | None = field(repr=False)


class GroupStore:
    def __init__(self, database: Database) -> None:
        self._db = database

    def home(self) -> int | None:
        """The mailbox server at which the last group was made."""
        row = self._db.row("SELECT server FROM mail_groups ORDER BY id DESC LIMIT 1")
        return int(row["server"]) if row else None

    def of_day(self, server: int, day: int, until: int) -> MailGroup:
        """The group of a server and day, made if there is none yet."""
        if not self._groups("server = ? AND day = ?", server, day):
            with self._db.transaction():
                self._db.run(
                    "INSERT INTO mail_groups (server, day, address, until) VALUES (?, ?, ?, ?)",
                    server, day, os.urandom(GROUP), until,
                )  # fmt: skip
        (found,) = self._groups("server = ? AND day = ?", server, day)
        return found

    def since_day(self, server: int, day: int) -> list[MailGroup]:
        """The groups of a server that were begun on this day or later, the youngest first."""
        return self._groups("server = ? AND day >= ?", server, day)

    def live(self, now: int, limit: int) -> dict[int, list[MailGroup]]:
        """The live groups by server, the youngest first; at most `limit` of each."""
        found: dict[int, list[MailGroup]] = {}
        for group in self._groups("until > ?", now):
            of_server = found.setdefault(group.server, [])
            if len(of_server) < limit:
                of_server.append(group)
        return found

    def some(self, numbers: Sequence[int]) -> list[MailGroup]:
        """These groups."""
        return self._groups("id IN (SELECT value FROM json_each(?))", json.dumps(list(numbers)))

    def _groups(self, condition: str, *values: int | str) -> list[MailGroup]:
        rows = self._db.rows(
            f"SELECT id, server, address, known, until FROM mail_groups WHERE {condition} ORDER BY id DESC", *values
        )
        return [MailGroup(row["id"], row["server"], row["address"], row["known"], row["until"]) for row in rows]

    def told_since(self, group: int, moment: int) -> int | None:
        """The place of the first message that was told of since then, None if there is none."""
        row = self._db.row("SELECT min(place) AS place FROM messages WHERE mail_group = ? AND told >= ?", group, moment)
        return None if row is None else row["place"]

    def first_unsolved(self, group: int) -> int | None:
        row = self._db.row("SELECT min(place) AS place FROM messages WHERE mail_group = ? AND content IS NULL", group)
        return None if row is None else row["place"]

    def told(self, group: int, start: int) -> dict[int, Told]:
        """What was told of from a place on, by place."""
        rows = self._db.rows(
            "SELECT id, place, digest, content FROM messages WHERE mail_group = ? AND place >= ?", group, start
        )
        return {row["place"]: Told(row["id"], row["place"], row["digest"], row["content"]) for row in rows}

    def note(self, group: MailGroup, digests: Sequence[bytes], now: int) -> None:
        """These were told of, after those that are known; runs within the caller's transaction."""
        for place, digest in enumerate(digests, group.known):
            self._db.run(
                "INSERT INTO messages (mail_group, place, digest, told) VALUES (?, ?, ?, ?)",
                group.number, place, digest, now,
            )  # fmt: skip
        self._db.run("UPDATE mail_groups SET known = ? WHERE id = ?", group.known + len(digests), group.number)

    def set_solved(self, message: int, content: bytes) -> None:
        """Runs within the caller's transaction."""
        self._db.run("UPDATE messages SET content = ? WHERE id = ?", content, message)

    def sums(self, server: int) -> list[Equation]:
        """The sums of a server that are kept."""
        rows = self._db.rows("SELECT coefficients, value FROM sums WHERE server = ? ORDER BY id", server)
        return [Equation(_unpacked(row["coefficients"]), row["value"]) for row in rows]

    def set_sums(self, server: int, sums: Iterable[Equation]) -> None:
        """Keep these of a server, and no others; runs within the caller's transaction."""
        self._db.run("DELETE FROM sums WHERE server = ?", server)
        for each in list(sums)[-MAX_SUMS:]:
            self._db.run(
                "INSERT INTO sums (server, coefficients, value) VALUES (?, ?, ?)",
                server, _packed(each.unknown.items()), each.value,
            )  # fmt: skip

    def contents(self, messages: Iterable[int]) -> dict[int, bytes]:
        """What is known of these messages, by number."""
        rows = self._db.rows(
            "SELECT id, content FROM messages WHERE content IS NOT NULL AND id IN (SELECT value FROM json_each(?))",
            json.dumps(list(messages)),
        )
        return {row["id"]: row["content"] for row in rows}

    def unsolved(self, server: int) -> dict[int, Unsolved]:
        """The messages of a server that are not solved, by number."""
        rows = self._db.rows(
            "SELECT m.id, m.mail_group, m.digest FROM messages m JOIN mail_groups g ON g.id = m.mail_group"
            " WHERE g.server = ? AND m.content IS NULL",
            server,
        )
        return {row["id"]: Unsolved(row["mail_group"], row["digest"]) for row in rows}

    def without_unsolved(self, groups: Sequence[int]) -> list[int]:
        """Those of these groups of which all that was told is solved."""
        return [each for each in groups if self.first_unsolved(each) is None]

    def unsolved_count(self) -> int:
        row = self._db.row("SELECT count(*) AS n FROM messages WHERE content IS NULL")
        return int(row["n"]) if row else 0

    def put_right(self, now: int) -> None:
        """What was told later than now was so by a clock that was ahead."""
        with self._db.transaction():
            self._db.run("UPDATE messages SET told = ? WHERE told > ?", now, now)

    def forget(self, now: int) -> None:
        """Delete groups whose time is over with all that was told of them, and what was solved some days ago."""
        with self._db.transaction():
            self._db.run("DELETE FROM mail_groups WHERE until <= ?", now)
            self._db.run("DELETE FROM messages WHERE content IS NOT NULL AND told < ?", now - KEPT_SECONDS)
            self._db.run("DELETE FROM sums WHERE server NOT IN (SELECT server FROM mail_groups)")


def _packed(unknown: Iterable[tuple[int, int]]) -> bytes:
    return b"".join(number.to_bytes(_NUMBER, "little") + bytes((factor,)) for number, factor in unknown)


def _unpacked(packed: bytes) -> dict[int, int]:
    entry = _NUMBER + 1
    return {
        int.from_bytes(packed[at : at + _NUMBER], "little"): packed[at + _NUMBER] for at in range(0, len(packed), entry)
    }
