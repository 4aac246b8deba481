"""A network of several operators: each makes one server with its own keys, and hands on only its public entry.

An entry is the part of a network file (docs/protocol.md section 10) that describes one server. Entries are put together
into a network file; no secret ever leaves the folder in which it was made.
"""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from anontrace_shared.errors import FormatError
from pydantic import ValidationError

from anontrace.backend import config, files
from anontrace.backend.config import FILE, Role
from anontrace.backend.errors import ConfigError
from anontrace.backend.keys import keyfiles
from anontrace.wire.fields import first_problem
from anontrace.wire.network import Network
from anontrace.wire.tomllines import read_toml

from .checking import SECRETS
from .init import door_lines

ENTRY = "entry.toml"


def make_server(folder: Path, role: Role, number: int | None, listen: str, url: str) -> Path:
    """A server's folder with fresh keys; the path of its public entry. ConfigError if there is one, or it makes no
    sense."""
    roles: list[Role] = [role] if role in ("mix", "discovery", "authority") else ["mix", role]
    if (folder / FILE).exists():
        raise ConfigError(f"{folder / FILE}: there is a server in this folder already")
    is_mix = "mix" in roles
    if is_mix != (number is not None):
        raise ConfigError("a mix, nymserver or mailbox server has a number, and no other server has one")
    lines = [f"name = {json.dumps(folder.resolve().name)}", f"roles = {json.dumps(roles)}"]
    if number is not None:
        lines.append(f"number = {number}")
    lines += door_lines(listen, url)
    text = "\n".join(lines) + "\n"
    config.parse(text, str(folder / FILE))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    names = dict.fromkeys(name for each in roles for name in SECRETS[each])
    key = keyfiles.verify_key({name: keyfiles.write_new(folder, name) for name in names}[keyfiles.SIGNING]).hex()
    (folder / FILE).write_text(text, encoding="utf-8")
    if is_mix:
        entry = f'[[mix]]\nnumber = {number}\nkey = "{key}"\nroles = {json.dumps(roles)}\n'
    else:
        entry = f'[{role}]\nurl = {json.dumps(url)}\nkey = "{key}"\n'
    (folder / ENTRY).write_text(entry, encoding="utf-8")
    return folder / ENTRY


def put_together(path: Path, name: str | None, entries: Sequence[Path]) -> Network:
    """Add entries to the network file, made if it is not there; what is in it as it is, is left. Another server under a
    number that is there, a second discovery or authority, is refused: what is pinned is not changed by adding.
    ConfigError or FormatError says what is wrong."""
    document: dict[str, Any] = _read(path) if path.exists() else {"network": {"name": name or "network"}, "mix": []}
    for entry in entries:
        found = _read(entry)
        if not found:
            raise ConfigError(f"{entry}: there is no server in it")
        for key, value in found.items():
            if key == "mix":
                pinned = document.setdefault("mix", [])
                pinned.extend(mix for mix in value if mix not in pinned)
            elif document.setdefault(key, value) != value:
                raise ConfigError(f"{entry}: the network has another [{key}] already")
    try:
        made = Network.model_validate(document)
    except ValidationError as error:
        raise FormatError(f"these entries make no network: {first_problem(error)}") from None
    made.save(path)
    return made


def summary(network: Network) -> str:
    """What servers a network has. Nymserver and mailbox server are mixes too, but are counted as what else they are."""
    counts = Counter(next((role for role in pin.roles if role != "mix"), "mix") for pin in network.mix)
    named = (("mix", "mix", "es"), ("nymserver", "nymserver", "s"), ("mailbox", "mailbox server", "s"))
    shown = (f"{counts[role]} {name}{'' if counts[role] == 1 else more}" for role, name, more in named if counts[role])
    return ", ".join(["discovery", "health authority", *shown])


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_toml(files.read_text(path)[0])
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except FormatError as error:
        raise ConfigError(f"{path}: {error}") from None
