"""Uploads of the log, each kept until it is through, so that it can be broken off and taken up again at any point.

An upload is *asked* (the log is fixed, a token not redeemed yet), *ready* (its authorization is there, and with it
the payload), then *accepted* or *refused*. Log and payload are deleted with the last step; the case stays, so that
the wearer's own case is known.
"""

from dataclasses import dataclass, field, replace

from anontrace.companion.database import Database
from anontrace.companion.vault import Vault

REPORT = "report"
PASS_ON = "pass-on"  # noqa: S105 - not a password

ASKED = "asked"
READY = "ready"
ACCEPTED = "accepted"
REFUSED = "refused"

_SUBJECT = "uploads.subject"
_CASE = "uploads.case_id"
_PAYLOAD = "uploads.payload"


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


class UploadStore:
    def __init__(self, database: Database, vault: Vault) -> None:
        self._db = database
        self._vault = vault

    def all(self) -> list[StoredUpload]:
        def opened(column: str, sealed: bytes | None) -> bytes | None:
            return None if sealed is None else self._vault.open(column, sealed)

        return [
            StoredUpload(
                row["id"],
                row["kind"],
                row["state"],
                self._vault.open(_SUBJECT, row["subject"]),
                opened(_CASE, row["case_id"]),
                opened(_PAYLOAD, row["payload"]),
                row["upload_id"],
                row["sent"],
                row["log"],
            )
            for row in self._db.rows("SELECT * FROM uploads ORDER BY id")
        ]

    def find(self, kind: str, subject: bytes) -> StoredUpload | None:
        """The last upload of this subject that was not refused."""
        matching = [u for u in self.all() if u.kind == kind and u.subject == subject and u.state != REFUSED]
        return matching[-1] if matching else None

    def add(self, kind: str, subject: bytes, upload_id: bytes, log: bytes, now: int) -> StoredUpload:
        with self._db.transaction():
            number = self._db.run(
                "INSERT INTO uploads (kind, state, subject, upload_id, log, made) VALUES (?, 'asked', ?, ?, ?, ?)",
                kind, self._vault.seal(_SUBJECT, subject), upload_id, log, now,
            )  # fmt: skip
        return StoredUpload(number, kind, ASKED, subject, None, None, upload_id, 0, log)

    def set_ready(self, upload: StoredUpload, case_id: bytes, payload: bytes) -> StoredUpload:
        with self._db.transaction():
            self._db.run(
                "UPDATE uploads SET state = 'ready', case_id = ?, payload = ?, log = x'' WHERE id = ?",
                self._vault.seal(_CASE, case_id), self._vault.seal(_PAYLOAD, payload), upload.number,
            )  # fmt: skip
        return replace(upload, state=READY, case_id=case_id, payload=payload, log=b"")

    def set_sent(self, upload: StoredUpload, offset: int) -> None:
        with self._db.transaction():
            self._db.run("UPDATE uploads SET sent = ? WHERE id = ?", offset, upload.number)

    def finish(self, upload: StoredUpload, state: str) -> None:
        with self._db.transaction():
            self._db.run("UPDATE uploads SET state = ?, payload = NULL, log = x'' WHERE id = ?", state, upload.number)

    def last_refused(self, since: int) -> str | None:
        """The kind of the last upload, if it was begun since then and refused."""
        row = self._db.row("SELECT kind, state, made FROM uploads ORDER BY id DESC LIMIT 1")
        return str(row["kind"]) if row and row["state"] == REFUSED and row["made"] >= since else None

    def cases(self, kind: str) -> set[bytes]:
        """Cases for which an upload of this kind has gone through or is on its way."""
        return {u.case_id for u in self.all() if u.kind == kind and u.case_id is not None and u.state != REFUSED}
