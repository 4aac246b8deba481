"""The sockets that a server listens on: for everybody, and the one for staff and operators. Never accepts anybody."""

import contextlib
import errno
import logging
import os
import socket
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from anontrace.backend.config import Server, ServerConfig, TcpPlace
from anontrace.backend.errors import ConfigError

_log = logging.getLogger("anontrace.backend")
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
BACKLOG = 2048
_MAX_SOCKET_PATH = 100  # bytes; systems take 103 to 107
_OPEN_FILES = Path("/proc/self/fd")  # Linux


@contextlib.contextmanager
def bound(config: ServerConfig) -> Iterator[list[socket.socket]]:
    """Sockets that do not listen yet: one for each address that the host of `listen` has. ConfigError if another has
    the port, or none of the addresses is of this machine."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(contextlib.closing(each))
            for each in _bind(config.name, config.listen, config.listen_at)
        ]


@contextlib.contextmanager
def bound_for_portal(config: ServerConfig) -> Iterator[list[socket.socket]]:
    """The same for `portal_listen`; none where there is no portal."""
    with contextlib.ExitStack() as stack:
        bound = [] if config.portal_at is None else _bind(config.name, str(config.portal_listen), config.portal_at)
        yield [stack.enter_context(contextlib.closing(each)) for each in bound]


@contextlib.contextmanager
def bound_for_staff(server: Server) -> Iterator[list[socket.socket]]:
    """The same for `staff_listen`. A socket file is there for as long as this lasts; one that a server left when it was
    killed is replaced. ConfigError if it cannot be."""
    config = server.config
    with contextlib.ExitStack() as stack:
        if config.staff_at is not None:
            bound = _bind(config.name, config.staff_listen, config.staff_at)
        else:
            path = server.folder / config.staff_listen
            bound = [_bind_file(path)]
            stack.callback(_remove, path, path.stat().st_ino)
        for each in bound:
            stack.enter_context(contextlib.closing(each))
        yield bound


def listen(config: ServerConfig, bound: Sequence[socket.socket]) -> None:
    """Have bound sockets take connections. ConfigError if another listens there: two may be bound to one port."""
    for each in bound:
        try:
            each.listen(BACKLOG)
        except OSError as error:
            where = each.getsockname()
            place = where if isinstance(where, str) else TcpPlace(*where[:2])
            raise ConfigError(f"{config.name}: cannot listen on {place}: {error.strerror}") from None


def try_staff(server: Server) -> None:
    """ConfigError if `bound_for_staff` would fail, or another process listens there. Changes nothing."""
    config = server.config
    if config.staff_at is not None:
        for each in _bind(config.name, config.staff_listen, config.staff_at):
            each.close()
        return
    path = server.folder / config.staff_listen
    with reachable(path) as short:
        if _is_left_behind(path, short) is None and not os.access(path.parent, os.W_OK | os.X_OK):
            raise ConfigError(f"{path}: its folder cannot be written to")


@contextlib.contextmanager
def reachable(path: Path) -> Iterator[Path]:
    """A socket file's path, by which it can be bound and connected to for as long as this lasts. Systems allow paths of
    some hundred bytes only; on Linux there is a short one to every file. ConfigError if there is none."""
    if len(os.fsencode(path)) <= _MAX_SOCKET_PATH:
        yield path
        return
    if not _OPEN_FILES.is_dir():
        raise ConfigError(f'{path}: too long for a socket file; have `staff_listen` say "127.0.0.1:PORT" instead')
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be reached: {error.strerror}") from None
    try:
        yield _OPEN_FILES / str(folder) / path.name
    finally:
        os.close(folder)


def bind_all(place: TcpPlace) -> tuple[list[socket.socket], list[str]]:
    """Sockets bound to every address that a host's name stands for, and the addresses that this machine does not have
    (none if it is an address by itself). OSError if that cannot be, with the address in `filename`."""
    found = socket.getaddrinfo(
        place.host, place.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
    )
    places = list(dict.fromkeys((family, where) for family, _, _, _, where in found))
    absent: list[str] = []
    with contextlib.ExitStack() as stack:
        bound = []
        for family, where in places:
            # With the protocol: asyncio sets TCP_NODELAY for no connection of a socket that was made without.
            made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            listening = stack.enter_context(contextlib.closing(made))
            try:
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:  # "::" takes IPv4 too, whatever is usual on the system
                    listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, len(places) > 1)
                listening.bind(where)
            except OSError as error:
                if error.errno not in _NOT_HERE or len(places) == 1:
                    raise OSError(error.errno, error.strerror, where[0]) from None
                absent.append(str(where[0]))
                continue
            bound.append(listening)
        if not bound:
            raise OSError(errno.EADDRNOTAVAIL, "this machine has none of its addresses", place.host)
        stack.pop_all()
        return bound, absent


def _bind(name: str, text: str, place: TcpPlace) -> list[socket.socket]:
    try:
        bound, absent = bind_all(place)
    except (socket.gaierror, UnicodeError):
        raise ConfigError(f"{name}: cannot listen on {text}: there is no such host") from None
    except OSError as error:
        at = "" if error.filename == place.host else f" ({error.filename})"
        raise ConfigError(f"{name}: cannot listen on {text}{at}: {error.strerror}") from None
    for address in absent:
        _log.warning("%s: %s stands for %s too, which this machine does not have", name, text, address)
    return bound


def _bind_file(path: Path) -> socket.socket:
    """A socket whose file only this user may use."""
    with reachable(path) as short:
        if _is_left_behind(path, short):
            short.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            os.fchmod(listening.fileno(), 0o600)  # Linux makes the file so; on others it is changed after
            listening.bind(str(short))
            short.chmod(0o600)
        except OSError as error:
            listening.close()
            raise ConfigError(f"{path}: cannot listen there: {error.strerror}") from None
    return listening


def _remove(path: Path, made: int) -> None:
    """The file of this inode, unless it is another's meanwhile."""
    with contextlib.suppress(OSError):
        if path.stat().st_ino == made:
            path.unlink()


def _is_left_behind(path: Path, short: Path) -> bool | None:
    """Whether a socket file is there that nobody listens at; None if nothing is. ConfigError if it is in use, or is
    something else."""
    try:
        mode = short.lstat().st_mode
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be reached: {error.strerror}") from None
    if not stat.S_ISSOCK(mode):
        raise ConfigError(f"{path}: is no socket; have `staff_listen` name another file, or move this one away")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        try:
            caller.connect(str(short))
        except ConnectionRefusedError:
            return True
        except OSError as error:
            raise ConfigError(f"{path}: cannot be reached: {error.strerror}") from None
    raise ConfigError(f"{path}: another process listens there")
