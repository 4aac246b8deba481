"""Binding the log as it is: the code that a test site enters with the sample (docs/protocol.md section 8)."""

import secrets
from dataclasses import dataclass, field

from anontrace_shared.slots import slot_of, slot_start

from anontrace import clock
from anontrace.companion.errors import SetupError
from anontrace.companion.store.state import State
from anontrace.wire import commitment

from . import contact_log
from .contact_log import Summary

_DAY_SECONDS = 86400
_SLACK_SECONDS = 300  # a badge's clock may be behind by some of it, and its block be made later


@dataclass(frozen=True)
class Committed:
    """A code (10) and what it binds: the log up to a moment (unix seconds). `left_behind`: badges whose log was fetched
    more than a day before that of another; what they recorded since cannot count with this code."""

    code: bytes
    until: int
    fetched: int
    summary: Summary = field(repr=False)
    left_behind: list[int]


def commit(state: State) -> Committed:
    """Bind the log as it was fetched last, and keep what proves it. SetupError if it never was."""
    now = int(clock.now())
    fetched = {badge.number: min(badge.last_sync, now) for badge in state.badges.all() if badge.last_sync is not None}
    if not fetched:
        raise SetupError("no log was fetched yet; fetch it first: anontrace badge sync")
    newest = max(fetched.values())
    recent = {number: when for number, when in fetched.items() if when > newest - _DAY_SECONDS}
    last = slot_of(min(recent.values()) - _SLACK_SECONDS) - 1  # the slot before has ended, and is fetched whole
    log = contact_log.gather(state.logs.segments(), now)
    made = commitment.commit(log, last, secrets.token_bytes(commitment.SEED))
    state.commitments.add(made, now)
    summary = contact_log.summarise(made.bound(log))
    return Committed(made.code, slot_start(last + 1), newest, summary, sorted(fetched.keys() - recent.keys()))
