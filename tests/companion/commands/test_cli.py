"""The command line as its user meets it: usage, exit codes, one JSON document, and sentences instead of tracebacks."""

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack

import pytest
from anontrace.companion.badge import usb
from anontrace.companion.errors import FAILED, NO_BADGE, OFFLINE, UNFINISHED, USAGE, CompanionError
from anontrace.companion.store import state
from anontrace.companion.store.addresses import NewSurb
from anontrace.mixnet import swap
from anontrace.wire import onetime

from tests.companion.conftest import START, Cli, SimulatedClock
from tests.companion.reports.test_contact_log import block
from tests.patience import HANG_SECONDS

TOKEN_HOURS = 72  # of an authority that was given no other

COMMANDS = [
    "init",
    "register",
    "poll",
    "status",
    "report",
    "pass-on",
    "badge sync",
    "badge provision",
    "exposures show",
]

NETWORK = """
[network]
name = "nowhere"
[discovery]
url = "http://127.0.0.1:9"
key = "{key}"
[authority]
url = "http://127.0.0.1:9"
key = "{key}"
[[mix]]
number = 1
key = "{first}"
roles = ["mix", "nymserver"]
[[mix]]
number = 2
key = "{second}"
roles = ["mix", "mailbox"]
""".format(key="11" * 32, first="22" * 32, second="33" * 32)


@pytest.fixture
def nowhere(cli, tmp_path):
    """A companion of a network whose servers are all down."""
    (tmp_path / "nowhere.toml").write_text(NETWORK)
    cli.do("init", str(tmp_path / "nowhere.toml"))
    return cli


def test_a_way_to_compute_that_is_not_known_is_refused_before_anything_is_done(cli):
    for name, exit_code in (("fastest", USAGE), ("sodium", 0), ("", 0)):
        cli.environment["ANONTRACE_X25519"] = name
        result = cli.run("status")
        assert (result.code == USAGE and "none of ifma, hacl, sodium" in result.err) == (exit_code == USAGE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(cli, command):
    result = cli.run(*command.split(), "--help")
    assert result.code == 0
    assert result.out.startswith("Usage: anontrace ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["regsiter"], "No such command 'regsiter'"),
        (["register", "--slots", "0"], "0 is not in the range"),
        (["register", "--slots", "3", "--days", "1"], "either --days or --slots"),
        (["report"], "no token is given"),
        (["report", "--token", "7K2M-9QXR-44TD-0ZC6"], "one symbol is mistyped"),
        (["report", "--token", "7K2M"], "16 symbols, this has 4"),
        (["pass-on", "zz"], "4 hex digits"),
        (["pass-on", "abcd1234"], "no such case"),
        (["badge", "provision", "--usb-only"], "--usb-only needs --usb"),
        (["badge", "provision", "--new", "--usb", "x", "--badge", "1"], "leave out --badge N, or --new"),
        (["badge", "sync"], "no badge is provisioned yet; begin with: anontrace badge provision --usb PORT, or "),
        (["badge", "info"], "without a cable: --new"),
        (["badge", "provision"], "begin with: anontrace badge provision --usb PORT, or without a cable: --new"),
    ],
)
def test_wrong_usage_ends_with_two_and_a_sentence(nowhere, arguments, said):
    result = nowhere.run("--json", *arguments)
    assert result.code == USAGE
    assert said in result.err
    assert len(result.err.splitlines()) == 1
    assert result.json["error"]["exit"] == USAGE
    assert said in result.json["error"]["message"]


@pytest.mark.parametrize("arguments", [["status"], ["poll"], ["register"], ["badge", "list"], ["exposures", "list"]])
def test_before_init_every_command_says_so(cli, arguments):
    result = cli.run(*arguments)
    assert result.code == USAGE
    assert "anontrace init NETWORK.toml" in result.err
    assert not cli.folder.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("not = [toml", "not TOML"),
        (NETWORK.replace("22" * 32, "22"), "line 12"),
        (NETWORK.replace('"mailbox"', '"postbox"'), "roles"),
        ("", "network"),
    ],
)
def test_a_bad_network_file_is_named_with_its_line_and_nothing_is_made(cli, tmp_path, text, said):
    path = tmp_path / "network.toml"
    path.write_text(text)
    result = cli.run("init", str(path))
    assert result.code == USAGE
    assert str(path) in result.err and said in result.err
    assert not cli.folder.exists()


