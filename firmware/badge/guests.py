"""Modules that a badge needs only at a start, at a day's end or while its companion is there: a seventh of its memory.

They are imported where they are used, in functions; `leave` forgets them, and the collector takes the rest.
"""

import sys

HANDSHAKE = "anontrace_shared.badge_noise"  # of a session, which goes on without it
_GUESTS = (
    "badge.requests",
    "badge.orders",
    "badge.board",
    "badge.owner",
    "badge.segments",
    "badge.defaults",
    "badge.moving",
    "badge.lending",
    "badge.lists",
    "anontrace_shared.badge_commands",
    "anontrace_shared.badge_orders",
    "anontrace_shared.badge_session",
    "anontrace_shared.badge_transport",
    HANDSHAKE,
)


def leave(guests=_GUESTS):
    """Forget the guests, if they came. Nothing of theirs may be in use."""
    for name in guests:
        if name in sys.modules:
            del sys.modules[name]
            package, module = name.split(".")
            delattr(sys.modules[package], module)
