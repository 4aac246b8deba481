"""The configuration of one server: a folder with server.toml, its secrets, and where the network file is.

Reads and validates; an error names file, line and what is wrong. Never writes (init.py does) and never holds a secret.
"""

import re
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self

from anontrace_shared.errors import FormatError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from anontrace.foreign.lines import plain
from anontrace.wire import network as networks
from anontrace.wire.fields import MixNumber, ServerName, Url, first_problem
from anontrace.wire.fields import Role as MixRole
from anontrace.wire.look import MAX_PLACE
from anontrace.wire.network import Network
from anontrace.wire.tomllines import line_of, read_toml

from . import files, senders
from .errors import ConfigError
from .store import address

FILE = "server.toml"
STAFF_SOCKET = "staff.sock"
Role = Literal["mix", "nymserver", "mailbox", "discovery", "authority"]
_TCP = re.compile(r"[^/]+:[0-9]{1,5}")
_MIX_ROLES: tuple[MixRole, ...] = ("mix", "nymserver", "mailbox")
Seconds = Annotated[float, Field(ge=0, le=86400)]
Patience = Annotated[float, Field(gt=0, le=600)]
Count = Annotated[int, Field(ge=1)]


def _is_store(value: str) -> str:
    address.parse(value, "name")
    return value


class TcpPlace(NamedTuple):
    """Where to listen, or to connect to."""

    host: str
    port: int

    @classmethod
    def of(cls, text: str) -> "TcpPlace":
        """HOST:PORT, or [IPV6]:PORT, taken apart."""
        host, _, port = text.rpartition(":")
        return cls(host.strip("[]"), int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _has_port(value: str) -> str:
    if not _TCP.fullmatch(value) or not value.isprintable():
        raise ValueError("has to be HOST:PORT, or [IPV6]:PORT")
    if not 0 < TcpPlace.of(value).port < 1 << 16:  # at 0 the system takes any, which nobody would know
        raise ValueError("has to end with a port, from 1 to 65535")
    return value


def _is_path(value: str) -> str:
    if not value or not value.isprintable():
        raise ValueError("has to be the name of a file")
    return value


def _is_staff_place(value: str) -> str:
    if _TCP.fullmatch(value):
        return _has_port(value)
    if not value.isprintable() or Path(value).name in ("", "..") or ":" in value:
        raise ValueError('has to be a file in the server\'s folder, such as "staff.sock", or HOST:PORT')
    return value


FilePath = Annotated[str, AfterValidator(_is_path)]  # counts from the server's folder


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MixSettings(_Section):
    """How a mix behaves."""

    delay: Seconds = 300.0  # mean of the exponential delay, seconds: what docs/threat-model.md gives reasons for
    queue_limit: Count = 200_000  # messages held; beyond it senders are told to come again
    loops: Seconds = 30.0  # mean seconds between two decoy loops; 0: none
    loop_patience: Annotated[float, Field(gt=0, le=86400)] | None = None  # seconds until a loop counts as lost
    retire: bool = False  # make no more keys, and so be done when the last one is dead

    @property
    def loop_seconds(self) -> float:
        """`loop_patience`; if it is not set, ten minutes beyond what four mixes hardly ever hold a message."""
        return 600.0 + 24 * self.delay if self.loop_patience is None else self.loop_patience


class NymserverSettings(_Section):
    """How a nymserver behaves."""

    spread: Seconds = 36000.0  # over which the notifications of a decision leave, each at a random moment
    pace: Seconds = 0.2  # mean seconds between two notifications
    day_limit: Annotated[int, Field(ge=0)] | None = None  # notifications a day at most, whatever the authority sets
    bucket_bits: Annotated[int, Field(ge=0, le=32)] = 8
    keep_days: Annotated[int, Field(ge=1, le=366)] = 45  # from when a key was first seen
    chain_days: Annotated[int, Field(ge=1, le=60)] = 14  # for which a chain token counts
    tx_correction: Annotated[int, Field(ge=-20, le=20)] = 0  # dB by which the network's badges send more than they say
    upload_limit: Annotated[int, Field(ge=1 << 16, le=1 << 30)] = 32 << 20  # bytes of one log


class MailboxSettings(_Section):
    """How a mailbox server behaves."""

    quota: Annotated[int, Field(ge=1, le=255)] = 255  # payloads one mailbox of its own holds
    group_quota: Annotated[int, Field(ge=1, le=MAX_PLACE)] = 4096  # payloads of one group, in steps of 32


class AuthoritySettings(_Section):
    """How a health authority's server behaves."""

    token_hours: Annotated[int, Field(ge=1, le=24 * 30)] = 72
    permit_hours: Annotated[int, Field(ge=1, le=24 * 30)] = 72
    bad_tries: Count = 10  # of one sender within ten minutes, with tokens as with passwords
    session_idle_minutes: Annotated[int, Field(ge=1, le=24 * 60)] = 30  # after which staff sign in again
    session_hours: Annotated[int, Field(ge=1, le=24)] = 10  # after which they do in any case


class TlsSettings(_Section):
    """What a server that speaks TLS itself shows; paths count from the server's folder."""

    certificate: FilePath  # PEM, with the whole chain
    key: FilePath


IpNetwork = Annotated[str, AfterValidator(senders.checked)]


class HttpSettings(_Section):
    """What clients may take of a server, and how long it waits for other servers."""

    connections: Annotated[int, Field(ge=16, le=1 << 16)] = 4096  # at once
    connections_each: Annotated[int, Field(ge=4, le=1 << 16)] = 256  # of one IPv4 address or IPv6 /64
    head_seconds: Patience = 15.0  # for a request's line and headers to come
    body_seconds: Patience = 30.0
    read_seconds: Patience = 60.0  # for a client to take its answer
    idle_seconds: Annotated[int, Field(ge=1, le=3600)] = 75  # between two requests on one connection
    peer_seconds: Patience = 60.0  # for another server to take a request and answer it
    forwarded_from: list[IpNetwork] = []  # proxies whose X-Forwarded-For is believed
    watchers: list[IpNetwork] = ["127.0.0.0/8", "::1"]  # who may ask at `staff_listen`, if that is HOST:PORT


_SECTIONS: dict[str, type[_Section]] = {
    "tls": TlsSettings, "http": HttpSettings, "mix": MixSettings, "nymserver": NymserverSettings,
    "mailbox": MailboxSettings, "authority": AuthoritySettings,
}  # fmt: skip


class ServerConfig(_Section):
    """server.toml."""

    name: ServerName
    roles: Annotated[list[Role], Field(min_length=1)]
    number: MixNumber | None = None
    listen: Annotated[str, AfterValidator(_has_port)]
    staff_listen: Annotated[str, AfterValidator(_is_staff_place)] = STAFF_SOCKET  # a file, or HOST:PORT
    portal_listen: Annotated[str, AfterValidator(_has_port)] | None = None  # for staff's browsers; None: nowhere
    portal_url: Url | None = None  # where browsers find that, if it is elsewhere
    url: Url
    network: FilePath = "../network.toml"
    store: Annotated[str, AfterValidator(_is_store)] | None = None  # a cluster; None: the folder `store`
    scrub_seconds: Seconds = (
        600.0  # between two times that what was deleted is taken out of the folder's files; 0: never
    )
    tls: TlsSettings | None = None
    http: HttpSettings = HttpSettings()
    mix: MixSettings = MixSettings()
    nymserver: NymserverSettings = NymserverSettings()
    mailbox: MailboxSettings = MailboxSettings()
    authority: AuthoritySettings = AuthoritySettings()

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.is_mix != (self.number is not None):
            raise ValueError("number: mixes have one, and only they")
        if not self.is_mix and {"nymserver", "mailbox"} & set(self.roles):
            raise ValueError('roles: a nymserver or mailbox server is also a "mix"')
        if self.portal_listen is not None and "authority" not in self.roles:
            raise ValueError('portal_listen: only a server of the role "authority" has a portal')
        if self.tls is not None and not self.url.startswith("https://"):
            raise ValueError("url: a server with [tls] is reached by https://")
        if {"nymserver", "mailbox"} <= set(self.roles):
            raise ValueError("roles: a server is a nymserver or a mailbox server, not both")
        return self

    @property
    def is_mix(self) -> bool:
        return "mix" in self.roles

    @property
    def mix_roles(self) -> tuple[MixRole, ...]:
        """The roles that the network file pins."""
        return tuple(role for role in _MIX_ROLES if role in self.roles)

    @property
    def listen_at(self) -> TcpPlace:
        return TcpPlace.of(self.listen)

    @property
    def portal_at(self) -> TcpPlace | None:
        """None if there is no portal."""
        return None if self.portal_listen is None else TcpPlace.of(self.portal_listen)

    @property
    def portal_origin(self) -> str:
        """How browsers name the portal: scheme, host and port. Passkeys need a name, which an address is none."""
        if self.portal_url is not None:
            return self.portal_url.rstrip("/")
        place = self.portal_at
        if place is None:
            return ""
        host = "localhost" if place.host in ("127.0.0.1", "::1") else place.host
        return f"{'http' if self.tls is None else 'https'}://{TcpPlace(host, place.port)}"

    @property
    def staff_at(self) -> TcpPlace | None:
        """None if `staff_listen` is a socket file."""
        return TcpPlace.of(self.staff_listen) if _TCP.fullmatch(self.staff_listen) else None


class Server(BaseModel):
    """A server's folder, read."""

    model_config = ConfigDict(frozen=True)

    folder: Path
    config: ServerConfig
    network: Network
    network_path: Path


def load(folder: Path) -> Server:
    """Read and check a server's folder and its network file. ConfigError says what is wrong where."""
    path = folder / FILE
    config = parse(_text(path), str(path))
    try:
        network_path = (folder / config.network).resolve()
    except (OSError, RuntimeError):  # a link that leads to itself
        raise ConfigError(f"{folder / config.network}: cannot be read") from None
    try:
        network = networks.parse(_text(network_path), str(network_path))
    except FormatError as error:
        raise ConfigError(str(error)) from None
    if config.number is not None:
        pin = network.pins.get(config.number)
        if pin is None:
            raise ConfigError(f"{path}: number {config.number} is not in {network_path}")
        if set(pin.roles) != set(config.mix_roles):
            raise ConfigError(f"{path}: the roles of number {config.number} are others in {network_path}")
    return Server(folder=folder, config=config, network=network, network_path=network_path)


def parse(text: str, name: str) -> ServerConfig:
    """The settings in the text of a server.toml that is called `name` in errors."""
    try:
        return ServerConfig.model_validate(read_toml(text))
    except FormatError as error:
        raise ConfigError(f"{name}: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        line = line_of(text, first["loc"])
        is_unknown = first["type"] == "extra_forbidden"
        what = _misplaced(first["loc"], isinstance(first["input"], dict)) if is_unknown else _no_section(first)
        raise ConfigError(f"{name}{f', line {line}' if line else ''}: {what or first_problem(error)}") from None


def _no_section(problem: ErrorDetails) -> str | None:
    """What to write where a section has to be, if something else is."""
    name = str(problem["loc"][-1]) if problem["loc"] else ""
    if problem["type"] != "model_type" or name not in _SECTIONS:
        return None
    return f"{name}: has to be a section, once: [{name}], and its settings below it"


def _misplaced(location: tuple[int | str, ...], is_section: bool) -> str:
    """Where a setting belongs that does not exist where it stands, or that it exists nowhere."""
    *table, setting = map(str, location)
    if table and setting in ServerConfig.model_fields:
        return f"`{setting}` belongs above the first section; where it stands, it is part of [{'.'.join(table)}]"
    homes = [f"[{section}]" for section, settings in _SECTIONS.items() if setting in settings.model_fields]
    if homes:
        return f"`{setting}` belongs under {' or '.join(homes)}"
    return f"there is no {'section' if is_section else 'setting'} `{plain('.'.join((*table, setting)))}`"


def _text(path: Path) -> str:
    try:
        return files.read_text(path)[0]
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; `anontrace-server init` makes a network") from None
