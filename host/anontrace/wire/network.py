"""The network file (TOML): what a client or server is given once and pins (docs/protocol.md section 10).

Errors name the file and the line. Never holds a secret.
"""

import json
from functools import cached_property
from pathlib import Path
from typing import Annotated, Self

from anontrace_shared.errors import FormatError
from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from anontrace.foreign import files

from .fields import AS_TUPLE, Document, Hex32, MixNumber, Name, Role, Roles, Url, first_problem
from .tomllines import line_of_first, read_toml
from .trust import checked_ca


class Named(Document):
    """The network itself. `ca`: certificates in PEM that its servers' TLS is verified by, instead of the system's."""

    name: Name
    ca: Annotated[str, Field(max_length=1 << 16), AfterValidator(checked_ca)] | None = None


class Service(Document):
    """Discovery or health authority: where it is, and its Ed25519 public key (32)."""

    url: Url
    key: Hex32


class PinnedMix(Document):
    """A mix that may be used: its number, its long-term Ed25519 public key (32), its roles."""

    number: MixNumber
    key: Hex32
    roles: Roles


class Network(Document):
    """Whom to trust in one network. The fields are named as in the file."""

    network: Named
    discovery: Service
    authority: Service
    mix: Annotated[
        tuple[PinnedMix, ...],
        AS_TUPLE,
        Field(min_length=1, max_length=255),
    ]

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        numbers: set[int] = set()
        keys: set[bytes] = set()
        for index, mix in enumerate(self.mix):
            for field, again in (("number", mix.number in numbers), ("key", mix.key in keys)):
                if again:
                    at = {"at": ("mix", index, field)}
                    raise PydanticCustomError("duplicate", f"mix {mix.number}: another mix has the same {field}", at)
            numbers.add(mix.number)
            keys.add(mix.key)
        for role in ("nymserver", "mailbox"):
            if not any(role in mix.roles for mix in self.mix):
                raise ValueError(f"mix: no mix has the role {role}")
        nymservers = [index for index, mix in enumerate(self.mix) if "nymserver" in mix.roles]
        if len(nymservers) > 1:
            first, second = (self.mix[index].number for index in nymservers[:2])
            said = (
                f"mix {first} and mix {second} are both nymservers; a network has one, since every contact address is"
                " looked up there: leave one of them out, or make it a mix"
            )
            raise PydanticCustomError("nymservers", "{said}", {"said": said, "at": ("mix", nymservers[1], "roles")})
        return self

    @property
    def name(self) -> str:
        """The network's name."""
        return self.network.name

    @cached_property
    def pins(self) -> dict[int, PinnedMix]:
        """The mixes by their numbers."""
        return {mix.number: mix for mix in self.mix}

    def with_role(self, role: Role) -> tuple[int, ...]:
        """The numbers of the mixes that have a role."""
        return tuple(mix.number for mix in self.mix if role in mix.roles)

    def to_toml(self) -> str:
        """The text of the file."""
        lines = ["[network]", f"name = {_quoted(self.name)}"]
        if self.network.ca is not None:
            lines.append(f"ca = {_quoted(self.network.ca)}")
        for name, service in (("discovery", self.discovery), ("authority", self.authority)):
            lines += ["", f"[{name}]", f"url = {_quoted(service.url)}", f'key = "{service.key.hex()}"']
        for mix in self.mix:
            roles = ", ".join(_quoted(role) for role in mix.roles)
            lines += ["", "[[mix]]", f"number = {mix.number}", f'key = "{mix.key.hex()}"', f"roles = [{roles}]"]
        return "\n".join(lines) + "\n"

    def save(self, path: Path) -> None:
        """Write the file."""
        path.write_text(self.to_toml(), encoding="utf-8")


def load(path: Path) -> Network:
    """Read and check a network file. FormatError with file, line and what is wrong; OSError if it cannot be read."""
    try:
        text = files.text(files.read(path)[0])
    except files.UnusableFile as error:
        raise FormatError(f"{path}: {error}") from None
    return parse(text, str(path))


def parse(text: str, name: str = "network file") -> Network:
    """The network in the text of a file that is called `name` in errors."""
    try:
        values = read_toml(text)
    except FormatError as error:
        raise FormatError(f"{name}: {error}") from None
    try:
        return Network.model_validate(values)
    except ValidationError as error:
        line = line_of_first(text, error)
        at = f"{name}, line {line}" if line else name
        raise FormatError(f"{at}: {first_problem(error)}") from None


def _quoted(text: str) -> str:
    """A TOML basic string. JSON's escapes are TOML's too; fields here hold no control characters."""
    return json.dumps(text, ensure_ascii=False)
