"""A terminal for the CLI: what a wearer sees there, and what is typed when a question comes up."""

import os
import pty
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, Self

from tests.patience import HANG_SECONDS, Process, eventually


class Command(Process, Protocol):
    """A command that was started: a Popen, or what a test needs of it."""

    def wait(self, timeout: float) -> int: ...

    def kill(self) -> None: ...


class Cli(Protocol):
    """A command line that may be run on a terminal."""

    environment: dict[str, str]

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], streams: Sequence[int]) -> Command:
        """A command of it with these three file descriptors as its streams."""


class Terminal:
    """A pseudo-terminal, read all the time: a program that writes to one that nobody reads stands still.

    `follower` is what a program is given as its terminal; `screen` is all that was written to it so far.
    """

    def __init__(self) -> None:
        self._leader, self.follower = pty.openpty()
        self.screen = ""
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.follower)  # the last one: the reader comes to the end
        self._reader.join(HANG_SECONDS)
        os.close(self._leader)

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._leader, 4096)
            except OSError:  # the other end is closed
                return
            if not data:
                return
            self.screen += data.decode(errors="replace")

    def until(self, pattern: str, process: Process, start: int = 0) -> int:
        """Wait until the pattern stands on the screen at or after `start`; where it ends."""
        found = eventually(
            f"on the terminal: {pattern}", lambda: re.compile(pattern).search(self.screen, start), process
        )
        return int(found.end())

    def type(self, line: str) -> None:
        os.write(self._leader, (line + "\n").encode())


def talk(cli: Cli, arguments: list[str], answers: list[tuple[str, str | Callable[[], str]]]) -> tuple[int, str]:
    """Run a command on a terminal; each (question, answer) is typed once its question has appeared.

    An answer may be a function, which is called then.

    Returns the exit code and all that was on the screen.
    """
    with Terminal() as terminal:
        process = cli.start(arguments, cli.environment | {"COLUMNS": "120"}, [terminal.follower] * 3)
        try:
            seen = 0
            for question, answer in answers:
                # What is typed before the whole prompt is there may be thrown away.
                seen = terminal.until(re.escape(question) + "[^\n]*: ", process, seen)
                terminal.type(answer if isinstance(answer, str) else answer())
            code = process.wait(HANG_SECONDS)
        finally:
            process.kill()
            process.wait(HANG_SECONDS)
    return code, terminal.screen
