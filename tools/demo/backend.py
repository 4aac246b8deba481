"""The backend of the demonstration: each server a process with its own store, driven by the shipped CLI."""

import json
import sys
from pathlib import Path
from typing import Any

from tools.demo.processes import DemoError, Processes

MIXES = 3
_DELAY = 0.2  # mean seconds that a mix holds a message; hours on a real network


def script(name: str) -> str:
    """A command that this project installs, from the environment that this runs in."""
    return str(Path(sys.executable).parent / name)


class Backend:
    """Discovery, mixes, nymserver, mailbox server and health authority, and what the authority's staff do."""

    def __init__(self, folder: Path, processes: Processes) -> None:
        self._folder = folder
        self._processes = processes
        self._server = script("anontrace-server")

    @property
    def network_file(self) -> Path:
        """What a companion is given to find and trust the servers."""
        return self._folder / "network.toml"

    async def start(self) -> list[str]:
        """Lay out and start all servers; their names."""
        options = ["--mixes", str(MIXES), "--delay", str(_DELAY)]
        code, _, errors = await self._processes.run("init", [self._server, "init", str(self._folder), *options])
        if code:
            raise DemoError(f"the backend could not be laid out: {errors.strip()}")
        names = sorted(path.parent.name for path in self._folder.glob("*/server.toml"))
        # Discovery first: the others publish their keys there when they start.
        for name in sorted(names, key=lambda name: name != "discovery"):
            await self._processes.serve(name, [self._server, "run", str(self._folder / name)], f"ready {name} ")
        return names

    async def _staff(self, *arguments: str) -> Any:
        """One command of the health authority's staff; its JSON answer."""
        command = [self._server, "authority", *arguments, "--json", "--config", str(self._folder / "authority")]
        code, output, errors = await self._processes.run("staff", command)
        if code:
            self._processes.check()
            raise DemoError(f"authority {arguments[0]} failed: {errors.strip()}")
        return json.loads(output)

    async def issue_token(self, disease: str) -> str:
        """A one-time token for a patient with this disease code."""
        return str((await self._staff("issue", "--disease", disease))["token"])

    async def pending_report(self) -> dict[str, Any]:
        """The one report that waits for a decision."""
        reports = (await self._staff("reports"))["reports"]
        pending = [report for report in reports if report["state"] == "pending"]
        if len(pending) != 1:
            raise DemoError(f"{len(pending)} reports wait for a decision instead of one")
        return dict(pending[0])

    async def approve(self, report: str, minutes: int, depth: int) -> None:
        """Notify all contacts of a report under a rule, with the chain as deep as `depth`."""
        await self._staff("approve", report, "--minutes", str(minutes), "--depth", str(depth))
