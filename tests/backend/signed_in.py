"""Accounts at a health authority's server for tests: made and set up as staff do it, one for each role."""

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
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


def environment(arguments: Sequence[str], before: Mapping[str, str]) -> dict[str, str]:
    """What a staff command of these arguments runs with: the session of somebody who may do that."""
    if arguments[:1] != ["authority"] or "--config" not in arguments or "--help" in arguments:
        return dict(before)
    folder = Path(arguments[list(arguments).index("--config") + 1])
    role = Role.TEST_SITE if arguments[1] == "issue" else Role.DECIDER
    path = Path(_FILES.name) / os.urandom(8).hex()
    try:
        text = json.dumps({"account": role.value, "session": session(folder, role)})
    except BackendError:  # no such server, or none that answers: the command says so itself
        text = json.dumps({"account": role.value, "session": "00" * 32})
    path.touch(0o600)
    path.write_text(text)
    return {**before, ENVIRONMENT: str(path)}
