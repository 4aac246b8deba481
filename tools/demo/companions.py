"""The companions of the demonstration: the shipped command line, one state folder per person, a few at a time."""

import asyncio
import json
from pathlib import Path
from typing import Any

from tools.demo.processes import DemoError, Processes
from tools.demo.programs import COMPANION


class Companion:
    """One person's companion; every method is one run of `anontrace`."""

    def __init__(self, person: str, folder: Path, processes: Processes, turns: asyncio.Semaphore) -> None:
        self.person = person
        self._state = folder
        self._processes = processes
        self._turns = turns
        self.adapter: str | None = None

    async def command(self, *arguments: str, done_in_part: bool = False) -> dict[str, Any]:
        """Run one command and return its JSON answer; DemoError with its message when it fails."""
        options = ["--state", str(self._state), "--json"]
        if self.adapter is not None:
            options += ["--adapter", self.adapter]
        async with self._turns:
            code, output, errors = await self._processes.run(
                f"companion-{self.person}", COMPANION, [*options, *arguments]
            )
        try:
            answer = json.loads(output)
        except ValueError:
            raise DemoError(f"{self.person}: anontrace {arguments[0]} gave no JSON: {errors.strip()[-200:]}") from None
        if code and not (code == 5 and done_in_part):
            self._processes.check()
            message = answer.get("error", {}).get("message") or errors.strip()
            raise DemoError(f"{self.person}: anontrace {' '.join(arguments[:2])} failed: {message}")
        return dict(answer)
