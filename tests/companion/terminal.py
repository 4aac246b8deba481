"""A terminal for the CLI: what a wearer sees there, and what is typed when a question comes up."""

import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Callable
from typing import Protocol


class Cli(Protocol):
    """A command line that may be run on a terminal."""

    environment: dict[str, str]

    def command(self, *arguments: str) -> list[str]: ...


PATIENCE = 40.0


def talk(cli: Cli, arguments: list[str], answers: list[tuple[str, str | Callable[[], str]]]) -> tuple[int, str]:
    """Run a command on a terminal; each (question, answer) is typed once its question has appeared.

    An answer may be a function, which is called then.

    Returns the exit code and all that was on the screen.
    """
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        cli.command(*arguments), env=cli.environment | {"COLUMNS": "120"}, stdin=follower, stdout=follower,
        stderr=follower, start_new_session=True,
    )  # fmt: skip
    os.close(follower)
    screen, seen, waiting = "", 0, list(answers)
    deadline = time.monotonic() + PATIENCE
    try:
        while True:
            assert time.monotonic() < deadline, screen
            if select.select([leader], [], [], 0.2)[0]:
                try:
                    data = os.read(leader, 4096)
                except OSError:  # the other end is closed
                    break
                if not data:
                    break
                screen += data.decode(errors="replace")
            # What is typed before the whole prompt is there may be thrown away.
            if waiting and (asked := re.compile(re.escape(waiting[0][0]) + "[^\n]*: ").search(screen, seen)):
                seen = asked.end()
                answer = waiting.pop(0)[1]
                os.write(leader, ((answer if isinstance(answer, str) else answer()) + "\n").encode())
        assert not waiting, f"never asked: {waiting[0][0]}; on the screen: {screen}"
        return process.wait(PATIENCE), screen
    finally:
        os.close(leader)
        if process.poll() is None:
            process.kill()
            process.wait()
