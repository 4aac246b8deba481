"""What staff stand on, at the portal and by commands."""

from dataclasses import dataclass

from anontrace.backend.staff.accounts import Accounts
from anontrace.backend.staff.audit import Audit
from anontrace.backend.staff.entry import Entry
from anontrace.backend.staff.sessions import Sessions
from anontrace.backend.staff.settings import StaffSettings
from anontrace.backend.web.throttle import Throttle

from .desk import Desk


@dataclass(frozen=True, slots=True)
class Office:
    """All of it; each part has an owner of its own."""

    desk: Desk
    accounts: Accounts
    entry: Entry
    sessions: Sessions
    settings: StaffSettings
    audit: Audit
    throttle: Throttle  # of who tries passwords and codes
