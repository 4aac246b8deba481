"""The two programs of the demonstration, each loaded once: its commands are processes that are forked from that one.

Loading them anew for each took a third of the demonstration's processor time.
"""

import sys

from tools import loaded

COMPANION, SERVER = "anontrace", "anontrace-server"
PROGRAMS = {name: loaded.Program(__name__, name) for name in (COMPANION, SERVER)}


def _serve(name: str) -> None:
    """Load a program, and be its commands."""
    if name == COMPANION:
        from anontrace import companion
        from anontrace.companion import cli

        cli._travel_light()
        loaded.load(companion)
        main = cli.main
    else:
        from anontrace import backend
        from anontrace.backend.cli import main

        loaded.load(backend)
    loaded.serve(name)
    loaded.run(main)


if __name__ == "__main__":
    _serve(sys.argv[1])
