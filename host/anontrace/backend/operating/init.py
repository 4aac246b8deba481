"""Making a network: keys for every server, one folder each, and the network file that pins them.

docs/protocol.md section 10, "Network file". Refuses to touch a network that is there already.
"""

import errno
import json
import random
import socket
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from anontrace.backend import config
from anontrace.backend.config import FILE, STAFF_SOCKET, MixSettings, NymserverSettings, Role, TcpPlace
from anontrace.backend.errors import ConfigError
from anontrace.backend.keys import keyfiles
from anontrace.backend.web import sockets
from anontrace.wire.fields import first_problem
from anontrace.wire.network import Named, Network, PinnedMix, Service

MIN_MIXES = 3
MAX_MIXES = 253  # a nymserver and a mailbox server are mixes too
PORTS = range(23000, 32000)  # of networks on this machine that say no port
_LOOPBACK = "127.0.0.1"
_TAKEN = (errno.EADDRINUSE, errno.EACCES)  # the latter where Windows has reserved a port


@dataclass(frozen=True, slots=True)
class Plan:
    """What `init` was asked for. base_port 0: free ports. delay, pace, loops, spread: seconds; None: as in config.py,
    but no spread where a pace is given."""

    mixes: int = MIN_MIXES
    host: str = "127.0.0.1"
    base_port: int = 0
    delay: float | None = None
    pace: float | None = None
    name: str = "local"
    loops: float | None = None
    spread: float | None = None


@dataclass(frozen=True, slots=True)
class _Server:
    name: str
    roles: tuple[Role, ...]
    number: int | None
    secrets: tuple[str, ...]


def make_network(folder: Path, plan: Plan) -> list[Path]:
    """Write network.toml and the servers' folders; the folders, discovery first. ConfigError if that cannot be."""
    if not MIN_MIXES <= plan.mixes <= MAX_MIXES:
        raise ConfigError(f"a network has {MIN_MIXES} to {MAX_MIXES} mixes besides nymserver and mailbox server")
    if (folder / "network.toml").exists():
        raise ConfigError(f"{folder / 'network.toml'}: there is a network in this folder already")
    try:
        named = Named(name=plan.name)
    except ValidationError as error:
        raise ConfigError(f"the network's name: {first_problem(error)}") from None
    servers = _servers(plan.mixes)
    number = len(servers) + 1  # the portal's comes last
    ports = free_ports(plan.host, number) if plan.base_port == 0 else _ports(plan.base_port, number)
    texts: dict[str, str] = {}
    urls: dict[str, str] = {}
    for server, port in zip(servers, ports[:-1], strict=True):
        place = str(TcpPlace(plan.host, port))
        urls[server.name] = f"http://{place}"
        texts[server.name] = _server_toml(server, place, urls[server.name], plan, ports[-1])
        config.parse(texts[server.name], f"{folder / server.name / FILE} as it would be")
    folder.mkdir(parents=True, exist_ok=True)
    keys: dict[str, bytes] = {}
    for server in servers:
        home = folder / server.name
        home.mkdir(mode=0o700, exist_ok=True)
        for secret in server.secrets:
            made = keyfiles.write_new(home, secret)
            if secret == keyfiles.SIGNING:
                keys[server.name] = keyfiles.verify_key(made)
        (home / FILE).write_text(texts[server.name], encoding="utf-8")
    Network(
        network=named,
        discovery=Service(url=urls["discovery"], key=keys["discovery"]),
        authority=Service(url=urls["authority"], key=keys["authority"]),
        mix=tuple(
            PinnedMix(number=each.number, key=keys[each.name], roles=each.roles)  # type: ignore[arg-type]
            for each in servers
            if each.number is not None
        ),
    ).save(folder / "network.toml")
    return [folder / server.name for server in servers]


def _servers(mixes: int) -> list[_Server]:
    mix = (keyfiles.SIGNING, keyfiles.STORAGE)
    return [
        _Server("discovery", ("discovery",), None, (keyfiles.SIGNING,)),
        *(_Server(f"mix-{number}", ("mix",), number, mix) for number in range(1, mixes + 1)),
        _Server("nymserver", ("mix", "nymserver"), mixes + 1, (*mix, keyfiles.LOG, keyfiles.TOKEN)),
        _Server("mailbox", ("mix", "mailbox"), mixes + 2, mix),
        _Server("authority", ("authority",), None, (keyfiles.SIGNING, keyfiles.STAFF)),
    ]


def _server_toml(server: _Server, listen: str, url: str, plan: Plan, portal_port: int) -> str:
    roles = ", ".join(f'"{role}"' for role in server.roles)
    lines = [f'name = "{server.name}"', f"roles = [{roles}]"]
    if server.number is not None:
        lines.append(f"number = {server.number}")
    lines += door_lines(listen, url)
    if server.number is not None:
        delay = MixSettings().delay if plan.delay is None else plan.delay
        lines += ["", "[mix]", f"delay = {delay}  # mean seconds that a message is held before it goes on"]
        loops = MixSettings().loops if plan.loops is None else plan.loops
        lines.append(f"loops = {loops}  # mean seconds between two decoy loops; 0: none")
    if "nymserver" in server.roles:
        settings = NymserverSettings()
        pace = settings.pace if plan.pace is None else plan.pace
        spread = plan.spread if plan.spread is not None else settings.spread if plan.pace is None else 0.0
        lines += ["", "[nymserver]", f"spread = {spread}  # seconds over which the notifications of a decision leave"]
        lines.append(f"pace = {pace}  # mean seconds between two notifications")
        lines.append(f"bucket_bits = {settings.bucket_bits}  # 2 to this power buckets; fixed once in use")
    if "authority" in server.roles:
        lines.append(f'portal_listen = "{_LOOPBACK}:{portal_port}"  # for the browsers of its staff')
    return "\n".join(lines) + "\n"


def door_lines(listen: str, url: str) -> list[str]:
    """The lines of a server.toml that say where it listens, and where the network file is."""
    return [
        f"listen = {json.dumps(listen)}",
        f'staff_listen = "{STAFF_SOCKET}"  # for its staff and operators: a file in this folder, or HOST:PORT',
        f"url = {json.dumps(url)}",
        'network = "../network.toml"',
    ]


def _ports(base: int, number: int) -> list[int]:
    if not 1 <= base <= 65536 - number:
        raise ConfigError(f"ports {base} to {base + number - 1} do not exist")
    return list(range(base, base + number))


def free_ports(host: str, number: int) -> list[int]:
    """Ports that are free now, of those that no system gives to outgoing connections: one of these could take a port
    before the server that it is for has started. Bound all at once, so that none is drawn twice."""
    found: list[int] = []
    with ExitStack() as stack:
        for port in random.sample(PORTS, len(PORTS)):
            try:
                probes, _ = sockets.bind_all(TcpPlace(host, port))
            except (socket.gaierror, UnicodeError):
                raise ConfigError(f"cannot listen on {host}: there is no such host") from None
            except OSError as error:
                if error.errno not in _TAKEN:
                    raise ConfigError(f"cannot listen on {host}: {error.strerror}") from None
                continue
            for probe in probes:
                stack.enter_context(probe)
            found.append(port)
            if len(found) == number:
                return found
    raise ConfigError(f"cannot listen on {host}: too many ports are in use")
