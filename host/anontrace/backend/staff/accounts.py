"""The accounts of staff: making, changing and withdrawing them. Every change is one step in the store, with its audit.

Who asks has been checked before (rights.py). An administrator never learns a password: an account is made with an
invitation, by which its owner chooses one. Signing in: entry.py.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

from anontrace_shared.errors import FormatError

from anontrace.backend.errors import Refused, StoreError
from anontrace.backend.store import Store

from . import audit, factors
from .audit import Audit
from .records import Account
from .rights import Role

_TABLE = "staff-accounts"
_NAME = re.compile(r"[a-z][a-z0-9._-]{1,31}", re.ASCII)
_MAX_ATTEMPTS = 64
_MAX_SITE = 64  # characters
OPERATOR = "operator"  # whoever has the server's key files, in the audit: no account's name
INVITED_SECONDS = 72 * 3600
Change = Callable[[Account], Account]


@dataclass(frozen=True, slots=True)
class Invitation:
    """A code by which the owner of an account sets it up, shown once, and until when it counts (unix seconds)."""

    code: str = field(repr=False)
    until: int


class Accounts:
    """All accounts of one health authority."""

    def __init__(self, store: Store, chain: Audit) -> None:
        self._store = store
        self._audit = chain

    async def find(self, name: str) -> Account | None:
        """The account of this name, also if it was withdrawn."""
        (value,) = await self._store.get_many(_TABLE, [_key(name)])
        return None if value is None else Account.model_validate_json(value)

    async def all(self) -> list[Account]:
        """Every account, by name."""
        rows = await self._store.bucket(_TABLE, 0, 0)
        return sorted((Account.model_validate_json(value) for _, value in rows), key=lambda each: each.name)

    async def add(self, by: str, name: str, role: Role, site: str = "") -> Invitation:
        """A new account, and the invitation for its owner. 409 if there is one of this name, or was."""
        if not _NAME.fullmatch(name) or name == OPERATOR:
            raise FormatError("name: 2 to 32 of a-z, 0-9, dot, dash and underscore, with a letter first, are needed")
        if len(site) > _MAX_SITE or not site.isprintable():
            raise FormatError(f"site: it has to be printable, and {_MAX_SITE} characters at most")
        if site and role is not Role.TEST_SITE:
            raise FormatError("site: only an account of the role test-site has one")
        made, invitation = _invited(
            Account(name=name, role=role, site=site or _site(role, name), made=int(time.time()))
        )
        then = [audit.entry(by, "account added", account=name, role=role.value, site=made.site)]
        if not await self._store.compare_and_swap(_TABLE, _key(name), None, _bytes(made), None, then):
            raise Refused(409, "there is an account of this name, or was: names are not given twice")
        self._audit.wake()
        return invitation

    async def invite_anew(self, by: str, name: str) -> Invitation:
        """After a lost factor or a forgotten password: nothing of the account's secrets counts any more."""
        made: list[Invitation] = []

        def change(account: Account) -> Account:
            none = {"password": "", "totp": "", "passkeys": [], "recovery": [], "tries": 0}
            invited, invitation = _invited(account.ended(**none))
            made[:] = [invitation]
            return invited

        await self.change(name, change, by, "account invited anew")
        return made[0]

    async def withdraw(self, by: str, name: str) -> None:
        """Nobody signs in with it any more, and its sessions are over."""
        if by == name:
            raise Refused(409, "nobody withdraws the own account: ask another administrator")
        none = {"password": "", "totp": "", "passkeys": [], "recovery": [], "invitation": ""}
        await self.change(name, lambda account: account.ended(withdrawn=True, **none), by, "account withdrawn")

    async def set_role(self, by: str, name: str, role: Role) -> None:
        """Another role; its sessions are over."""
        if by == name:
            raise Refused(409, "nobody changes the own role: ask another administrator")

        def change(account: Account) -> Account:
            return account.ended(role=role, site=_site(role, name))

        await self.change(name, change, by, "role changed", role=role.value)

    async def change(self, name: str, change: Change, by: str = "", what: str = "", **about: object) -> Account:
        """Change an account that is not withdrawn; `what`, if it is an act, goes into the audit in the same step. 404
        if there is none."""
        for _ in range(_MAX_ATTEMPTS):
            (value,) = await self._store.get_many(_TABLE, [_key(name)])
            account = None if value is None else Account.model_validate_json(value)
            if account is None or account.withdrawn:
                raise Refused(404, "there is no such account")
            new = change(account)
            then = [audit.entry(by, what, account=name, **about)] if what else []
            if await self._store.compare_and_swap(_TABLE, _key(name), value, _bytes(new), None, then):
                self._audit.wake()
                return new
        raise StoreError("an account changed under every attempt to change it")


def _invited(account: Account) -> tuple[Account, Invitation]:
    (code,) = factors.new_codes(1, groups=4)
    until = time.time() + INVITED_SECONDS
    changed = account.model_copy(update={"invitation": factors.hash_of(code), "invited_until": until})
    return changed, Invitation(code, int(until))


def _site(role: Role, name: str) -> str:
    """Of a test site that names none: its own."""
    return name if role is Role.TEST_SITE else ""


def _key(name: str) -> bytes:
    return sha256(name.encode(errors="replace")).digest()


def _bytes(account: Account) -> bytes:
    return account.model_dump_json().encode()
