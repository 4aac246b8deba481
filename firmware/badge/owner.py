"""An owner comes and goes: what a badge forgets that is emptied or given up, beside its state.

A badge that is given up loses everything but the counters that never repeat. Its keys go first and at once; that files
are still to be removed stands in the state, and after a power cut the next boot does it.
"""

from anontrace_shared import names

from . import defaults, health, segments


async def erase(badge):
    """Forget schedule, log, list, settings and crash log; the owner key stays."""
    async with badge.turning:
        defaults.reset(badge.state)
        badge.state.save()
        _forget(badge)
        await badge.turn(True)


async def give_up(badge):
    """Forget all that, and the owner key."""
    async with badge.turning:
        defaults.reset(badge.state)
        badge.state.erasing = 1
        badge.state.save(names.NO_OWNER)
        badge.links.end_all()
        _forget(badge)
        badge.state.erasing = 0
        badge.state.save()
        await badge.turn(True)


def _forget(badge):
    badge.contacts.close()
    badge.contacts.discard()
    badge.addresses.erase()
    segments.erase(badge.logbook)
    health.forget()
    badge.tune()
