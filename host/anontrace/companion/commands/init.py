"""`anontrace init`: take a network file and pin the keys in it."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from anontrace.companion.commands.choosing import FIRST
from anontrace.companion.commands.protecting import PASSPHRASE_FILE, PROTECT, SAID, choose
from anontrace.companion.context import Context, pass_context
from anontrace.companion.words import spoken

if TYPE_CHECKING:
    from collections.abc import Callable

    from anontrace.companion.store.network import StoredNetwork
    from anontrace.wire.network import Network

NO_PROXY = "none"


@click.command()
@click.argument("network", metavar="NETWORK")
@click.option("--proxy", metavar="URL", envvar="ANONTRACE_PROXY",
              help="Reach all servers through this proxy (http, https, socks5h); none: through none. "
                   " [default: as it was set last]  [env: ANONTRACE_PROXY]")  # fmt: skip
@PROTECT
@PASSPHRASE_FILE
@pass_context
def init(context: Context, network: str, proxy: str | None, protect: str | None, passphrase_file: Path | None) -> None:
    """Make the state folder for a network.

    NETWORK is the network file (TOML): a path, or an https:// address. Its keys are pinned: from then on, only these
    servers are believed. Running it again with the same network is safe; your keys, log and proxy stay.

    Your secrets are encrypted on disk. On a terminal you are asked for a passphrase; with none, and where nobody can
    be asked, the key lies beside them in a file for you alone. `anontrace passphrase` changes that later.

    \b
    Examples:
      anontrace init network.toml
      anontrace init https://example.org/network.toml --protect keyring
      anontrace init network.toml --proxy socks5h://127.0.0.1:9050     through Tor
      anontrace init network.toml --proxy none                         not any more
    """
    take(context, network, lambda way: read(network, way), proxy, protect, lambda: choose(protect, passphrase_file))


def take(
    context: Context,
    name: str,
    reading: "Callable[[str | None], str]",
    proxy: str | None,
    protect: str | None,
    choose: "Callable[[], tuple[str, str | None]]",
) -> None:
    """Belong to the network whose file `reading` brings, by the proxy that it is given; `name` is what it is called in
    errors. `choose`: what is to lock the secrets of a new state folder, and its passphrase."""
    from anontrace_shared.errors import AnontraceError

    from anontrace import clock
    from anontrace.companion.errors import SetupError
    from anontrace.companion.keys.keyfile import exists, protection
    from anontrace.companion.network.proxy import shown_proxy
    from anontrace.companion.store import making
    from anontrace.companion.store import state as folder
    from anontrace.companion.store.network import StoredNetwork
    from anontrace.wire.network import parse

    if protect is not None and exists(context.folder) and protection(context.folder) != protect:
        raise SetupError(
            f"{context.folder} is there already, and {SAID[protection(context.folder)]}; to change that: anontrace"
            f" passphrase --protect {protect}"
        )
    key = context.key if making.traces(context.folder) else None
    stored = None if key is None else _stored(context, key)
    way = _chosen(proxy, None if stored is None else stored.proxy)
    text = reading(way)
    try:
        parsed = parse(text, name)
    except AnontraceError as error:
        raise SetupError(str(error)) from error
    if key is None:
        key = folder.create(context.folder, *choose())
        context.unlock(key)
    with folder.changing(context.folder, key) as state:
        same = _is_same(stored, parsed)
        if stored is not None and not same and state.badges.all():
            raise SetupError(
                f"this state folder belongs to the network {stored.name!r}; use another one (--state) for"
                f" {parsed.name!r}"
            )
        state.network.put(StoredNetwork(parsed.name, text, way), int(clock.now()), same)
    protected = protection(context.folder)
    document = {
        "state": str(context.folder),
        "network": parsed.name,
        "servers": len(parsed.mix),
        "protection": protected,
        "proxy": None if way is None else shown_proxy(way),
    }
    context.output.show(
        document,
        lambda: [
            spoken("This is now a companion in the network %(name)s; its keys are pinned.", name=repr(parsed.name)),
            f"Your state folder: {context.folder} ({SAID[protected]})",
            *([] if way is None else [f"All servers are reached through the proxy {shown_proxy(way)}, or not at all."]),
            f"Next: anontrace register, then {FIRST}",
        ],
    )


def read(network: str, proxy: str | None) -> str:
    """The network file at a path or an https:// address."""
    from anontrace.companion import files
    from anontrace.companion.errors import SetupError

    if not network.startswith(("https://", "http://")):
        return files.read(Path(network), "the network file")
    from anontrace.companion.network.client import Client

    if network.startswith("http://"):
        raise SetupError("a network file from the web must come by https://, since its keys are pinned")
    with Client(proxy) as client:
        data = client.get("the network file", network, files.MAX_BYTES)
    return files.text(data, network)


def _stored(context: Context, key: bytes) -> "StoredNetwork | None":
    from anontrace.companion.store.state import reading

    with reading(context.folder, key) as state:
        return state.network.get()


def _chosen(given: str | None, stored: str | None) -> str | None:
    """The proxy to be used; SetupError for what is none."""
    from anontrace.companion.network.proxy import check_proxy

    if given is None:
        return stored
    if given.strip().lower() in ("", NO_PROXY):
        return None
    check_proxy(given)
    return given


def _is_same(stored: "StoredNetwork | None", parsed: "Network") -> bool:
    """Whether it is the network that the state folder belongs to: addresses are registered in one."""
    from anontrace.wire.network import parse

    return stored is not None and parse(stored.file).discovery.key == parsed.discovery.key
