"""An owner comes and goes: takes the key that a companion draws, and forgets all that was anybody's.

A badge that is given up loses everything but the counters that never repeat. Its key's file is renamed first: from
then on it has no owner, and a power cut in between is made up for at the next boot.
"""

import os

from micropython import const

from . import health, store

_KEY = const("owner.key")  # as store reads it
_COMING = const("owner.new")
_GOING = const("owner.old")


def own(key):
    """The badge has this owner key (32) from now on; whole or not at all. OSError."""
    with open(_COMING, "wb") as file:
        file.write(key)
    os.rename(_COMING, _KEY)


async def erase(badge):
    """Forget schedule, log, list, settings and crash log; the owner key stays."""
    async with badge.turning:
        _erase(badge, os.remove)
        await badge.turn(True)


async def give_up(badge):
    """Forget all that, and the owner key, overwritten as far as the file system writes in place."""
    async with badge.turning:
        try:
            os.rename(_KEY, _GOING)
        except OSError:
            pass  # it has none
        badge.links.end_all()
        _erase(badge, store.remove)
        store.remove(_COMING)
        store.remove(_GOING)
        await badge.turn(True)


def interrupted():
    """Whether the badge was being given up when its power went."""
    return _GOING in os.listdir()


def _erase(badge, remove):
    badge.contacts.close()
    badge.contacts.discard()
    badge.state.erase()
    badge.addresses.erase()
    badge.logbook.erase(remove)
    health.forget()
    badge.tune()