def test_init_twice_keeps_everything_and_another_network_is_refused_once_there_are_keys(nowhere, tmp_path):
    assert nowhere.run("init", str(tmp_path / "nowhere.toml")).code == 0
    (tmp_path / "flash").mkdir()
    assert nowhere.run("badge", "provision", "--usb", str(tmp_path / "flash"), "--usb-only").code == 0
    (tmp_path / "other.toml").write_text(NETWORK.replace("11" * 32, "44" * 32).replace("nowhere", "elsewhere"))
    result = nowhere.run("init", str(tmp_path / "other.toml"))
    assert (result.code, "belongs to the network 'nowhere'" in result.err) == (USAGE, True)


def test_offline_is_said_in_a_sentence(nowhere, tmp_path):
    flash = tmp_path / "flash"
    flash.mkdir()
    for command in (["register"], ["badge", "provision", "--usb", str(flash)]):
        result = nowhere.run("--json", *command)
        assert result.code == OFFLINE
        assert "discovery at 127.0.0.1:9 cannot be reached" in result.err
        assert result.json["error"]["kind"] == "offline"


def test_what_comes_after_init_is_what_a_new_badge_needs(cli, tmp_path):
    (tmp_path / "network.toml").write_text(NETWORK)
    said = cli.run("init", str(tmp_path / "network.toml")).out
    assert "badge provision --usb PORT, or without a cable: --new" in said.splitlines()[-1]


def test_a_poll_without_mailboxes_needs_no_network(nowhere):
    assert nowhere.do("poll")["mailboxes"] == 0


