"""A network of several operators, each with keys of their own."""

import os
import shutil
from pathlib import Path

import pytest
from anontrace.backend.config import Role
from anontrace.backend.errors import ConfigError
from anontrace.backend.operating import checking, joining
from anontrace.backend.operating.init import free_ports
from anontrace.mixnet import packet
from anontrace.wire import network
from anontrace_shared.errors import FormatError

from tests.backend.client import Client
from tests.backend.servers import Servers, command
from tests.patience import eventually

SERVERS: tuple[tuple[str, Role, int | None], ...] = (
    ("discovery", "discovery", None),
    ("authority", "authority", None),
    ("mix-1", "mix", 1),
    ("mix-2", "mix", 2),
    ("nymserver", "nymserver", 3),
    ("mailbox", "mailbox", 4),
)


def made(folder: Path) -> list[Path]:
    ports = free_ports("127.0.0.1", len(SERVERS))
    return [
        joining.make_server(folder / name, role, number, f"127.0.0.1:{port}", f"http://127.0.0.1:{port}")
        for (name, role, number), port in zip(SERVERS, ports, strict=True)
    ]


def test_what_is_pinned_is_not_changed_by_adding(tmp_path: Path) -> None:
    entries = made(tmp_path)
    file = tmp_path / "network.toml"
    joining.put_together(file, "country", entries)
    before = file.read_text()
    other = made(tmp_path / "other")
    for entry, told in ((other[0], "has another"), (other[2], "same number")):
        with pytest.raises((ConfigError, FormatError), match=told):
            joining.put_together(file, None, [entry])
    assert file.read_text() == before


def test_adding_the_same_entries_again_changes_nothing(tmp_path: Path) -> None:
    entries = made(tmp_path)
    file = tmp_path / "network.toml"
    joining.put_together(file, "country", entries)
    before = file.read_text()
    again = joining.put_together(file, None, [*entries[2:], *entries])
    assert (file.read_text(), len(again.mix)) == (before, 4)
    said = command("network", "add", file, *entries).stdout
    assert "network 'country': discovery, health authority, 2 mixes, 1 nymserver, 1 mailbox server; " in said


def test_a_second_nymserver_is_not_added_and_a_network_with_two_is_told_of_before_it_runs(tmp_path: Path) -> None:
    file, added = tmp_path / "network.toml", tmp_path / "other"
    joining.put_together(file, "country", made(tmp_path))
    before = file.read_text()
    entry = joining.make_server(added, "nymserver", 77, "127.0.0.1:7777", "https://other.example")
    done = command("network", "add", file, entry)
    assert done.returncode != 0
    assert "mix 3 and mix 77 are both nymservers" in done.stderr
    assert file.read_text() == before
    file.write_text(before + entry.read_text())
    done = command("check", tmp_path / "nymserver")
    assert done.returncode == 1
    assert f"{file}, line" in done.stderr and "both nymservers" in done.stderr
    assert "Traceback" not in done.stderr


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


def test_a_network_of_several_operators_carries_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three operators, each with a folder and a copy of the network file of their own, in a process each; the first has
    sealed its keys."""
    operators = {"state": ("discovery", "authority", "mix-1"), "club": ("mix-2", "nymserver"), "firm": ("mailbox",)}
    secret = tmp_path / "operator-secret"
    secret.write_text(os.urandom(32).hex() + "\n")
    secret.chmod(0o600)

    def as_operator(operator: str) -> None:
        monkeypatch.delenv("ANONTRACE_OPERATOR_SECRET", raising=False)
        if operator == "state":
            monkeypatch.setenv("ANONTRACE_OPERATOR_SECRET", str(secret))

    roles = {name: (role, number) for name, role, number in SERVERS}
    ports = iter(free_ports("127.0.0.1", len(SERVERS)))
    entries = []
    for operator, names in operators.items():
        home = tmp_path / operator
        home.mkdir()
        as_operator(operator)
        for name in names:
            role, number = roles[name]
            place = f"127.0.0.1:{next(ports)}"
            if number:
                entries.append(joining.make_server(home / name, role, number, place, f"http://{place}"))
                with (home / name / "server.toml").open("a") as file:
                    file.write("\n[mix]\ndelay = 0.02\nloops = 0\n")
            else:
                options = ("--role", role, "--listen", place, "--url", f"http://{place}")
                assert command("init-server", home / name, *options).returncode == 0
                entries.append(home / name / "entry.toml")
    done = command("network", "add", tmp_path / "network.toml", "--name", "country", *entries)
    assert done.returncode == 0, done.stderr
    found = network.load(tmp_path / "network.toml")
    assert (found.name, sorted(found.pins)) == ("country", [1, 2, 3, 4])

    together = tmp_path / "together"  # what the client of these tests looks for
    together.mkdir()
    for operator, names in operators.items():
        shutil.copy(tmp_path / "network.toml", tmp_path / operator)
        for name in names:
            (together / name).symlink_to(tmp_path / operator / name)
    shutil.copy(tmp_path / "network.toml", together)
    servers = Servers(together, made=True)
    try:
        for operator, names in operators.items():
            as_operator(operator)
            assert checking.faults([tmp_path / operator / name for name in names]) == []
            servers.start(*names)
        servers.ready([name for name, _, _ in SERVERS])
        client = Client(servers)
        mailbox, payload = os.urandom(32), os.urandom(239)
        assert client.post(1, packet.forward(client.hops(1, 2, 3, 4), mailbox, payload)) == 202
        eventually("the message arrived", lambda: client.poll(mailbox) == [payload])
        as_operator("state")
        assert command("authority", "issue", "--disease", "U07.1", "--config", together / "authority").returncode == 0
    finally:
        servers.close()

    ninth = joining.make_server(tmp_path / "mix-9", "mix", 9, "127.0.0.1:9", "http://127.0.0.1:9")
    joining.put_together(tmp_path / "network.toml", None, [ninth])
    assert sorted(network.load(tmp_path / "network.toml").pins) == [1, 2, 3, 4, 9]
