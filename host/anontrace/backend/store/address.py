"""Where a cluster store is: the `store` line of server.toml, read. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from anontrace_shared.errors import FormatError

_SCHEMES = {"redis": False, "rediss": True}  # whether it is encrypted
_MAX_SHARDS, _MAX_COPIES = 1024, 8
_PREFIX = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class Cluster:
    """A place in a cluster of the Redis Cluster protocol.

    `shards`: hash slots that the data is spread over, fixed once in use. `copies`: replicas that have a write before it
    is acknowledged. `encrypted`: by TLS; `ca_file` is the file, as the line names it, and `ca` its text, of the
    certificates in PEM by which alone the nodes' are verified, None: by the system's and Mozilla's. `buckets`: for each
    table that is read by bucket, the leading bits of its buckets.
    """

    nodes: tuple[tuple[str, int], ...]
    prefix: str
    shards: int = 16
    copies: int = 1
    encrypted: bool = False
    ca_file: str | None = None
    ca: str | None = field(default=None, repr=False)
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    buckets: Mapping[str, int] = field(default_factory=dict)


def parse(text: str, name: str) -> Cluster:
    """`redis://HOST:PORT[,HOST:PORT...][?prefix=NAME&shards=N&copies=N]`; the prefix is the server's name unless given.
    `rediss://` is the same over TLS, with the option `ca=FILE`.

    FormatError says what is wrong. A password does not belong here: server.toml is no secret.
    """
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise FormatError(str(error)) from None
    if parts.scheme not in _SCHEMES or parts.path not in ("", "/") or parts.fragment:
        raise FormatError("has to be redis://HOST:PORT[,HOST:PORT...] or, over TLS, rediss://")
    if "@" in parts.netloc:
        raise FormatError("user and password belong into the file store.password, not here")
    encrypted = _SCHEMES[parts.scheme]
    nodes = []
    for place in parts.netloc.split(","):
        host, _, port = place.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise FormatError(f"{place or 'nothing'} is not HOST:PORT")
        nodes.append((host.strip("[]"), int(port)))
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    prefix = options.pop("prefix", name)
    if not _PREFIX.fullmatch(prefix):
        raise FormatError("prefix: letters, digits, dots, dashes and underscores only, at most 64")
    shards = _number(options.pop("shards", "16"), "shards", 1, _MAX_SHARDS)
    copies = _number(options.pop("copies", "1"), "copies", 0, _MAX_COPIES)
    ca_file = options.pop("ca", None)
    if ca_file is not None and not encrypted:
        raise FormatError("ca: only rediss:// is over TLS")
    if ca_file == "":
        raise FormatError("ca: the name of a file with certificates in PEM")
    if options:
        raise FormatError(f"there is no option {next(iter(options))}")
    return Cluster(tuple(nodes), prefix, shards, copies, encrypted, ca_file)


def _number(text: str, name: str, least: int, most: int) -> int:
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise FormatError(f"{name}: a number from {least} to {most}")
    return int(text)
