"""What each role of the health authority's staff may do. A table; who has which role stands in accounts.py."""

from dataclasses import dataclass
from enum import StrEnum

from anontrace.backend.errors import Refused


class Role(StrEnum):
    """One for each account."""

    TEST_SITE = "test-site"
    CASE_WORKER = "case-worker"
    DECIDER = "decider"
    ADMINISTRATOR = "administrator"
    AUDITOR = "auditor"


class Right(StrEnum):
    """What an act or a page needs. The name completes "your account may not ..."."""

    SEE_TOKENS = "see tokens"
    ISSUE = "issue and withdraw tokens"
    SEE_CASES = "see cases"
    READ_ANSWERS = "read what contacts answer"
    WRITE_BACK = "write to contacts who have answered"
    PROPOSE = "propose decisions"
    DECIDE = "decide"
    STOP = "stop and resume sending"
    SEE_NUMBERS = "see numbers"
    SEE_ACCOUNTS = "see accounts"
    CHANGE_ACCOUNTS = "change accounts"
    SEE_SETTINGS = "see settings"
    CHANGE_SETTINGS = "change settings"
    SEE_AUDIT = "see the audit"


_SEEING = frozenset(each for each in Right if each.name.startswith("SEE_"))
_WITH_CONTACTS = (Right.READ_ANSWERS, Right.WRITE_BACK)  # who may call them; an auditor need not know their numbers
RIGHTS: dict[Role, frozenset[Right]] = {
    Role.TEST_SITE: frozenset((Right.SEE_TOKENS, Right.ISSUE)),
    Role.CASE_WORKER: frozenset((Right.SEE_CASES, *_WITH_CONTACTS, Right.PROPOSE, Right.SEE_NUMBERS)),
    Role.DECIDER: frozenset(
        (Right.SEE_CASES, *_WITH_CONTACTS, Right.PROPOSE, Right.DECIDE, Right.STOP, Right.SEE_NUMBERS)
    ),
    Role.ADMINISTRATOR: frozenset(
        (Right.SEE_ACCOUNTS, Right.CHANGE_ACCOUNTS, Right.SEE_SETTINGS, Right.CHANGE_SETTINGS)
    ),
    Role.AUDITOR: _SEEING,
}


@dataclass(frozen=True, slots=True)
class Person:
    """Who asks: an account, as it is at this moment. `site`: the test site that an account of one works for."""

    name: str
    role: Role
    site: str = ""

    def may(self, right: Right) -> bool:
        return right in RIGHTS[self.role]

    def need(self, right: Right) -> None:
        """Refused (403) unless the role has this right."""
        if not self.may(right):
            raise Refused(403, f"your account may not {right}")
