"""The backend of the demonstration: each server a process with its own store, driven by the shipped CLI."""

import asyncio
import json
import secrets
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from anontrace.backend import config

from tools.demo.processes import DemoError, Processes
from tools.demo.programs import SERVER

MIXES = 3
_STAFF = _SITE, _DECIDER = "test-site", "decider"  # roles, which are their names too
_DELAY = 0.1  # mean seconds that a mix holds a message
_PACE = 0.01  # mean seconds between two notifications
_TAIL = 5  # mean delays at each mix after which hardly a message is still on its way
_PATIENCE = 300.0  # real seconds, on a busy machine, for servers to know each other, and for an upload to be opened


@dataclass(frozen=True, slots=True)
class Login:
    """An account of the staff. `code`: a recovery code, which stands for the authenticator once."""

    name: str
    role: str
    password: str
    code: str


class Backend:
    """Discovery, mixes, nymserver, mailbox server and health authority, and what the authority's staff do."""

    def __init__(self, folder: Path, processes: Processes) -> None:
        self._folder = folder
        self._processes = processes

    @property
    def network_file(self) -> Path:
        """What a companion is given to find and trust the servers."""
        return self._folder / "network.toml"

    async def start(self) -> list[str]:
        """Lay out and start all servers; their names."""
        options = ["--mixes", str(MIXES), "--delay", str(_DELAY), "--pace", str(_PACE)]
        code, _, errors = await self._processes.run("init", SERVER, ["init", str(self._folder), *options])
        if code:
            raise DemoError(f"the backend could not be laid out: {errors.strip()}")
        names = sorted(path.parent.name for path in self._folder.glob("*/server.toml"))
        # Discovery first: the others publish their keys there when they start.
        names.sort(key=lambda name: name != "discovery")
        await self._serve(names[0])
        async with asyncio.TaskGroup() as group:
            for name in names[1:]:
                group.create_task(self._serve(name))
        for name in names:
            await self._until_ready(name)
        for role in _STAFF:
            await self.sign_in(role)
        return names

    async def sign_in(self, role: str, name: str = "") -> Login:
        """Somebody of the staff is invited, chooses a password, and is signed in from then on. How to do so again."""
        name, password = name or role, secrets.token_urlsafe(9)
        invited = await self._command(name, "staff", "account", "add", name, "--role", role, "--invite")
        done = await self._command(name, "staff", "set-up", name, typed=f"{invited['invitation']}\n{password}\n")
        return Login(name, role, password, done["recovery"][0])

    @property
    def portal(self) -> str:
        """Where a browser on this machine finds it."""
        return config.load(self._folder / "authority").config.portal_origin

    async def _serve(self, name: str) -> None:
        await self._processes.serve(name, SERVER, ["run", str(self._folder / name)], f"listening {name} ")

    async def _until_ready(self, name: str) -> None:
        """Wait until the server knows all others."""
        url = tomllib.loads((self._folder / name / "server.toml").read_text())["url"]
        deadline = time.monotonic() + _PATIENCE
        async with httpx.AsyncClient(trust_env=False) as client:
            while not (answer := await client.get(f"{url}/readyz")).is_success:
                if time.monotonic() > deadline:
                    raise DemoError(f"{name} does not find the other servers: {answer.text}")
                await asyncio.sleep(0.2)

    async def _command(self, role: str, *arguments: str, typed: str = "") -> Any:
        """One command of somebody of the health authority's staff; its JSON answer."""
        words = [*arguments, "--json", "--config", str(self._folder / "authority")]
        session = {"ANONTRACE_STAFF_SESSION": str(self._folder / f"{role}.session")}
        code, output, errors = await self._processes.run("staff", SERVER, words, typed, session)
        if code:
            self._processes.check()
            raise DemoError(f"{' '.join(arguments[:2])} failed: {errors.strip()}")
        return json.loads(output)

    async def issue_token(self, disease: str, code: str) -> str:
        """A one-time token for a patient with this disease code, whose log has this code; tested positive."""
        about = ("--disease", disease, "--commitment", code, "--result", "positive")
        return str((await self._command(_SITE, "authority", "issue", *about))["token"])

    async def pending_report(self) -> dict[str, Any]:
        """The one report that waits for a decision, once the nymserver has opened the log that was uploaded."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            reports = (await self._command(_DECIDER, "authority", "reports"))["reports"]
            pending = [report for report in reports if report["state"] == "pending"]
            if len(pending) == 1:
                return dict(pending[0])
            if pending or time.monotonic() > deadline:
                raise DemoError(f"{len(pending)} reports wait for a decision instead of one")
            await asyncio.sleep(0.5)

    def seconds_under_way(self, notifications: int) -> float:
        """How long it takes until nearly all of so many notifications are in their mailboxes."""
        return _PACE * notifications + _TAIL * MIXES * _DELAY

    async def approve(self, report: str, minutes: int, depth: int) -> int:
        """Notify all contacts of a report under a rule, with the chain as deep as `depth`; number of notifications.
        Also those of the last ten minutes, which no code binds yet."""
        answer = await self._command(
            _DECIDER, "authority", "approve", report, "--minutes", str(minutes), "--depth", str(depth), "--later"
        )
        return int(answer["notifications"])
