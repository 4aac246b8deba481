"""The wearer's tests: the hash of each token, and what the health authority has said of it. No token is kept itself."""

from dataclasses import dataclass, field

from anontrace.companion.days import KEPT_SECONDS
from anontrace.companion.store.database import Database
from anontrace.wire import commitment

WAITING, POSITIVE, NEGATIVE, ENDED = "waiting", "positive", "negative", "ended"


@dataclass(frozen=True)
class StoredTest:
    """`code`: of the log that was committed at a positive test (10, zero: none); `statement`: of a negative one (93);
    `made`, `changed`: when the token was given here, and when its state came (unix seconds)."""

    token_hash: bytes = field(repr=False)
    state: str
    code: bytes = field(repr=False)
    statement: bytes = field(repr=False)
    made: int
    changed: int


class TestStore:
    def __init__(self, database: Database) -> None:
        self._db = database

    def all(self) -> list[StoredTest]:
        """The latest last."""
        return [
            StoredTest(r["token_hash"], r["state"], r["code"], r["statement"], r["made"], r["changed"])
            for r in self._db.rows("SELECT * FROM tests ORDER BY id")
        ]

    def find(self, token_hash: bytes) -> StoredTest | None:
        return next((each for each in self.all() if each.token_hash == token_hash), None)

    def add(self, token_hash: bytes, now: int) -> StoredTest:
        """One that waits for its result; one that is there already stays as it is."""
        with self._db.transaction():
            self._db.run(
                "INSERT OR IGNORE INTO tests (token_hash, state, code, statement, made, changed)"
                f" VALUES (?, '{WAITING}', ?, x'', ?, ?)",
                token_hash, commitment.NONE, now, now,
            )  # fmt: skip
        found = self.find(token_hash)
        assert found is not None  # it is there now
        return found

    def set_state(
        self, token_hash: bytes, state: str, now: int, code: bytes = commitment.NONE, statement: bytes = b""
    ) -> None:
        """What the health authority says of it now."""
        with self._db.transaction():
            self._db.run(
                "UPDATE tests SET state = ?, code = ?, statement = ?, changed = ? WHERE token_hash = ?",
                state, code, statement, now, token_hash,
            )  # fmt: skip

    def forget(self, now: int) -> None:
        """Delete those of which nothing new was said for 30 days."""
        with self._db.transaction():
            self._db.run("DELETE FROM tests WHERE changed <= ?", now - KEPT_SECONDS)
