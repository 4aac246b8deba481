"""Uploads of the log, each kept until it is through, so that it can be broken off and taken up again at any point.

An upload is *asked* (the log is fixed, a token not redeemed yet), *ready* (its authorization is there, and with it
the payload), then *accepted* or *refused*. Log and payload are deleted with the last step; the case stays for 30 days,
so that the wearer's own case is known. It goes through the mixes in fragments, or directly in chunks, under an ID for
either way.
"""

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from anontrace_shared.errors import FormatError

from anontrace.companion.days import KEPT_SECONDS
from anontrace.companion.errors import StateError
from anontrace.companion.store.database import Database
from anontrace.companion.store.states import ASKED, READY, REFUSED
from anontrace.mixnet.sizes import CASE_ID, UPLOAD_ID
from anontrace.wire import upload as encoding

REPORT = "report"
PASS_ON = "pass-on"  # noqa: S105 - not a password
DIRECT, MIXES = "direct", "mixes"


@dataclass(frozen=True)
class StoredUpload:
    number: int
    kind: str
    state: str
    subject: bytes = field(repr=False)  # what it is for: the hash of the token, or the case that is passed on
    case_id: bytes | None = field(repr=False)
    payload: bytes | None = field(repr=False)  # the encoded upload, from `ready` on
    upload_id: bytes = field(repr=False)
    sent: int  # offset in the payload that the nymserver asked for last
    log: bytes = field(repr=False)  # while `asked`
    way: str = MIXES
    unsent: frozenset[int] | None = None  # fragments that are to be sent still; None before any was
    opens: int = 0  # unix seconds: when the nymserver must have the opening; 0: it said so, or none was sent
    changed: int = 0  # unix seconds: when a fragment was sent last
    moved: bool = False  # it has gone another way before, as a whole perhaps
    places: bytes = field(default=b"", repr=False)  # what it says of places, until it is done; of an older one nothing
    days: dict[str, int] = field(default_factory=dict)  # how many records it hands in of each local day

    def opening(self) -> encoding.Opening:
        """What the payload begins with. StateError if it is damaged."""
        try:
            return encoding.parse_opening(self.payload or b"")
        except FormatError as error:
            raise _damaged(str(error)) from None

    def parsed(self) -> encoding.Upload:
        """The payload. StateError if it is damaged."""
        try:
            return encoding.parse(self.payload or b"")
        except FormatError as error:
            raise _damaged(str(error)) from None


