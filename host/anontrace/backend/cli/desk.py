"""The authority's server, as commands of its staff reach it: through its folder, with the session of who signed in."""

import json
import os
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import platformdirs

from anontrace.backend import config
from anontrace.backend.errors import ConfigError, PeerError
from anontrace.backend.keys import keyfiles, private
from anontrace.backend.operating.nearby import Place
from anontrace.backend.web.http import JSON, reason_in, silence_in

ENVIRONMENT = "ANONTRACE_STAFF_SESSION"  # the file of the session, instead of one in the user's own folder
_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Desk:
    """One authority's server. `session`: "" before anybody signed in."""

    folder: Path
    place: Place
    session: str = field(default="", repr=False)

    @classmethod
    def of(cls, folder: Path, session: str = "") -> "Desk":
        """By the folder. ConfigError if it is none of an authority, or of an earlier version."""
        found = None if not (folder / config.FILE).exists() else config.load(folder)
        if found is None or "authority" not in found.config.roles:
            raise ConfigError(f"{folder}: no folder of an authority's server; name it by --config")
        return cls(folder, Place.for_staff(found), session)

    @classmethod
    def signed_in(cls, folder: Path) -> "Desk":
        """With the session of who signed in. ConfigError if nobody has."""
        desk = cls.of(folder)
        path = session_file(folder)
        try:
            kept = private.text(path)
        except FileNotFoundError:
            raise ConfigError("nobody has signed in: `anontrace-server staff login NAME`") from None
        try:
            session = json.loads(kept)["session"]
        except (ValueError, KeyError, TypeError):
            raise ConfigError(f"{path}: damaged; sign in anew") from None
        return cls(folder, desk.place, str(session))

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The JSON answer. PeerError, with the server's reason, if it is another one."""
        return self._ask(method, path, body, {"Authorization": f"Bearer {self.session}"} if self.session else {})

    def ask_as_operator(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """As `ask`, signed with the server's own key instead of by a session: for accounts and the audit."""
        from anontrace.backend.web.signed import AUTHORITY, signed  # with packages of the extra `server`

        data = b"" if body is None else json.dumps(body).encode()
        key = keyfiles.read(self.folder, keyfiles.SIGNING)
        return self._ask(
            method, path, body, signed(key, AUTHORITY, method, f"/v1/staff/{path.partition('?')[0]}", data)
        )

    def _ask(self, method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str]) -> Any:
        data = b"" if body is None else json.dumps(body).encode()
        headers = {"Content-Type": JSON, **headers}
        try:
            answer = self.place.request(method, f"/v1/staff/{path}", _SECONDS, content=data, headers=headers)
        except httpx.HTTPError as error:
            why = silence_in(error)
            raise PeerError(f"{self.place.where}: the authority's server does not answer ({why})") from None
        if answer.status_code == httpx.codes.UNAUTHORIZED and self.session:
            raise PeerError("the session is over: `anontrace-server staff login NAME`")
        if not answer.is_success:
            raise PeerError(reason_in(answer.content) or f"the authority's server answers {answer.status_code}")
        try:
            return answer.json()
        except (ValueError, RecursionError):
            raise PeerError(f"{self.place.where}: this is no authority's server") from None


def session_file(folder: Path) -> Path:
    """Where the session of this user at this server is kept."""
    named = os.environ.get(ENVIRONMENT)
    if named:
        return Path(named)
    server = sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
    return platformdirs.user_state_path("anontrace-server") / f"{server}.session"


def keep_session(folder: Path, answer: dict[str, Any]) -> None:
    """Keep the session that an answer brought, in a file for this user alone, instead of one before."""
    path = session_file(folder)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)  # of an attempt that broke off
    private.write_new(beside, json.dumps({"account": answer["name"], "session": answer["session"]}) + "\n")
    beside.replace(path)


def forget_session(folder: Path) -> None:
    """There is none any more."""
    session_file(folder).unlink(missing_ok=True)
