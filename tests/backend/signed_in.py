"""Accounts at a health authority's server for tests: made and set up as staff do it, one for each role."""

import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyotp
from anontrace.backend.cli.desk import ENVIRONMENT, Desk
from anontrace.backend.errors import BackendError
from anontrace.backend.staff.rights import Role

PASSWORD = "correct horse battery"
_FILES = tempfile.TemporaryDirectory(prefix="anontrace-sessions-")
_sessions: dict[tuple[Path, Role], str] = {}


def make(folder: Path, name: str, role: Role, site: str = "") -> tuple[str, str, list[str]]:
    """A new account, set up: its session, its authenticator's secret, its recovery codes."""
    desk = Desk.of(folder)
    invited = desk.ask_as_operator("POST", "accounts", {"name": name, "role": role.value, "site": site})
    begun = desk.ask("POST", "invitation", {"name": name, "invitation": invited["invitation"]})
    code = pyotp.TOTP(begun["secret"]).now()
    done = desk.ask("POST", "set-up", {"session": begun["session"], "password": PASSWORD, "code": code})
    return done["session"], begun["secret"], done["recovery"]


def session(folder: Path, role: Role) -> str:
    """Of somebody with this role, who is signed in as long as the test runs."""
    key = (folder.resolve(), role)
    if key in _sessions:
        try:
            Desk(folder, Desk.of(folder).place, _sessions[key]).ask("GET", _SEEN[role])
        except BackendError as error:
            if "the session is over" not in str(error):
                return _sessions[key]
            del _sessions[key]
    if key not in _sessions:
        _sessions[key] = make(folder, f"{role.value}-{os.urandom(4).hex()}", role)[0]
    return _sessions[key]


_SEEN = {
    Role.TEST_SITE: "tokens", Role.CASE_WORKER: "reports", Role.DECIDER: "reports",
    Role.ADMINISTRATOR: "accounts", Role.AUDITOR: "accounts",
}  # fmt: skip


def role_for(arguments: Sequence[str]) -> Role | None:
    """Who does what these arguments of `anontrace-server` say; None if nobody has to sign in for it."""
    if list(arguments[:1]) != ["authority"] or "--config" not in arguments or "--help" in arguments:
        return None
    return Role.TEST_SITE if arguments[1] in ("issue", "tokens", "result", "results") else Role.DECIDER


def by_commands(run: Callable[..., str], folder: Path, role: Role, day: int) -> dict[str, str]:
    """What a command runs with by which somebody with this role is signed in at the authority in this folder. `run`:
    runs commands by the servers' clock, which may be another one than this process has: arguments, more environment,
    standard input; their output. `day`: that clock's; a session ends when it is moved by days."""
    name = f"{role.value}-{day}"
    file = folder.parent / f"{name}.session"
    session = {ENVIRONMENT: str(file)}
    if not file.exists():
        where = ("--json", "--config", str(folder))
        invited = json.loads(run(("staff", "account", "add", name, "--role", role.value, "--invite", *where), {}))
        run(("staff", "set-up", name, *where), session, f"{invited['invitation']}\n{PASSWORD}\n")
    return session


def environment(arguments: Sequence[str], before: Mapping[str, str]) -> dict[str, str]:
    """What a staff command of these arguments runs with: the session of somebody who may do that."""
    role = role_for(arguments)
    if role is None:
        return dict(before)
    folder = Path(arguments[list(arguments).index("--config") + 1])
    path = Path(_FILES.name) / os.urandom(8).hex()
    try:
        text = json.dumps({"account": role.value, "session": session(folder, role)})
    except BackendError:  # no such server, or none that answers: the command says so itself
        text = json.dumps({"account": role.value, "session": "00" * 32})
    path.touch(0o600)
    path.write_text(text)
    return {**before, ENVIRONMENT: str(path)}
