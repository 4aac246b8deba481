"""Trying the companion without a board: a simulated badge says what to type, and that, typed as it stands, works."""

import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo.test_play import left_over
from tests.patience import eventually

ROOT = Path(__file__).resolve().parents[2]
LAST = "Enter switches"


def free_ports(count: int) -> int:
    """The first of so many ports in a row that nobody uses, of those that neither networks nor clusters are made on."""
    for base in range(13_000 + os.getpid() % 6_000, 20_000, count):
        sockets = []
        try:
            for port in range(base, base + count):
                sockets.append(socket.create_server(("127.0.0.1", port)))
            return base
        except OSError:
            continue
        finally:
            for each in sockets:
                each.close()
    raise AssertionError("no ports are free")


@pytest.fixture
def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("ANONTRACE_")}


@pytest.fixture
def running(tmp_path: Path, environment: dict[str, str]) -> Iterator[list[subprocess.Popen[str]]]:
    """What a test has started; ended with it."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        with process:  # closes the pipe
            process.wait()
    eventually("nothing is left", lambda: not left_over(tmp_path))


def start(command: list[str], environment: dict[str, str], stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=stdin, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def simulated(
    folder: Path, environment: dict[str, str], *options: str, stdin: int = subprocess.DEVNULL
) -> tuple[subprocess.Popen[str], list[str]]:
    """The simulator with its badges up, and the commands that it told."""
    network = folder / "net" / "network.toml"
    command = [
        sys.executable,
        "-m",
        "tools.simulator",
        str(folder / "it's badges"),
        "--network",
        str(network),
        *options,
    ]
    process = start(command, environment, stdin)
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line.rstrip())
        if line.startswith(LAST):
            break
    assert said[-1].startswith(LAST), said
    return process, [line.strip() for line in said if line.startswith("  ")]


def test_what_it_says_to_type_makes_a_network_and_the_badge_ones_own(
    tmp_path: Path, environment: dict[str, str], running: list[subprocess.Popen[str]]
) -> None:
    simulator, commands = simulated(tmp_path, environment)
    running.append(simulator)
    init, run, *companion = commands
    subprocess.run(["bash", "-c", f"{init} --base-port {free_ports(10)}"], cwd=ROOT, env=environment, check=True)
    servers = start(["bash", "-c", f"exec {run}"], environment)
    running.append(servers)
    names = len(list((tmp_path / "net").glob("*/server.toml")))
    assert servers.stdout is not None
    while names:
        line = servers.stdout.readline()
        assert line, "the servers ended"
        names -= line.startswith("ready ")
    done = subprocess.run(
        ["bash", "-ec", "\n".join(companion)], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "24 addresses registered and confirmed" in done.stdout
    assert "The badge is yours." in done.stdout
    assert "It broadcasts confirmed addresses until" in done.stdout
    assert "Nothing new in 24 mailboxes." in done.stdout

    os.killpg(simulator.pid, signal.SIGINT)  # as a terminal does
    rest, _ = simulator.communicate()
    assert simulator.returncode == 0, rest
    assert rest.splitlines() == ["ada has an owner key, and starts again", "the badges are off"]


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGHUP])
def test_several_badges_end_with_the_terminal(
    tmp_path: Path, environment: dict[str, str], running: list[subprocess.Popen[str]], end: signal.Signals
) -> None:
    leader, follower = pty.openpty()
    simulator, commands = simulated(tmp_path, environment, "--badges", "2", stdin=follower)
    running.append(simulator)
    os.close(follower)
    assert simulator.stdout is not None
    os.write(leader, b"\n")
    assert simulator.stdout.readline() == "ada, ben: switched off and on\n"
    assert sum("badge provision --usb" in command for command in commands) == 2
    simulator.send_signal(end)
    rest, _ = simulator.communicate()
    assert (simulator.returncode, rest) == (0, "the badges are off\n")
    os.close(leader)


@pytest.mark.parametrize("option", ["--badges=0", "--badges=21", "--badges=many", "--scale=0", "--scale=nan"])
def test_numbers_that_make_no_sense_are_refused(tmp_path: Path, environment: dict[str, str], option: str) -> None:
    command = [sys.executable, "-m", "tools.simulator", str(tmp_path), option]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert option.partition("=")[0] in done.stderr and "Traceback" not in done.stderr


def refused(environment: dict[str, str], folder: Path, network: Path) -> str:
    command = [sys.executable, "-m", "tools.simulator", str(folder), "--network", str(network)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    return done.stderr


def test_a_network_file_that_is_none_is_said_before_a_badge_starts(tmp_path: Path, environment: dict[str, str]) -> None:
    assert "there is no " in refused(environment, tmp_path / "badges", tmp_path / "mistyped.toml")
    assert "is no regular file" in refused(environment, tmp_path / "badges", tmp_path)
    (tmp_path / "network.toml").write_text("[network]\nname = 5\n")
    assert "line 2: " in refused(environment, tmp_path / "badges", tmp_path / "network.toml")
    assert not (tmp_path / "badges").exists()


def test_two_simulators_share_no_flash(
    tmp_path: Path, environment: dict[str, str], running: list[subprocess.Popen[str]]
) -> None:
    simulator, _ = simulated(tmp_path, environment)
    running.append(simulator)
    message = refused(environment, tmp_path / "it's badges", tmp_path / "network.toml")
    assert "run already, in another terminal" in message
