"""`check` finds what is wrong before a start; `status` shows what runs."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from anontrace.backend.cli.check import forks
from anontrace.backend.operating import checking
from anontrace.backend.operating.init import Plan, make_network
from anontrace.wire import directory

from tests.backend.client import Client
from tests.backend.servers import command


@pytest.fixture
def net(tmp_path: Path) -> Path:
    make_network(tmp_path / "net", Plan())
    return tmp_path / "net"


def folders(net: Path) -> list[Path]:
    return sorted(path.parent for path in net.glob("*/server.toml"))


def replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def line(path: Path, start: str, nth: int = 0) -> int:
    return [number for number, text in enumerate(path.read_text().splitlines(), 1) if text.startswith(start)][nth]


def test_nothing_is_wrong_with_a_fresh_network(net: Path) -> None:
    done = command("check", *folders(net))
    assert (done.returncode, done.stdout) == (0, "nothing is wrong with 7 folders\n")


def _other_key(net: Path) -> str:
    (net / "mix-2" / "signing.key").write_text(os.urandom(32).hex())
    path = net / "network.toml"
    return f"{path.resolve()}, line {line(path, 'key = ', 3)}: not the key of {net / 'mix-2' / 'signing.key'}"


def _other_url(net: Path) -> str:
    replaced(net / "discovery" / "server.toml", 'url = "http://127.0.0.1', 'url = "http://127.0.0.2')
    path = net / "network.toml"
    return f"{path.resolve()}, line {line(path, 'url = ')}: {net / 'discovery' / 'server.toml'} says http://127.0.0.2:"


def _open_secret(net: Path) -> str:
    (net / "nymserver" / "log.key").chmod(0o640)
    return f"{net / 'nymserver' / 'log.key'}: others may read this secret"


def _missing_secret(net: Path) -> str:
    (net / "mailbox" / "storage.key").unlink()
    return f"{net / 'mailbox' / 'storage.key'}: no such file"


def _setting(net: Path) -> str:
    path = net / "mix-1" / "server.toml"
    replaced(path, "delay = 300.0", "delay = -1")
    return f"{path}, line {line(path, 'delay')}: mix.delay"


def _same_port(net: Path) -> str:
    ones = (net / "mix-1" / "server.toml").read_text().splitlines()
    path = net / "mix-2" / "server.toml"
    listen = next(text for text in ones if text.startswith("listen"))
    path.write_text("\n".join(listen if each.startswith("listen") else each for each in path.read_text().splitlines()))
    return f"{path}, line {line(path, 'listen')}: {net / 'mix-1' / 'server.toml'} listens there too"


@pytest.mark.parametrize(
    "spoil",
    [_other_key, _other_url, _open_secret, _missing_secret, _setting, _same_port],
    ids=lambda spoil: spoil.__name__,
)
def test_a_fault_is_told_by_file_and_line(net: Path, spoil: Callable[[Path], str]) -> None:
    told = spoil(net)
    found = checking.faults(folders(net))
    assert len(found) == 1
    assert found[0].startswith(told)


def test_all_faults_are_told_at_once(net: Path) -> None:
    told = [_setting(net), _open_secret(net), _missing_secret(net)]
    done = command("check", "--json", *folders(net))
    assert done.returncode == 1
    found = json.loads(done.stdout)["faults"]
    assert all(any(fault.startswith(each) for fault in found) for each in told)


def test_servers_that_run_are_no_fault_but_another_in_their_place_is(client: Client) -> None:
    folder = client.servers.folder
    assert checking.faults([folder / "mix-1", folder / "mailbox"]) == []
    path = folder / "mix-1" / "server.toml"
    before = path.read_text()
    try:
        replaced(path, 'name = "mix-1"', 'name = "impostor"')
        (fault,) = checking.faults([folder / "mix-1"])
    finally:
        path.write_text(before)
    assert "cannot listen on" in fault and f"line {line(path, 'listen')}" in fault


def test_servers_that_are_shown_different_directories_are_a_fork() -> None:
    assert forks([None, "7: 5a5a", "7: 5a5a", "8: 6b6b", "9: 7c7c"]) == []
    assert forks(["7: 5a5a", "8: 6b6b", "8: 5a5a", None, "7: 5a5a"]) == ["8"]


def test_status_shows_peers_keys_queues_and_whether_all_are_ready(client: Client) -> None:
    folder = client.servers.folder
    done = command("status", folder, "--json")
    assert done.returncode == 0
    servers = {each["name"]: each for each in json.loads(done.stdout)["servers"]}
    assert set(servers) == {"authority", "discovery", "mailbox", "mix-1", "mix-2", "mix-3", "nymserver"}
    assert json.loads(done.stdout)["forks"] == []
    whole = client.directory
    news = client.http.get(f"{servers['discovery']['url']}/v2/directory/{whole.content.day}").content
    history = {head.seen.shown for head in directory.parse_difference(news, client.network.discovery.key).heads}
    assert whole.seen.shown in history
    assert {each["directory"] for each in servers.values()} <= history
    mix = servers["mix-1"]
    assert [peer["number"] for peer in mix["peers"]] == [1, 2, 3, 4, 5]
    assert all(peer["listed"] and not peer["lossy"] for peer in mix["peers"])
    assert mix["roles"]["mix"]["last_key_day"] == mix["peers"][0]["newest_key_day"]
    table = command("status", folder / "mix-1", folder / "mailbox")
    assert table.returncode == 0
    assert "mix-1" in table.stdout and "mailbox" in table.stdout
    newest = str(mix["roles"]["mix"]["last_key_day"])
    assert table.stdout.count(f" {newest} ") == 2 + 5  # the newest of their own keys, and those of the peers
    elsewhere = command("status", client.servers.url("mix-1"))
    assert elsewhere.returncode == 1 and "staff_listen" in elsewhere.stderr
    dead = command("status", "http://127.0.0.1:9")
    assert dead.returncode == 1
    assert "nothing listens there" in dead.stderr
