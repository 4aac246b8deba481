"""The companion's commands, forked from one process that has loaded it."""

import os

from anontrace import companion
from anontrace.companion import cli
from anontrace.companion.keys.passphrase import SALT, Stretching
from anontrace.companion.schedule import run as scheduled
from nacl.pwhash.argon2id import MEMLIMIT_MIN, OPSLIMIT_MIN

from tools import loaded

CHEAP = "CHEAP_ARGON2ID"  # in a command's environment: new keys of passphrases at the least cost that there is
BUMBLE = "bumble_"  # modules heavier than all the rest, which few commands need

PROGRAM = loaded.Program(__name__)


class Loading:
    """What is loaded: the heavy modules when the first command comes that needs them."""

    def __init__(self) -> None:
        cli._travel_light()
        loaded.load(companion, lambda name: BUMBLE not in name)
        self._heavy = False

    def prepare(self, words: list[str]) -> None:
        if not self._heavy and any(word.startswith("bumble:") for word in words):
            loaded.load(companion)
            self._heavy = True


if __name__ == "__main__":
    loaded.serve("anontrace", Loading().prepare)
    if CHEAP in os.environ:
        Stretching.fresh = lambda: Stretching(os.urandom(SALT), OPSLIMIT_MIN, MEMLIMIT_MIN)  # type: ignore[method-assign]
    scheduled.APART_SECONDS = 0.2  # nobody watches when requests leave
    loaded.run(cli.main)
