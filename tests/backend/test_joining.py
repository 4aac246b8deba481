"""A network of several operators, each with keys of their own."""

from pathlib import Path

import pytest
from anontrace.backend import checking, joining
from anontrace.backend.config import Role
from anontrace.backend.errors import ConfigError
from anontrace.backend.init import _free_ports
from anontrace.wire import network
from anontrace_shared.errors import FormatError

from .servers import command

SERVERS: tuple[tuple[str, Role, int | None], ...] = (
    ("discovery", "discovery", None),
    ("authority", "authority", None),
    ("mix-1", "mix", 1),
    ("mix-2", "mix", 2),
    ("nymserver", "nymserver", 3),
    ("mailbox", "mailbox", 4),
)


def made(folder: Path) -> list[Path]:
    ports = _free_ports("127.0.0.1", len(SERVERS))
    return [
        joining.make_server(folder / name, role, number, f"127.0.0.1:{port}", f"http://127.0.0.1:{port}")
        for (name, role, number), port in zip(SERVERS, ports, strict=True)
    ]


def test_operators_put_a_network_together(tmp_path: Path) -> None:
    entries = made(tmp_path)
    done = command("network", "add", tmp_path / "network.toml", "--name", "country", *entries)
    assert done.returncode == 0, done.stderr
    found = network.load(tmp_path / "network.toml")
    assert (found.name, sorted(found.pins)) == ("country", [1, 2, 3, 4])
    assert checking.faults([tmp_path / name for name, _, _ in SERVERS]) == []

    ninth = joining.make_server(tmp_path / "mix-9", "mix", 9, "127.0.0.1:9", "http://127.0.0.1:9")
    joining.put_together(tmp_path / "network.toml", None, [ninth])
    assert sorted(network.load(tmp_path / "network.toml").pins) == [1, 2, 3, 4, 9]


def test_what_is_pinned_is_not_changed_by_adding(tmp_path: Path) -> None:
    entries = made(tmp_path)
    file = tmp_path / "network.toml"
    joining.put_together(file, "country", entries)
    before = file.read_text()
    other = made(tmp_path / "other")
    for entry, told in ((other[0], "has a"), (other[2], "same number")):
        with pytest.raises((ConfigError, FormatError), match=told):
            joining.put_together(file, None, [entry])
    assert file.read_text() == before


def test_half_a_network_is_none_and_a_server_is_made_once(tmp_path: Path) -> None:
    entries = made(tmp_path)
    with pytest.raises(FormatError, match="make no network"):
        joining.put_together(tmp_path / "network.toml", None, entries[:3])
    assert not (tmp_path / "network.toml").exists()
    with pytest.raises(ConfigError, match="already"):
        joining.make_server(tmp_path / "mix-1", "mix", 1, "127.0.0.1:1", "http://a")
    with pytest.raises(ConfigError, match="has a number"):
        joining.make_server(tmp_path / "mix-7", "mix", None, "127.0.0.1:1", "http://a")
    with pytest.raises(ConfigError, match="url"):
        joining.make_server(tmp_path / "mix-7", "mix", 7, "127.0.0.1:1", "nowhere")
    assert not (tmp_path / "mix-7").exists()
