"""`anontrace-server init`."""

from pathlib import Path

import click

from anontrace.backend import keyfiles
from anontrace.backend.init import FEWEST_MIXES, MOST_MIXES, Plan, make_network


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--mixes", default=FEWEST_MIXES, show_default=True, type=click.IntRange(FEWEST_MIXES, MOST_MIXES))
@click.option("--host", default="127.0.0.1", show_default=True, help="Address that the servers listen on.")
@click.option("--base-port", default=0, show_default=True, type=click.IntRange(0, 65535), help="0: free ones.")
@click.option("--delay", type=click.FloatRange(0), metavar="SECONDS", help="Mean delay of a message at each mix.")
@click.option("--pace", type=click.FloatRange(0), metavar="SECONDS", help="Mean time between two notifications.")
@click.option("--loops", type=click.FloatRange(0), metavar="SECONDS", help="Mean time between decoy loops; 0: none.")
@click.option("--name", default="local", show_default=True, help="Name of the network.")
def init(
    directory: Path,
    mixes: int,
    host: str,
    base_port: int,
    delay: float | None,
    pace: float | None,
    loops: float | None,
    name: str,
) -> None:
    """Make a network in DIRECTORY: keys, network.toml for clients, one folder per server."""
    folders = make_network(directory, Plan(mixes, host, base_port, delay, pace, name, loops))
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
        for path in keyfiles.seal(folder):
            click.echo(f"{path}: sealed")
