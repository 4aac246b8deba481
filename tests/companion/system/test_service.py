"""`anontrace service`: texts that systemd, launchd and PowerShell read as they are meant, put in place and taken away.

The managers are scripts here, which write down what they are asked: a test must not start services of who runs it.
"""

import configparser
import os
import platform
import plistlib
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from anontrace.companion.errors import FAILED, USAGE, ServiceError, SetupError
from anontrace.companion.system import service_managers
from anontrace.companion.system.service import LABEL, UNIT, Service, agent, agent_path, serves, task, unit
from anontrace.companion.system.service_managers import Standing

from tests.companion.commands.test_cli import NETWORK
from tests.companion.keys.test_secrets import WORDS

AWKWARD = Service(
    Path("/opt/my tools/anontrace"), ("--state", '/home/ada/100% "mine" $HOME\\ä', "run"), {"FILE": "/a b/50%"}
)
MANAGER = """#!/bin/sh
echo "$@" >> "{folder}/asked"
if [ "$2" = show ] && [ -e "{folder}/told" ]; then cat "{folder}/told"; exit; fi
if [ -e "{folder}/down" ]; then echo "Failed to connect to bus: No medium found" >&2; exit 1; fi
if [ "$1" = print ]; then cat "{folder}/loaded"; exit; fi
if [ "$1" = bootstrap ]; then echo "state = running" > "{folder}/loaded"; fi
if [ "$1" = bootout ]; then rm "{folder}/loaded"; fi
"""
LAUNCHD = """gui/501/org.anontrace.companion = {{
	active count = 1
	type = LaunchAgent
	state = {state}
	last exit code = {code}
	endpoints = {{
		state = active
	}}
}}
"""


@pytest.fixture
def system(tmp_path):
    """A folder of programs with systemctl and launchctl; what they were asked is in `asked`."""
    folder = tmp_path / "system"
    folder.mkdir()
    for name in ("systemctl", "launchctl"):
        (folder / name).write_text(MANAGER.format(folder=folder))
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def companion(cli, tmp_path, system):
    (tmp_path / "network.toml").write_text(NETWORK)
    cli.do("init", str(tmp_path / "network.toml"))
    home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config"), "PATH": f"{system}:/usr/bin:/bin"}
    cli.environment |= home
    return cli


def asked(system: Path) -> list[str]:
    """What the manager was asked since the last time."""
    path = system / "asked"
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return lines


