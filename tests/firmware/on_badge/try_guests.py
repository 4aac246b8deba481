"""Modules that come for a session and leave after it."""

import gc
import sys

from badge import guests

COMPILED = True  # as on a badge: what the compiler leaves behind is none of theirs


def visit():
    """Bytes of heap that are taken while they are there."""
    from anontrace_shared import badge_session
    from badge import requests

    assert badge_session.BadgeSession(bytes(32), bytes(20)).state == badge_session.HANDSHAKE and requests.answer
    return gc.mem_alloc()


def test_what_came_for_a_session_gives_its_memory_back_and_can_come_again():
    visit()
    guests.leave()
    gc.collect()
    before = gc.mem_alloc()
    for _ in range(2):
        loaded = visit()
        guests.leave()
        gc.collect()
        assert "badge.requests" not in sys.modules and "anontrace_shared.badge_noise" not in sys.modules
        assert gc.mem_alloc() - before < 512 < 8192 < loaded - before
    guests.leave()
