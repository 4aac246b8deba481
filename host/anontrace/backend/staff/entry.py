"""Coming in: a password, then a second factor; or an invitation, by which both are chosen.

Tries are counted in the account itself before they are judged, so that neither many at once nor many workers are a way
around. Every refusal is the same one: whoever tries learns neither which names there are nor which half was wrong.
"""

import hmac
import time
from collections.abc import Awaitable, Callable

from anontrace.backend.errors import Refused
from anontrace.backend.observing.counters import Counters

from . import factors
from .accounts import Accounts
from .audit import Audit
from .passkeys import Passkeys
from .passwords import Passwords
from .records import Account, Session, Stage
from .sessions import Sessions

TRIES = 10  # bad ones of an account
WINDOW_SECONDS = 600.0
_WRONG = "that is not right: name, password or code"
_Judge = Callable[[Account], Account | None]  # the account without what was used up; None: it is not right
_Trial = Callable[[], Awaitable[bool]]


class Entry:
    """Who may come in. `key`: the staff key (32), which seals authenticators' secrets; `network`: its name, which they
    show."""

    def __init__(
        self,
        accounts: Accounts,
        sessions: Sessions,
        chain: Audit,
        key: bytes,
        network: str,
        passkeys: Passkeys,
        counters: Counters,
    ) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._audit = chain
        self._key = key
        self._network = network
        self._passkeys = passkeys
        self._passwords = Passwords()
        self._counters = counters
        self._counters.declare("sign_ins", "sign_ins_refused")

    async def sign_in(self, name: str, password: str, code: str) -> tuple[str, Account]:
        """All at once, as the command line does: the token of a session, and the account. 401 if anything is wrong, 429
        after too many tries."""
        account = await self._try(name, lambda: self._fits(name, password))
        return await self._second(account, lambda now: self._by_code(now, code))

    async def password(self, name: str, password: str) -> str:
        """The first step in a browser: the token of a session that waits for the second."""
        account = await self._try(name, lambda: self._fits(name, password))
        return await self._sessions.begin(account, Stage.SECOND)

    async def code(self, token: str, code: str) -> tuple[str, Account]:
        """The second step with a code: the token of a session that is in."""
        _, account = await self._sessions.find(token, Stage.SECOND)
        return await self._in(token, account, lambda now: self._by_code(now, code))

    async def challenge(self, token: str) -> str:
        """What the browser is asked to sign with a passkey, as JSON; "" if the account has none."""
        session, account = await self._sessions.find(token, Stage.SECOND)
        if not account.passkeys:
            return ""
        options, challenge = self._passkeys.to_show(account.passkeys)
        await self._sessions.keep(token, session.model_copy(update={"challenge": challenge}))
        return options

    async def passkey(self, token: str, answer: str) -> tuple[str, Account]:
        """The second step with a passkey."""
        session, account = await self._sessions.find(token, Stage.SECOND)

        def by_passkey(now: Account) -> Account | None:
            found = self._passkeys.shown(answer, session.challenge, now.passkeys)
            if found is None:
                return None
            return now.model_copy(update={"passkeys": [found if e.id == found.id else e for e in now.passkeys]})

        return await self._in(token, account, by_passkey)

    async def _in(self, token: str, account: Account, judge: _Judge) -> tuple[str, Account]:
        made = await self._second(account, judge)
        await self._sessions.end(token)
        return made

    async def _second(self, account: Account, judge: _Judge) -> tuple[str, Account]:
        """The second factor is judged and used up in one step. The audit has it before anybody is in."""
        await self._count(account.name)
        used: list[bool] = []

        def change(now: Account) -> Account:
            if now.epoch != account.epoch:
                raise self._refused()
            found = judge(now)
            used[:] = [len(found.recovery) < len(now.recovery)] if found is not None else []
            if found is None:
                raise self._refused()
            return found.model_copy(update={"tries": 0})

        account = await self._accounts.change(account.name, change)
        by = {"by": "recovery code", "left": len(account.recovery)} if used[0] else {}
        await self._audit.note(account.name, "signed in", **by)
        self._counters.add("sign_ins")
        return await self._sessions.begin(account, Stage.IN), account

    def _by_code(self, account: Account, code: str) -> Account | None:
        if account.totp:
            step = factors.step_of(factors.unseal(self._key, account.name, account.totp), code, account.totp_step)
            if step is not None:
                return account.model_copy(update={"totp_step": step})
        shown = factors.hash_of(code)
        left = [each for each in account.recovery if not hmac.compare_digest(each, shown)]
        return account.model_copy(update={"recovery": left}) if len(left) < len(account.recovery) else None

    async def _fits(self, name: str, password: str) -> bool:
        account = await self._accounts.find(name)
        return await self._passwords.fits("" if account is None else account.password, password)

    async def _try(self, name: str, judge: _Trial) -> Account:
        """An account whose owner has shown the first half. Nobody's is as slow as somebody's."""
        account = await self._accounts.find(name)
        if account is None or account.withdrawn:
            await judge()
            raise self._refused()
        await self._count(name)
        if not await judge():
            raise self._refused()
        return await self._accounts.change(name, lambda now: now.model_copy(update={"tries": max(0, now.tries - 1)}))

    def _refused(self) -> Refused:
        """What every bad try is told. Counted, without whose it was."""
        self._counters.add("sign_ins_refused")
        return Refused(401, _WRONG)

    async def _count(self, name: str) -> None:
        """One more try of an account. Refused (429) if it has had its tries."""
        now = time.time()

        def change(account: Account) -> Account:
            if now - account.tried > WINDOW_SECONDS:
                return account.model_copy(update={"tries": 1, "tried": now})
            if account.tries >= TRIES:
                self._counters.add("sign_ins_refused")
                raise Refused(429, "too many tries", int(account.tried + WINDOW_SECONDS - now) + 1)
            return account.model_copy(update={"tries": account.tries + 1})

        await self._accounts.change(name, change)

    # -- by invitation -----------------------------------------------------------------------------------------------

    async def invitation(self, name: str, code: str) -> str:
        """The token of a session in which password and second factor are chosen."""

        async def fits() -> bool:
            account = await self._accounts.find(name)
            if account is None or not account.invitation or time.time() > account.invited_until:
                return False
            return hmac.compare_digest(account.invitation, factors.hash_of(code))

        account = await self._try(name, fits)
        secret = factors.seal(self._key, name, factors.new_secret())
        return await self._sessions.begin(account, Stage.SET_UP, secret)

    async def to_set_up(self, token: str) -> tuple[str, str]:
        """The secret of the authenticator that is being set up, and the address that its QR code has."""
        session, _ = await self._sessions.find(token, Stage.SET_UP)
        return self._shown(session)

    def _shown(self, session: Session) -> tuple[str, str]:
        secret = factors.unseal(self._key, session.account, session.secret)
        return secret, factors.address(secret, session.account, self._network)

    async def set_up(self, token: str, password: str, code: str) -> tuple[str, Account, list[str]]:
        """Choose a password, show that the authenticator works: the token of a session that is in, the account, and its
        recovery codes, which are shown this once."""
        session, account = await self._sessions.find(token, Stage.SET_UP)
        step = factors.step_of(self._shown(session)[0], code, 0)
        if step is None:
            raise Refused(422, "the code is not the one that the authenticator shows now")
        hashed = await self._passwords.hash(account.name, password)
        codes = factors.new_codes(factors.RECOVERY_CODES)

        def change(now: Account) -> Account:
            if now.epoch != session.epoch or not now.invitation:
                raise Refused(401, "this invitation was used meanwhile")
            return now.ended(
                password=hashed, totp=session.secret, totp_step=step, invitation="", tries=0,
                recovery=[factors.hash_of(each) for each in codes],
            )  # fmt: skip

        account = await self._accounts.change(account.name, change, account.name, "account set up")
        await self._sessions.end(token)
        return await self._sessions.begin(account, Stage.IN), account, codes

    # -- the own account ---------------------------------------------------------------------------------------------

    async def new_recovery_codes(self, name: str) -> list[str]:
        """Others in their place, shown this once."""
        codes = factors.new_codes(factors.RECOVERY_CODES)
        hashed = [factors.hash_of(each) for each in codes]
        await self._accounts.change(
            name, lambda now: now.model_copy(update={"recovery": hashed}), name, "recovery codes made anew"
        )
        return codes

    async def change_password(self, token: str, old: str, new: str) -> None:
        """Choose another password; all other sessions of the account are over. 401 if the old one is not right."""
        session, account = await self._sessions.find(token)
        await self._count(account.name)
        if not await self._passwords.fits(account.password, old):
            raise Refused(401, _WRONG)
        hashed = await self._passwords.hash(account.name, new)

        def change(now: Account) -> Account:
            if now.epoch != session.epoch:
                raise Refused(401, "sign in first")
            return now.ended(password=hashed, tries=0)

        changed = await self._accounts.change(account.name, change, account.name, "password changed")
        await self._sessions.keep(token, session.model_copy(update={"epoch": changed.epoch}))

    async def remove_passkey(self, name: str, passkey_id: str) -> None:
        """It does not count any more. 404 if there is none, 409 if it is the only second factor."""

        def change(now: Account) -> Account:
            left = [each for each in now.passkeys if each.id != passkey_id]
            if len(left) == len(now.passkeys):
                raise Refused(404, "there is no such passkey")
            if not left and not now.totp:
                raise Refused(409, "it is the only second factor")
            return now.model_copy(update={"passkeys": left})

        await self._accounts.change(name, change, name, "passkey removed")

    async def begin_passkey(self, token: str) -> str:
        """What the browser is asked to make a passkey with, as JSON."""
        session, account = await self._sessions.find(token)
        options, challenge = self._passkeys.to_make(account.name, account.passkeys)
        await self._sessions.keep(token, session.model_copy(update={"challenge": challenge}))
        return options

    async def add_passkey(self, token: str, answer: str, called: str) -> None:
        """Take the passkey that a browser made."""
        session, account = await self._sessions.find(token)
        made = self._passkeys.made(answer, session.challenge, called)
        await self._sessions.keep(token, session.model_copy(update={"challenge": ""}))

        def change(now: Account) -> Account:
            return now.model_copy(update={"passkeys": [*now.passkeys, made]})

        await self._accounts.change(account.name, change, account.name, "passkey added")