class UploadStore:
    def __init__(self, database: Database) -> None:
        self._db = database

    def all(self) -> list[StoredUpload]:
        """StateError if what stands there cannot be used; the database would have to have been changed with its key."""
        return [
            _checked(
                row["id"],
                row["kind"],
                row["state"],
                row["subject"],
                row["case_id"],
                row["payload"],
                row["upload_id"],
                row["sent"],
                row["log"],
                row["way"],
                None if row["unsent"] is None else _numbers(row["unsent"]),
                row["opens"],
                row["changed"],
                bool(row["moved"]),
                row["places"],
                _days(row["days"]),
            )
            for row in self._db.rows("SELECT * FROM uploads ORDER BY id")
        ]

    def get(self, number: int) -> StoredUpload:
        (found,) = [each for each in self.all() if each.number == number]
        return found

    def find(self, kind: str, subject: bytes) -> StoredUpload | None:
        """The last upload of this subject that was not refused."""
        matching = [u for u in self.all() if u.kind == kind and u.subject == subject and u.state != REFUSED]
        return matching[-1] if matching else None

    def add(
        self,
        kind: str,
        subject: bytes,
        upload_id: bytes,
        log: bytes,
        now: int,
        places: bytes = b"",
        days: Mapping[str, int] | None = None,
    ) -> StoredUpload:
        """Fix what is handed in. `days`: how many records that are of each local day, which is all that stays of it."""
        with self._db.transaction():
            number = self._db.run(
                "INSERT INTO uploads (kind, state, subject, upload_id, log, made, way, places, days)"
                f" VALUES (?, '{ASKED}', ?, ?, ?, ?, '{MIXES}', ?, ?)",
                kind, subject, upload_id, log, now, places, json.dumps(dict(days or {})),
            )  # fmt: skip
        return StoredUpload(
            number, kind, ASKED, subject, None, None, upload_id, 0, log, places=places, days=dict(days or {})
        )

    def set_log(self, upload: StoredUpload, log: bytes) -> StoredUpload:
        """The log as it is handed in, with what it says of places sealed behind it."""
        with self._db.transaction():
            self._db.run("UPDATE uploads SET log = ? WHERE id = ?", log, upload.number)
        return replace(upload, log=log)

    def set_ready(self, upload: StoredUpload, case_id: bytes, payload: bytes) -> StoredUpload:
        with self._db.transaction():
            self._db.run(
                f"UPDATE uploads SET state = '{READY}', case_id = ?, payload = ?, log = x'' WHERE id = ?",
                case_id, payload, upload.number,
            )  # fmt: skip
        return replace(upload, state=READY, case_id=case_id, payload=payload, log=b"")

    def set_sent(self, upload: StoredUpload, offset: int) -> None:
        with self._db.transaction():
            self._db.run("UPDATE uploads SET sent = ? WHERE id = ?", offset, upload.number)

    def set_way(self, upload: StoredUpload, way: str) -> StoredUpload:
        """From now on it goes this way, from its beginning and under another ID, unless it did already."""
        if upload.way == way:
            return upload
        upload_id = secrets.token_bytes(UPLOAD_ID)
        with self._db.transaction():
            self._db.run(
                "UPDATE uploads SET way = ?, upload_id = ?, sent = 0, unsent = NULL, opens = 0, moved = 1 WHERE id = ?",
                way, upload_id, upload.number,
            )  # fmt: skip
            self._db.run("UPDATE receipts SET judged = 1 WHERE upload = ?", upload.number)
        return replace(upload, way=way, upload_id=upload_id, sent=0, unsent=None, opens=0, moved=True)

    def set_fragments(self, upload: StoredUpload, unsent: Iterable[int], opens: int, changed: int) -> None:
        """Which fragments are to be sent still, when the opening must have arrived, and when one was sent last."""
        with self._db.transaction():
            self._db.run(
                "UPDATE uploads SET unsent = ?, opens = ?, changed = ? WHERE id = ?",
                _bits(unsent), opens, changed, upload.number,
            )  # fmt: skip

    def put_right(self, now: int, latest: int) -> None:
        """What was sent later than now was so by a clock that was ahead; none waits for longer than until `latest`."""
        with self._db.transaction():
            self._db.run("UPDATE uploads SET changed = ? WHERE changed > ?", now, now)
            self._db.run("UPDATE uploads SET opens = ? WHERE opens > ?", latest, latest)

    def finish(self, upload: StoredUpload, state: str) -> None:
        with self._db.transaction():
            self._db.run(
                "UPDATE uploads SET state = ?, payload = NULL, unsent = NULL, log = x'', places = x'' WHERE id = ?",
                state,
                upload.number,
            )

    def last_refused(self, since: int) -> str | None:
        """The kind of the last upload, if it was begun since then and refused."""
        row = self._db.row("SELECT kind, state, made FROM uploads ORDER BY id DESC LIMIT 1")
        return str(row["kind"]) if row and row["state"] == REFUSED and row["made"] >= since else None

    def cases(self, kind: str) -> set[bytes]:
        """Cases for which an upload of this kind has gone through or is on its way."""
        return {u.case_id for u in self.all() if u.kind == kind and u.case_id is not None and u.state != REFUSED}

    def handed_in(self) -> dict[str, int]:
        """How many records of each local day were handed in, or are on their way: the most of any upload, since each
        takes them all anew."""
        most: dict[str, int] = {}
        for each in self.all():
            if each.state != REFUSED:
                for day, records in each.days.items():
                    most[day] = max(records, most.get(day, 0))
        return most

    def size(self) -> int:
        """Bytes of logs, payloads and what they say of places in uploads that are not done."""
        row = self._db.row(
            "SELECT ifnull(sum(length(log) + ifnull(length(payload), 0) + length(places)), 0) AS size FROM uploads"
        )
        return int(row["size"]) if row else 0

    def forget(self, now: int) -> set[bytes]:
        """Delete uploads begun more than 30 days ago, whatever became of them; the wearer's own cases among them."""
        oldest = now - KEPT_SECONDS
        with self._db.transaction():
            rows = self._db.rows(
                "SELECT case_id FROM uploads WHERE made <= ? AND kind = 'report' AND case_id IS NOT NULL", oldest
            )
            self._db.run("DELETE FROM uploads WHERE made <= ?", oldest)
        return {row["case_id"] for row in rows}


def _damaged(why: str) -> StateError:
    return StateError(
        f"an upload in the state folder is damaged ({why}); move the folder away and bring back a backup: anontrace"
        " restore FILE"
    )


def _checked(number: int, kind: str, state: str, *rest: Any) -> StoredUpload:
    stored = StoredUpload(number, kind, state, *rest)
    payload, case_id = stored.payload, stored.case_id
    if not all(isinstance(each, bytes) for each in (stored.subject, stored.upload_id, stored.log, stored.places)):
        raise _damaged("a part of it is no bytes")
    if not all(isinstance(each, int) for each in (stored.sent, stored.opens, stored.changed)):
        raise _damaged("a number of it is none")
    if len(stored.upload_id) != UPLOAD_ID:
        raise _damaged("its ID makes no sense")
    if state == READY:
        if not (isinstance(payload, bytes) and isinstance(case_id, bytes) and len(case_id) == CASE_ID):
            raise _damaged("its payload or its case is missing")
        if not 0 <= stored.sent <= len(payload):
            raise _damaged("more of it was sent than there is")
    return stored


def _days(text: str) -> dict[str, int]:
    try:
        found = json.loads(text)
        if not isinstance(found, dict) or not all(isinstance(number, int) for number in found.values()):
            raise ValueError
    except (ValueError, TypeError, RecursionError):
        raise _damaged("its days make no sense") from None
    return found


def _bits(numbers: Iterable[int]) -> bytes:
    """A set of small numbers, a bit each."""
    bits = bytearray()
    for each in numbers:
        bits.extend(bytes(max(each // 8 + 1 - len(bits), 0)))
        bits[each // 8] |= 1 << each % 8
    return bytes(bits)


def _numbers(bits: bytes) -> frozenset[int]:
    if not isinstance(bits, bytes):
        raise _damaged("what is unsent of it is not told")
    return frozenset(8 * at + bit for at, byte in enumerate(bits) for bit in range(8) if byte >> bit & 1)
