"""Signing in: two factors, each counted once, with few tries, and sessions that end when they should."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pyotp
import pytest
from anontrace.backend.errors import Refused
from anontrace.backend.observing.counters import Counters
from anontrace.backend.staff import entry as entries
from anontrace.backend.staff import factors
from anontrace.backend.staff.accounts import INVITED_SECONDS, Accounts
from anontrace.backend.staff.audit import Audit
from anontrace.backend.staff.entry import Entry
from anontrace.backend.staff.passkeys import Passkeys
from anontrace.backend.staff.rights import Role
from anontrace.backend.staff.sessions import Sessions
from anontrace.backend.store import open_store
from anontrace_shared.errors import FormatError

PASSWORD = "correct horse battery"
KEY = bytes(range(32))


class Office:
    """What somebody signs in at, with one account that is set up."""

    def __init__(self, store: object) -> None:
        self.accounts = Accounts(store, Audit(store))  # type: ignore[arg-type]
        self.counters = Counters()
        self.sessions = Sessions(store, self.accounts, 1800.0, 36000.0)  # type: ignore[arg-type]
        self.entry = Entry(
            self.accounts,
            self.sessions,
            Audit(store),
            KEY,
            "net",
            Passkeys("http://localhost:1"),  # type: ignore[arg-type]
            self.counters,
        )
        self.secret = ""
        self.recovery: list[str] = []

    async def set_up(self, name: str = "ada") -> str:
        """An account; its first session."""
        invited = await self.accounts.add("operator", name, Role.DECIDER)
        token = await self.entry.invitation(name, invited.code)
        self.secret, address = await self.entry.to_set_up(token)
        assert self.secret in address
        session, _, self.recovery = await self.entry.set_up(token, PASSWORD, pyotp.TOTP(self.secret).now())
        return session


def played(tmp_path: Path, play: Callable[[Office], Awaitable[None]]) -> None:
    async def body() -> None:
        store = await open_store(tmp_path / "db")
        try:
            await play(Office(store))
        finally:
            await store.close()

    asyncio.run(body())


async def status(work: Awaitable[object]) -> int:
    """With which it is refused; 0 if it is not."""
    try:
        await work
    except Refused as refused:
        return refused.status
    return 0


def test_who_has_both_factors_comes_in_and_a_code_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(office: Office) -> None:
        await office.set_up()
        used = pyotp.TOTP(office.secret).now()
        assert await status(office.entry.sign_in("ada", PASSWORD, used)) == 401  # by it the account was set up
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + 30)
        code = pyotp.TOTP(office.secret).at(int(now + 30))
        session, account = await office.entry.sign_in("ada", PASSWORD, f" {code[:3]} {code[3:]} ")
        assert (account.name, (await office.sessions.find(session))[1].role) == ("ada", Role.DECIDER)
        for name, password, shown in (
            ("ada", PASSWORD, code), ("ada", "wrong", code), ("ada", PASSWORD, "000000"), ("ada", PASSWORD, ""),
            ("bob", PASSWORD, code), ("ada", PASSWORD * 1000, code), ("\ud800", "\0", "\u0661"),
        ):  # fmt: skip
            assert await status(office.entry.sign_in(name, password, shown)) == 401

    played(tmp_path, play)


def test_a_recovery_code_stands_for_the_authenticator_once(tmp_path: Path) -> None:
    async def play(office: Office) -> None:
        await office.set_up()
        code = office.recovery[0].upper().replace("-", " ")
        assert await status(office.entry.sign_in("ada", PASSWORD, code)) == 0
        assert await status(office.entry.sign_in("ada", PASSWORD, code)) == 401
        fresh = await office.entry.new_recovery_codes("ada")
        assert await status(office.entry.sign_in("ada", PASSWORD, office.recovery[1])) == 401
        assert await status(office.entry.sign_in("ada", PASSWORD, fresh[1])) == 0

    played(tmp_path, play)


def test_tries_at_an_account_are_counted_also_those_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(office: Office) -> None:
        await office.set_up()
        tries = [status(office.entry.sign_in("ada", "wrong", "000000")) for _ in range(entries.TRIES + 4)]
        answers = await asyncio.gather(*tries)
        assert (answers.count(401), answers.count(429)) == (entries.TRIES, 4)
        assert await status(office.entry.sign_in("ada", PASSWORD, office.recovery[0])) == 429
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + entries.WINDOW_SECONDS + 1)
        assert await status(office.entry.sign_in("ada", PASSWORD, office.recovery[0])) == 0
        assert office.counters.snapshot() == {"sign_ins": 1, "sign_ins_refused": entries.TRIES + 5}

    played(tmp_path, play)


def test_sessions_end_by_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(office: Office) -> None:
        session, now = await office.set_up(), time.time()
        for minutes in range(29, 10 * 60, 29):  # used all the time
            monkeypatch.setattr(time, "time", lambda at=now + 60.0 * minutes: at)
            assert await status(office.sessions.find(session)) == 0
        monkeypatch.setattr(time, "time", lambda: now + 10 * 3600 + 1)
        assert await status(office.sessions.find(session)) == 401
        monkeypatch.setattr(time, "time", lambda: now)
        session, _ = await office.entry.sign_in("ada", PASSWORD, office.recovery[0])
        monkeypatch.setattr(time, "time", lambda: now + 1801)
        assert await status(office.sessions.find(session)) == 401  # not used for half an hour

    played(tmp_path, play)


@pytest.mark.parametrize("act", ["withdrawn", "role", "invited anew", "signed out"])
def test_sessions_end_with_what_changes_the_account(tmp_path: Path, act: str) -> None:
    async def play(office: Office) -> None:
        session = await office.set_up()
        waiting = await office.entry.password("ada", PASSWORD)
        await {
            "withdrawn": lambda: office.accounts.withdraw("eve", "ada"),
            "role": lambda: office.accounts.set_role("eve", "ada", Role.AUDITOR),
            "invited anew": lambda: office.accounts.invite_anew("eve", "ada"),
            "signed out": lambda: office.sessions.end(session),
        }[act]()
        assert await status(office.sessions.find(session)) == 401
        if act != "signed out":
            assert await status(office.entry.code(waiting, office.recovery[0])) == 401
        expected = 401 if act in ("withdrawn", "invited anew") else 0
        assert await status(office.entry.sign_in("ada", PASSWORD, office.recovery[1])) == expected

    played(tmp_path, play)


def test_half_a_way_in_is_none(tmp_path: Path) -> None:
    async def play(office: Office) -> None:
        await office.set_up()
        waiting = await office.entry.password("ada", PASSWORD)
        assert await status(office.sessions.find(waiting)) == 401
        session, _ = await office.entry.code(waiting, office.recovery[0])
        assert await status(office.sessions.find(session)) == 0
        assert await status(office.entry.code(waiting, office.recovery[1])) == 401  # over with the first

    played(tmp_path, play)


def test_an_invitation_counts_once_for_some_days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(office: Office) -> None:
        invited = await office.accounts.add("operator", "bob", Role.TEST_SITE, "City")
        assert await status(office.entry.sign_in("bob", "", "")) == 401
        assert await status(office.entry.invitation("bob", "wrong")) == 401
        one, other = [await office.entry.invitation("bob", invited.code) for _ in range(2)]
        now = time.time()
        secret, _ = await office.entry.to_set_up(one)
        assert await status(office.entry.set_up(one, PASSWORD, pyotp.TOTP(secret).now())) == 0
        assert await status(office.entry.set_up(other, PASSWORD, pyotp.TOTP(secret).now())) == 401
        assert await status(office.entry.invitation("bob", invited.code)) == 401
        late = await office.accounts.add("operator", "eve", Role.AUDITOR)
        monkeypatch.setattr(time, "time", lambda: now + INVITED_SECONDS + 60)
        assert await status(office.entry.invitation("eve", late.code)) == 401

    played(tmp_path, play)


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaaaaaa", "ada-ada-and-more", "x" * 1025, ""])
def test_a_password_that_is_easy_to_guess_is_refused(tmp_path: Path, password: str) -> None:
    async def play(office: Office) -> None:
        invited = await office.accounts.add("operator", "ada", Role.DECIDER)
        token = await office.entry.invitation("ada", invited.code)
        secret, _ = await office.entry.to_set_up(token)
        with pytest.raises(FormatError, match="password"):
            await office.entry.set_up(token, password, pyotp.TOTP(secret).now())

    played(tmp_path, play)


@pytest.mark.parametrize("name", ["", "a", "Ada", "1st", "a b", "a" * 33, "operator", "ada\n", "\u00e4da"])
def test_a_name_that_none_should_have_is_refused(tmp_path: Path, name: str) -> None:
    async def play(office: Office) -> None:
        with pytest.raises(FormatError, match="name"):
            await office.accounts.add("operator", name, Role.DECIDER)

    played(tmp_path, play)


def test_nobody_withdraws_or_promotes_the_own_account_and_no_name_is_given_twice(tmp_path: Path) -> None:
    async def play(office: Office) -> None:
        await office.set_up()
        assert await status(office.accounts.withdraw("ada", "ada")) == 409
        assert await status(office.accounts.set_role("ada", "ada", Role.ADMINISTRATOR)) == 409
        await office.accounts.withdraw("eve", "ada")
        assert await status(office.accounts.add("eve", "ada", Role.DECIDER)) == 409
        assert await status(office.accounts.withdraw("eve", "ada")) == 404

    played(tmp_path, play)


def test_what_is_stored_of_secrets_opens_nothing(tmp_path: Path) -> None:
    async def play(office: Office) -> None:
        await office.set_up()
        account = await office.accounts.find("ada")
        assert account is not None
        stored = account.model_dump_json()
        for secret in (PASSWORD, office.secret, *office.recovery):
            assert secret not in stored
        assert account.password.startswith("$argon2id$v=19$m=65536,t=2,")
        assert PASSWORD not in repr(account) and account.totp not in repr(account)
        assert factors.unseal(KEY, "ada", account.totp) == office.secret

    played(tmp_path, play)