def read_unit(text: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(text)
    return parser


def words(value: str) -> list[str]:
    return [word.replace("%%", "%") for word in shlex.split(value)]


def test_the_unit_says_what_is_to_be_run_and_systemd_finds_no_fault_with_it(tmp_path):
    parsed = read_unit(unit(AWKWARD))
    command = parsed["Service"]["ExecStart"]
    assert command[0] == ":"  # no variables in what follows
    assert words(command[1:]) == [str(AWKWARD.program), *AWKWARD.arguments]
    assert words(parsed["Service"]["Environment"]) == ["FILE=/a b/50%"]
    assert parsed["Service"]["RestartPreventExitStatus"] == str(USAGE)
    assert "AF_UNIX" in parsed["Service"]["RestrictAddressFamilies"]  # D-Bus
    # What needs a namespace would keep it from starting where users get none.
    assert not {"ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices"} & set(parsed["Service"])
    analyse = shutil.which("systemd-analyze")
    if analyse is None:
        pytest.skip("no systemd here to read it")
    runs = Service(Path("/bin/true"), AWKWARD.arguments, AWKWARD.environment)
    (tmp_path / UNIT).write_text(unit(runs))
    done = subprocess.run(
        [analyse, "--user", "verify", str(tmp_path / UNIT)],
        env=os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


FOLDERS = [
    "Ada's", 'a "b"', "back\\slash", "100% %h", "$HOME ${PATH}", "ünï 漢 😀", "semi; #hash", "[x] = {y}", "~ *",
]  # fmt: skip


@pytest.mark.parametrize("name", FOLDERS)
def test_a_service_starts_from_and_for_a_folder_of_any_name(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    program = folder / "anontrace"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    service = Service(program, ("--state", str(folder), "run"), {"FILE": str(folder)})
    parsed = read_unit(unit(service))["Service"]
    assert words(parsed["Environment"]) == [f"FILE={folder}"]
    done = subprocess.run(words(parsed["ExecStart"][1:]), capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == list(service.arguments)
    assert plistlib.loads(agent(service).encode())["ProgramArguments"] == [str(program), *service.arguments]
    analyse = shutil.which("systemd-analyze")
    if analyse is not None:
        (tmp_path / UNIT).write_text(unit(service))
        done = subprocess.run(
            [analyse, "--user", "verify", str(tmp_path / UNIT)],
            env=os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("quote", ["'", "\u2018", "\u2019", "\u201a", "\u201b"])
def test_no_quote_ends_a_string_of_powershell(quote):
    text = task(Service(Path(f"C:/Ada{quote}s/anontrace.exe"), ("--state", f"C:/{quote}; calc; {quote}", "run")))
    assert f"-Execute 'C:/Ada{quote}{quote}s/anontrace.exe'" in text
    assert f"-Argument '--state \"C:/{quote}{quote}; calc; {quote}{quote}\" run'" in text


def test_what_windows_would_replace_is_refused():
    with pytest.raises(SetupError, match="between two %"):
        task(Service(Path("C:/anontrace.exe"), ("--state", "C:/%USERNAME%", "run")))
    assert "C:/100%" in task(Service(Path("C:/anontrace.exe"), ("--state", "C:/100%", "run")))


def test_a_relative_folder_of_xdg_is_ignored(companion, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    companion.environment |= {"XDG_CONFIG_HOME": "config", "XDG_DATA_HOME": "data"}
    del companion.environment["ANONTRACE_STATE"]
    made = companion.do("init", str(tmp_path / "network.toml"))
    assert made["state"] == str(tmp_path / ".local" / "share" / "anontrace")
    assert companion.do("service", "install")["path"] == str(tmp_path / ".config" / "systemd" / "user" / UNIT)
    assert not (tmp_path / "config").exists() and not (tmp_path / "data").exists()


def test_the_agent_is_a_property_list_that_says_what_is_to_be_run():
    parsed = plistlib.loads(agent(AWKWARD).encode())
    assert parsed["ProgramArguments"] == [str(AWKWARD.program), *AWKWARD.arguments]
    assert parsed["EnvironmentVariables"] == AWKWARD.environment
    assert (parsed["Label"], parsed["RunAtLoad"], parsed["Umask"]) == (LABEL, True, 0o077)


def test_the_task_replaces_nothing_in_what_is_to_be_run():
    program, folder = Path("C:/Ada's/anontrace.exe"), "C:/Ada's $files"
    text = task(Service(program, ("--state", folder, "run")))
    assert f"-Execute '{str(program).replace(chr(39), chr(39) * 2)}'" in text
    assert '-User "$env:USERDOMAIN\\$env:USERNAME"' in text
    assert "-Argument '--state \"C:/Ada''s $files\" run'" in text
    assert all(line.startswith("# ") for line in text.splitlines() if "Windows key" in line)  # the steps are comments


def test_a_path_that_no_unit_can_hold_is_refused():
    with pytest.raises(SetupError, match="control characters"):
        Service(Path("/bin/true"), ("--state", "/a\nExecStart=/bin/false"))
    for character in "\x7f\x85\u2028\udcff":
        with pytest.raises(SetupError, match="control characters"):
            Service(Path("/bin/true"), ("--state", f"/a{character}"))


def test_install_and_remove_may_be_repeated(companion, system, tmp_path):
    path = tmp_path / "config" / "systemd" / "user" / UNIT
    first = companion.do("service", "install")
    assert (first["path"], first["changed"]) == (str(path), True)
    assert asked(system)[1:] == ["--user daemon-reload", f"--user enable {UNIT}", f"--user restart {UNIT}"]
    command = words(read_unit(path.read_text())["Service"]["ExecStart"][1:])
    assert command == [*companion.command(), "--state", str(companion.folder), "run"]

    assert companion.do("service", "install")["changed"] is False
    assert asked(system)[-1] == f"--user start {UNIT}"  # what runs already goes on
    assert companion.do("--adapter", "bumble:usb:0", "service", "install", "--no-badge")["changed"] is True
    assert asked(system)[-1] == f"--user restart {UNIT}"
    assert words(read_unit(path.read_text())["Service"]["ExecStart"])[-4:] == [
        "--adapter", "bumble:usb:0", "run", "--no-badge",
    ]  # fmt: skip

    assert companion.do("service", "remove")["removed"] is True
    assert asked(system) == [f"--user disable --now {UNIT}", "--user daemon-reload"]
    assert not path.exists()
    assert companion.do("service", "remove")["removed"] is False
    assert asked(system) == []


def test_what_is_printed_is_what_is_installed(companion, tmp_path):
    printed = companion.run("service", "print", "--system", "linux")
    assert (printed.code, printed.err) == (0, "")
    companion.do("service", "install")
    assert (tmp_path / "config" / "systemd" / "user" / UNIT).read_text() == printed.out
    assert plistlib.loads(companion.do("service", "print", "--system", "macos")["text"].encode())["Label"] == LABEL
    assert "Register-ScheduledTask" in companion.run("service", "print", "--system", "windows").out


def test_where_systemd_does_not_serve_the_user_a_line_says_so_and_nothing_is_left(companion, system, tmp_path):
    (system / "down").touch()
    refused = companion.run("--json", "service", "install")
    assert (refused.code, refused.json["error"]["kind"]) == (FAILED, "service")
    assert "No medium found" in refused.err and len(refused.err.splitlines()) == 1
    companion.environment["PATH"] = str(tmp_path)
    refused = companion.run("service", "install")
    assert (refused.code, len(refused.err.splitlines())) == (FAILED, 1)
    assert "there is no systemctl here" in refused.err
    assert not (tmp_path / "config").exists()


def test_a_service_cannot_be_asked_for_a_passphrase(companion, tmp_path):
    file = tmp_path / "words"
    file.write_text(WORDS + "\n")
    companion.do("passphrase", "--passphrase-file", str(file))
    for command in ("install", "print"):
        refused = companion.run("service", command)
        assert (refused.code, len(refused.err.splitlines())) == (USAGE, 1)
        assert "cannot ask for your passphrase" in refused.err and "--protect keyring" in refused.err
    companion.environment["ANONTRACE_PASSPHRASE_FILE"] = str(file)
    companion.do("service", "install")
    written = (tmp_path / "config" / "systemd" / "user" / UNIT).read_text()
    assert words(read_unit(written)["Service"]["Environment"]) == [f"ANONTRACE_PASSPHRASE_FILE={file}"]
    assert WORDS not in written


def test_who_erases_everything_is_reminded_of_its_service(companion, tmp_path):
    other = ["--state", str(tmp_path / "other")]
    companion.do(*other, "init", str(tmp_path / "network.toml"))
    companion.do("service", "install")
    assert companion.do(*other, "erase-all", "--yes")["service"] is False
    assert "anontrace service remove" in companion.run("erase-all", "--yes").out


def test_an_agent_is_known_by_its_state_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    agent_path().parent.mkdir(parents=True)
    agent_path().write_text(agent(AWKWARD))
    assert serves(Path(AWKWARD.arguments[1])) and not serves(Path("/home/ada"))


@pytest.mark.parametrize(
    ("told", "state", "code", "said"),
    [
        ("ExecMainStatus=0\nActiveState=active\nSubState=running\n", "running", None, "It runs."),
        ("ExecMainStatus=0\nActiveState=inactive\nSubState=dead\n", "stopped", None, "does not run"),
        (
            "ExecMainStatus=1\nActiveState=activating\nSubState=auto-restart\n",
            "failing",
            1,
            "has failed (1); why: journal",
        ),
        ("ExecMainStatus=2\nActiveState=failed\nSubState=failed\n", "failing", 2, "has failed (2); why: journal"),
    ],
)
def test_how_the_service_is_comes_from_systemd(companion, system, told, state, code, said):
    assert companion.run("service", "status").err == (
        "anontrace: there is no service; to have one: anontrace service install\n"
    )
    companion.do("service", "install")
    (system / "told").write_text(told)
    shown = companion.run("--json", "service", "status")
    assert (shown.code, shown.json["state"], shown.json["code"]) == (0 if state == "running" else FAILED, state, code)
    shown = companion.run("service", "status")
    assert said in shown.out + shown.err and len((shown.out + shown.err).splitlines()) == 1


def test_what_would_keep_it_from_starting_shows_when_it_is_installed(companion, system):
    (companion.folder / "companion.db").write_bytes(b"rubbish" * 1000)
    refused = companion.run("service", "install")
    assert (refused.code, "it is damaged" in refused.err) == (FAILED, True)
    assert asked(system) == []


def test_before_init_there_is_nothing_to_install(cli, system):
    cli.environment["PATH"] = str(system)
    refused = cli.run("service", "install")
    assert (refused.code, "anontrace init NETWORK.toml" in refused.err) == (USAGE, True)
    assert asked(system) == []


def test_an_agent_of_launchd_is_loaded_replaced_and_taken_away(system, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{system}:/usr/bin:/bin")
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    manager = service_managers.manager(service_managers.this_system())
    domain = f"gui/{os.getuid()}"
    assert manager.install(AWKWARD)
    assert asked(system) == [f"print {domain}/{LABEL}", f"bootstrap {domain} {manager.path}"]
    assert not manager.install(AWKWARD)
    assert asked(system) == [f"print {domain}/{LABEL}"]
    assert manager.install(Service(Path("/bin/true"), ("run",)))
    assert asked(system)[1:] == [f"bootout {domain}/{LABEL}", f"bootstrap {domain} {manager.path}"]
    assert manager.standing() == Standing("running")
    (system / "loaded").write_text(LAUNCHD.format(state="spawn scheduled", code=1))
    assert manager.standing() == Standing("failing", 1)
    (system / "loaded").write_text(LAUNCHD.format(state="running", code="(never exited)"))
    assert manager.standing() == Standing("running")
    assert manager.remove()
    assert manager.standing() == Standing("absent")
    assert not (system / "loaded").exists() and not manager.path.exists()
    assert not manager.remove()


def test_windows_and_unknown_systems_are_told_what_to_do(monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Windows")
    with pytest.raises(SetupError, match="anontrace service print"):
        service_managers.manager(service_managers.this_system())
    monkeypatch.setattr(platform, "system", lambda: "Plan9")
    with pytest.raises(SetupError, match="Plan9"):
        service_managers.this_system()


def test_what_a_manager_says_need_not_be_utf_8(monkeypatch, tmp_path):
    (tmp_path / "systemctl").write_bytes(b"#!/bin/sh\nprintf 'kein Zugriff f\\374r Sie\\n' >&2\nexit 1\n")
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(ServiceError, match=r"kein Zugriff f.r Sie"):
        service_managers.Systemd().install(AWKWARD)


def test_a_unit_is_utf_8_whatever_the_locale(tmp_path):
    script = (
        "import sys, pathlib\n"
        "from anontrace.companion.system import service_managers as managers\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "assert managers._write(path, '\\xe4') and not managers._write(path, '\\xe4')\n"
    )
    environment = os.environ | {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    command = [sys.executable, "-c", script, str(tmp_path / UNIT)]
    subprocess.run(command, env=environment, check=True)
    assert (tmp_path / UNIT).read_bytes() == b"\xc3\xa4"
