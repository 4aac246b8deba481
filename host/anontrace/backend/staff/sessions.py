"""Sessions of staff: a random token each, of which the store has the hash. They end by themselves, and with whatever
changes who their account is. By real time: somebody sits before them."""

import secrets
import time
from hashlib import sha256

from anontrace import clock
from anontrace.backend.errors import Refused
from anontrace.backend.store import Store
from anontrace.mixnet import keydays

from .accounts import Accounts
from .records import Account, Session, Stage

_TABLE = "staff-sessions"
_TOKEN = 32  # bytes
_BEFORE_SECONDS = 600.0  # to come in, once the password was right
_NOTED_SECONDS = 60.0  # between two notes of when a session was used last


class Sessions:
    """`idle` and `longest`: seconds after which one ends that was not used, and any."""

    def __init__(self, store: Store, accounts: Accounts, idle: float, longest: float) -> None:
        self._store = store
        self._accounts = accounts
        self._idle = idle
        self._longest = longest

    async def begin(self, account: Account, stage: Stage, secret: str = "") -> str:
        """A new session; its token (hex 32)."""
        token, now = secrets.token_hex(_TOKEN), time.time()
        session = Session(
            account=account.name, epoch=account.epoch, stage=stage, began=now, seen=now,
            form=secrets.token_hex(_TOKEN), secret=secret,
        )  # fmt: skip
        await self._put(_key(token), session)
        return token

    async def find(self, token: str, stage: Stage = Stage.IN) -> tuple[Session, Account]:
        """The session of a token and its account as it is now. Refused (401) if it is over, or at another stage."""
        key = _key(token)
        (value,) = await self._store.get_many(_TABLE, [key])
        session = None if value is None else Session.model_validate_json(value)
        now = time.time()
        if session is None or session.stage is not stage or not self._lasts(session, now):
            raise Refused(401, "sign in first")
        account = await self._accounts.find(session.account)
        if account is None or account.withdrawn or account.epoch != session.epoch:
            raise Refused(401, "sign in first")
        if now - session.seen > _NOTED_SECONDS:
            seen = session.model_copy(update={"seen": now}).model_dump_json().encode()
            await self._store.compare_and_swap(_TABLE, key, value, seen)  # or another request has noted it
        return session, account

    def _lasts(self, session: Session, now: float) -> bool:
        if session.stage is not Stage.IN:
            return now - session.began < _BEFORE_SECONDS
        return now - session.seen < self._idle and now - session.began < self._longest

    async def keep(self, token: str, session: Session) -> None:
        """Write down what changed of a session that is there."""
        await self._put(_key(token), session)

    async def end(self, token: str) -> None:
        """It is over."""
        await self._store.delete_many(_TABLE, [_key(token)])

    async def _put(self, key: bytes, session: Session) -> None:
        expires = keydays.day_at(clock.now()) + 2
        await self._store.put_many(_TABLE, [(key, session.model_dump_json().encode())], expires)


def _key(token: str) -> bytes:
    return sha256(b"anontrace/1 staff session" + token.encode(errors="replace")).digest()