def test_a_poll_offline_says_so_and_how_far_it_came(nowhere):
    with state.changing(nowhere.folder) as opened:
        badge = opened.badges.ensure(START // 86400)
        later = int(time.time()) + 2**28
        surb = NewSurb(2, b"m" * 32, later, swap.NEW, b"b" * 174, b"s" * 64)
        opened.addresses.add(badge.number, [(START // 300, b"k" * 20, surb)], START)
    result = nowhere.run("--json", "poll")
    assert result.code == OFFLINE
    document = result.json
    assert document["error"]["kind"] == "offline"
    assert (document["mailboxes"], document["requests"], document["told"]) == (1, 0, [])


def test_the_owner_key_goes_onto_the_badge_and_stays_the_same(nowhere, tmp_path):
    flash = tmp_path / "flash"
    flash.mkdir()
    assert nowhere.do("badge", "provision", "--usb", str(flash), "--usb-only") == {
        "badge": 1,
        "usb": True,
        "provisioned": False,
    }
    key = (flash / "owner.key").read_bytes()
    assert len(key) == 32
    nowhere.do("badge", "provision", "--usb", str(flash), "--usb-only")
    assert nowhere.run("badge", "sync").err.endswith("; go on with: anontrace badge provision\n")
    assert (flash / "owner.key").read_bytes() == key
    assert sorted(path.name for path in flash.iterdir()) == ["owner.key"]
    assert nowhere.do("badge", "provision", "--new", "--usb", str(flash), "--usb-only")["badge"] == 2
    assert (flash / "owner.key").read_bytes() != key


def test_a_port_without_a_badge_is_said_in_a_sentence(nowhere, tmp_path):
    port = tmp_path / "ttyUSB7"
    result = nowhere.run("badge", "provision", "--usb", str(port), "--usb-only")
    assert (result.code, len(result.err.splitlines())) == (FAILED, 1)
    assert f"there is no port {port}; " in result.err
    port.touch()
    result = nowhere.run("badge", "provision", "--usb", str(port), "--usb-only")
    assert (result.code, len(result.err.splitlines())) == (FAILED, 1)
    assert f"the badge on {port} was not reached" in result.err


@pytest.mark.parametrize("port", ["", " ", "-h", "--help"])
def test_what_is_no_port_gets_no_owner_key(nowhere, tmp_path, monkeypatch, port):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    result = nowhere.run("badge", "provision", f"--usb={port}", "--usb-only")
    assert (result.code, f"{port!r} is no port; " in result.err) == (FAILED, True)
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_that_is_no_badges_flash_gets_no_owner_key(nowhere, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    result = nowhere.run("badge", "provision", "--usb", str(tmp_path), "--usb-only")
    assert (result.code, "is not the flash folder of a badge" in result.err) == (FAILED, True)
    assert not (tmp_path / "owner.key").exists()


def test_a_port_of_others_is_said_with_how_to_be_let_in(monkeypatch, tmp_path):
    (tmp_path / "ttyUSB7").touch()
    monkeypatch.setattr("os.access", lambda *_: False)  # root may use everything
    with pytest.raises(CompanionError, match="dialout"):
        usb.write_owner_key(str(tmp_path / "ttyUSB7"), bytes(32))


@pytest.mark.parametrize("adapter", ["system", "bumble:tcp-client:127.0.0.1:9", "bumble:usb:99", "bumble:usb:"])
def test_without_bluetooth_the_badge_commands_say_so(nowhere, tmp_path, adapter):
    _provisioned(nowhere)
    result = nowhere.run("--adapter", adapter, "badge", "sync", "--scan", "1")
    assert result.code == NO_BADGE, result.err
    assert len(result.err.splitlines()) == 1


def _provisioned(cli):
    """Mark the badge of a state folder as provisioned, as after `badge provision`."""
    with state.changing(cli.folder) as opened:
        badge = opened.badges.ensure(START // 86400)
        opened.badges.set_provisioned(badge, 1, START // 300, 0, START)
        return opened.badges.get()


def test_an_unknown_adapter_is_wrong_usage(nowhere):
    _provisioned(nowhere)
    result = nowhere.run("--adapter", "usb7", "badge", "sync")
    assert (result.code, "unknown Bluetooth adapter" in result.err) == (USAGE, True)


def test_status_fits_one_screen_and_says_what_is_next(nowhere):
    result = nowhere.run("status")
    assert result.code == 0
    assert len(result.out.splitlines()) < 24
    assert "anontrace register" in result.out
    document = nowhere.do("status")
    assert (document["network"], document["badge"], document["exposures"]) == ("nowhere", None, 0)


def test_json_may_stand_wherever_it_is_typed(nowhere):
    documents = [
        nowhere.run(*words).json
        for words in (["--json", "badge", "list"], ["badge", "--json", "list"], ["badge", "list", "--json"])
    ]
    assert documents == [{"badges": []}] * 3
    refused = nowhere.run("exposures", "show", "abcd", "--json")
    assert (refused.code, refused.json["error"]["kind"]) == (USAGE, "usage")
    refused = nowhere.run("pass-on", "--", "--json")  # behind the dashes it is no flag
    assert (refused.code, refused.out) == (USAGE, "")


def test_a_broken_pipe_is_no_traceback(nowhere):
    command = " ".join(nowhere.command("status"))
    done = subprocess.run(
        ["bash", "-c", f"{command} | true"], env=nowhere.environment, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr


def test_a_fault_shows_a_traceback_with_debug_only(nowhere):
    database = nowhere.folder / "companion.db"
    database.write_bytes(b"rubbish" * 1000)
    hidden, shown = (
        nowhere.run("status"),
        subprocess.run(
            nowhere.command("--debug", "status"), env=nowhere.environment, capture_output=True, text=True, check=False
        ),
    )
    assert (hidden.code, shown.returncode) == (FAILED, FAILED)
    assert "cannot be used" in hidden.err
    assert "Traceback" in shown.stderr


def test_two_commands_at_once_wait_for_each_other(member):
    with ExitStack() as ended:
        running = [ended.enter_context(member.piped("--json", "register", "--slots", "3")) for _ in range(3)]
        documents = [json.loads(process.communicate(timeout=HANG_SECONDS)[0]) for process in running]
    assert sorted(document["made"] for document in documents) == [0, 0, 3]


def test_registering_is_confirmed_and_repeating_it_does_nothing(member, clock):
    first = member.do("register", "--slots", "20")
    assert (first["from"], first["until"], first["made"]) == (clock.slot, clock.slot + 20, 20)
    assert (first["confirmed"], first["pending"], first["horizon"]) == (20, 0, clock.slot + 20)
    again = member.do("register", "--slots", "20")
    assert (again["made"], again["confirmed"]) == (0, 0)
    more = member.do("register", "--slots", "24")
    assert (more["made"], more["horizon"]) == (4, clock.slot + 24)
    status = member.do("status")
    assert (status["registered_until"], status["pending"], status["mailboxes"]) == (clock.slot + 24, 0, 24)
    assert (status["asked"], "anontrace poll" in status["next"]) == (None, True)
    member.do("poll")
    status = member.do("status")
    assert (status["asked"], status["running"], "anontrace poll" in status["next"]) == (int(clock.now), False, False)


def test_a_gap_ends_the_horizon(member, clock):
    member.do("register", "--slots", "2")
    assert member.do("register", "--from", str(clock.slot + 5), "--slots", "2")["horizon"] == clock.slot + 2


def test_the_past_cannot_be_registered(member, clock):
    result = member.run("register", "--from", str(clock.slot - 1))
    assert (result.code, "is over" in result.err) == (USAGE, True)


def test_a_clock_that_is_far_ahead_is_said_and_costs_nothing(member, clock, tmp_path):
    member.do("register", "--slots", "2")
    ahead = SimulatedClock(tmp_path / "ahead")
    ahead.advance(clock.now - ahead.now + 40 * 86400)
    right = member.environment["ANONTRACE_CLOCK"]
    member.environment["ANONTRACE_CLOCK"] = str(ahead.path)
    result = member.run("--json", "register", "--slots", "2")
    assert (result.code, result.json["error"]["kind"], len(result.err.splitlines())) == (FAILED, "directory", 1)
    assert "is this computer's clock right?" in result.err
    member.environment["ANONTRACE_CLOCK"] = right
    assert member.do("register", "--slots", "4")["horizon"] == clock.slot + 4
    assert member.do("status")["mailboxes"] == 4


@pytest.mark.parametrize(
    ("ahead", "says"),
    [(60 * 86400, "2026-03-06"), (20 * 86400, "2026-01-25"), (-3 * 3600, "05:00"), (-START, "1970-01-01")],
)
def test_a_poll_by_a_wrong_clock_says_so_notes_nothing_and_bars_no_later_one(member, clock, tmp_path, ahead, says):
    member.do("register", "--slots", "2")
    right, wrong = member.environment["ANONTRACE_CLOCK"], SimulatedClock(tmp_path / "wrong")
    wrong.advance(clock.now - wrong.now + ahead)
    member.environment["ANONTRACE_CLOCK"] = str(wrong.path)
    result = member.run("--json", "poll")
    assert (result.code, result.json["error"]["kind"], len(result.err.splitlines())) == (FAILED, "directory", 1)
    assert "is this computer's clock right?" in result.err
    status = member.do("status")
    assert (status["asked"], status["next"][0]) == (None, "anontrace doctor")
    (line,) = (line for line in member.run("status").out.splitlines() if "is this computer's clock right?" in line)
    assert says in line
    member.environment["ANONTRACE_CLOCK"] = right
    assert "anontrace poll" in member.do("status")["next"]
    assert member.do("poll")["mailboxes"] == 2
    status = member.do("status")
    assert (status["asked"], status["clock"]) == (int(clock.now), None)


def test_that_mailboxes_were_asked_at_a_time_to_come_is_not_believed(member, clock):
    """A clock that was ahead by a day, which the servers' directory outlives, has noted it."""
    member.do("register", "--slots", "2")
    with state.changing(member.folder) as opened:
        opened.timetable.set_asked(int(clock.now) + 86400)
        assert opened.timetable.asked(clock.now) is None
        assert opened.timetable.asked(clock.now + 86400) == int(clock.now) + 86400
    status = member.do("status")
    assert (status["asked"], "anontrace poll" in status["next"]) == (None, True)
    assert "asked last at a time that is still to come" in member.run("status").out
    member.do("poll")
    assert member.do("status")["asked"] == int(clock.now)


def test_a_poll_without_a_live_address_says_what_to_do(member):
    said = member.run("poll")
    assert (said.code, "to have some: anontrace register" in said.out) == (0, True)
    assert member.do("status")["asked"] is None


def test_an_impatient_registration_is_finished_by_the_next(member):
    result = member.run("--json", "register", "--slots", "30", "--timeout", "0")
    assert result.code == UNFINISHED
    document = result.json
    assert document["error"]["kind"] == "unfinished"
    assert document["pending"] > 0
    done = member.do("register", "--slots", "30")
    assert (done["made"], done["confirmed"], done["pending"]) == (0, document["pending"], 0)


def test_a_registration_that_was_killed_is_finished_by_the_next(member):
    process = subprocess.Popen(member.command("register"), env=member.environment, stderr=subprocess.DEVNULL)
    time.sleep(0.9)
    process.kill()
    process.wait()
    done = member.do("register")
    assert done["pending"] == 0
    assert done["horizon"] == done["until"]


def test_a_token_that_is_unknown_used_for_another_log_or_too_old_is_refused_with_what_to_do(
    member, network, clock, tmp_path
):
    other = Cli(tmp_path / "other", clock)
    other.do("init", str(network.file))
    for cli, records in ((member, 2), (other, 3)):
        with state.reading(cli.folder) as opened:  # `changing` would keep house by the clock of this process
            badge = opened.badges.ensure(clock.slot // 288)
            opened.logs.append(badge.number, 1, 1, 0, block(clock.slot - 1, records), int(clock.now))

    def refused(cli, token):
        result = cli.run("--json", "report", "--token", token, "--yes")
        assert (result.code, result.json["error"]["kind"]) == (FAILED, "refused")
        assert result.err.endswith("; check the token, or ask for a new one\n") and len(result.err.splitlines()) == 1
        assert cli.do("status")["next"][-1] == "anontrace report --token TOKEN"
        return result.err

    assert "there is no such token" in refused(other, onetime.new_token())
    used, old = network.token(), network.token()
    assert member.do("report", "--token", used, "--yes")["state"] == "accepted"
    assert "redeemed for another log" in refused(other, used)
    clock.advance(TOKEN_HOURS * 3600)
    network.ready()
    assert "has expired" in refused(other, old)
    # What was redeemed in time and handed over is not asked for again.
    assert member.do("report", "--token", used, "--yes")["state"] == "accepted"
    assert other.do("report", "--token", network.token(), "--yes")["state"] == "accepted"
    assert "anontrace report --token TOKEN" not in other.do("status")["next"]


def test_commands_do_not_load_what_they_do_not_use(member):
    check = (
        "import sys\n"
        "from anontrace.companion.cli import run\n"
        "code = run(sys.argv[1:])\n"
        "unused = {'bleak', 'bumble', 'fastapi', 'rocksdict', 'uvicorn'}\n"
        "if sys.argv[1] in ('status', 'exposures'):\n"
        "    unused |= {'httpx', 'pydantic'}\n"
        "loaded = unused & set(sys.modules)\n"
        "sys.exit(f'loaded: {loaded}' if loaded else code)\n"
    )
    for command in (["poll"], ["status"], ["exposures", "list"], ["register", "--slots", "1"]):
        done = subprocess.run(
            [sys.executable, "-c", check, *command], env=member.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_a_state_folder_is_named_in_utf_8_whatever_the_locale(cli, tmp_path):
    (tmp_path / "network.toml").write_text(NETWORK)
    folder = tmp_path / os.fsdecode(b"m\xfcller")
    result = cli.run("--state", str(folder), "init", str(tmp_path / "network.toml"))
    assert (result.code, "have to be UTF-8" in result.err) == (FAILED, True)
    assert not folder.exists()
    cli.environment |= {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    for command in (["init", str(tmp_path / "network.toml")], ["status"]):
        result = cli.script("--state", str(tmp_path / "müller"), *command)
        assert result.code == 0, result.err
    assert (tmp_path / "müller" / "companion.db").exists()
