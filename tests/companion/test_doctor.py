"""`anontrace doctor`: what is well, what is not, and what it says to do."""

import re
import stat

import pytest
from anontrace.companion.errors import FAILED

from tests.companion.commands.test_cli import NETWORK
from tests.companion.conftest import START


def checks(result):
    return {check["name"]: check for check in result.json["checks"]}


def test_before_init_it_says_what_is_first(cli):
    result = cli.run("--json", "doctor", "--no-bluetooth")
    assert result.code == FAILED
    found = checks(result)
    assert found["versions"]["ok"] and "bleak 3.1.0" in found["versions"]["said"]
    assert "anontrace init" in found["permissions"]["mend"]


def test_with_real_servers_all_is_well(member):
    document = member.do("doctor", "--no-bluetooth")
    assert document["ok"]
    names = [check["name"] for check in document["checks"]]
    assert {"versions", "permissions", "directory", "discovery", "health authority", "clock"} <= set(names)
    (directory,) = [check["said"] for check in document["checks"] if check["name"] == "directory"]
    assert re.search(r"; directory \d+: ([0-9a-f]{8} ?){4}$", directory)
    shown = member.run("doctor", "--no-bluetooth")
    assert shown.out.rstrip().endswith("All is well.")
    assert len(shown.out.splitlines()) == len(names) + 1


def test_no_bluetooth_on_this_computer(member):
    member.environment["ANONTRACE_BLE"] = "bumble:tcp-client:127.0.0.1:9"
    result = member.run("--json", "doctor")
    assert (result.code, result.json["ok"]) == (FAILED, False)
    found = checks(result)
    assert not found["bluetooth"]["ok"] and found["bluetooth"]["mend"]
    assert all(check["ok"] for name, check in found.items() if name != "bluetooth")


def test_a_folder_that_others_may_read(member):
    member.folder.chmod(0o755)
    result = member.run("doctor", "--no-bluetooth")
    assert result.code == FAILED
    assert "others may read" in result.out and "chmod -R go=" in result.out
    assert result.err.startswith("anontrace: not well: permissions")
    member.folder.chmod(stat.S_IRWXU)
    assert member.run("doctor", "--no-bluetooth").code == 0


@pytest.mark.parametrize(("error", "said"), [(-390, "7 minutes behind"), (86400 * 30 - 3600, "30 days ahead")])
def test_a_computer_whose_clock_is_wrong(member, clock, tmp_path, error, said):
    wrong = type(clock)(tmp_path / "wrong clock")
    wrong.advance(clock.now - START + error)
    member.environment["ANONTRACE_CLOCK"] = str(wrong.path)
    result = member.run("--json", "doctor", "--no-bluetooth")
    check = checks(result)["clock"]
    assert not check["ok"]
    assert check["said"] == f"this computer's clock is {said}"
    assert "time synchronisation" in check["mend"]


def test_without_a_network_every_server_is_named(cli, tmp_path):
    (tmp_path / "network.toml").write_text(NETWORK)
    cli.do("init", str(tmp_path / "network.toml"))
    found = checks(cli.run("--json", "doctor", "--no-bluetooth"))
    for name in ("directory", "discovery", "health authority", "clock"):
        assert not found[name]["ok"] and found[name]["mend"], name


@pytest.mark.parametrize(
    ("lacking", "said"),
    [
        ((99,), "without mix 99 of the network file"),
        ((97, 98, 99), "lacks mix 97, 98, 99: fewer than two thirds of the 8 mixes"),
    ],
    ids=["some", "too many"],
)
def test_mixes_that_the_directory_lacks_are_named(cli, network, tmp_path, lacking, said):
    text = network.file.read_text()
    for number in lacking:
        text += f'\n[[mix]]\nnumber = {number}\nkey = "{number:064x}"\nroles = ["mix"]\n'
    (tmp_path / "network.toml").write_text(text)
    cli.do("init", str(tmp_path / "network.toml"))
    result = cli.run("--json", "doctor", "--no-bluetooth")
    found = checks(result)["directory"]
    assert result.code == FAILED and not found["ok"] and found["mend"]
    assert said in found["said"] + "; " + found["mend"]
