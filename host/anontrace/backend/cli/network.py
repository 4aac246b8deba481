"""`anontrace-server init`."""

from pathlib import Path

import click

from anontrace.backend.config import Role
from anontrace.backend.keys import keyfiles
from anontrace.backend.operating import joining
from anontrace.backend.operating.init import MAX_MIXES, MIN_MIXES, Plan, make_network


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--mixes", default=MIN_MIXES, show_default=True, type=click.IntRange(MIN_MIXES, MAX_MIXES),
              help="Mixes beside nymserver and mailbox server, which are mixes too.")  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, help="Address that the servers listen on.")
@click.option("--base-port", default=0, show_default=True, type=click.IntRange(0, 65535), help="0: free ones.")
@click.option("--delay", type=click.FloatRange(0), metavar="SECONDS",
              help="Mean delay of a message at each mix: 300, unless given; 1 or less to try things out, "
                   "which hides nothing from whoever runs both nymserver and mailbox server.")  # fmt: skip
@click.option("--spread", type=click.FloatRange(0), metavar="SECONDS",
              help="Time over which a decision's notifications leave: ten hours; 0 if --pace is given.")  # fmt: skip
@click.option("--pace", type=click.FloatRange(0), metavar="SECONDS", help="Mean time between two notifications.")
@click.option("--loops", type=click.FloatRange(0), metavar="SECONDS", help="Mean time between decoy loops; 0: none.")
@click.option("--name", default="local", show_default=True, help="Name of the network.")
def init(
    directory: Path,
    mixes: int,
    host: str,
    base_port: int,
    delay: float | None,
    spread: float | None,
    pace: float | None,
    loops: float | None,
    name: str,
) -> None:
    """Make a network in DIRECTORY: keys, network.toml for clients, one folder per server."""
    folders = make_network(directory, Plan(mixes, host, base_port, delay, pace, name, loops, spread))
    click.echo(f"{directory / 'network.toml'}: give this to every client; it holds no secret")
    for folder in folders:
        click.echo(f"{folder}: anontrace-server run {folder}")


@click.command()
@click.argument(
    "folders", nargs=-1, required=True, metavar="CONFIGDIR...", type=click.Path(file_okay=False, path_type=Path)
)
def seal(folders: tuple[Path, ...]) -> None:
    """Seal the key files of these servers under the operator's secret, whose file ANONTRACE_OPERATOR_SECRET names."""
    for folder in folders:
        sealed = keyfiles.seal(folder)
        for path in sealed:
            click.echo(f"{path}: sealed")
        if not sealed:
            click.echo(f"{folder}: all key files were sealed already")


@click.command("init-server")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--role", required=True, type=click.Choice(["mix", "nymserver", "mailbox", "discovery", "authority"]), help="One."
)
@click.option("--number", type=click.IntRange(1, 255), help="Of a mix, nymserver or mailbox server: agreed by all.")
@click.option("--listen", required=True, metavar="HOST:PORT")
@click.option("--url", required=True, help="Where others reach it.")
def init_server(directory: Path, role: Role, number: int | None, listen: str, url: str) -> None:
    """Make one server in DIRECTORY, with keys of its own, for a network of several operators."""
    entry = joining.make_server(directory, role, number, listen, url)
    click.echo(f"{entry}: hand this on; it holds no secret. All others stay here")


@click.group()
def network() -> None:
    """Put a network file together from the entries of several operators."""


@network.command()
@click.argument("file", metavar="NETWORK.toml", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("entries", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--name", help="Of a network that is made by this.")
def add(file: Path, entries: tuple[Path, ...], name: str | None) -> None:
    """Add servers to NETWORK.toml by the entries that `init-server` made. A new file needs a complete network."""
    made = joining.put_together(file, name, entries)
    click.echo(f"{file}: network {made.name!r}: {joining.summary(made)}; compare the keys with their operators")
