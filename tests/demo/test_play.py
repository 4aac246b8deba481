"""The demonstration itself, small: real servers, badges and companions; whom companions connect to; and nothing left
of it, however it ends."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.patience import HANG_SECONDS
from tools.demo import __main__ as demo

ROOT = Path(__file__).resolve().parents[2]

# Every Python process of a play runs this first, and what is forked from it has it: whom a companion connects to is
# written down, command and port.
_WATCH = """
import os, sys

def watch(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple) and sys.argv[0].endswith("/anontrace"):
        with open(os.environ["WATCHED_CONNECTIONS"], "a") as record:
            record.write(f"{arguments[1][1]} {' '.join(sys.argv[1:])}\\n")

sys.addaudithook(watch)
"""


def met(one: str, other: str, start: int, steps: int) -> list[str]:
    return [f"{start + 20 * step} {one} {other}" for step in range(steps)]


# b meets the patient a for four minutes; c meets b for four; d meets both, too shortly.
ALL = met("a", "b", 0, 12) + met("b", "c", 300, 12) + met("a", "d", 40, 8) + met("b", "d", 320, 8)
TWO = met("a", "b", 0, 12)


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the demonstration of a contact list, its folders under tmp_path / "temporary"; it is gone after the
    test."""
    started: list[subprocess.Popen[str]] = []

    def begin(lines: list[str], *options: str) -> "subprocess.Popen[str]":
        contact_list = tmp_path / "list.csv"
        contact_list.write_text("\n".join(lines) + "\n")
        temporary, watch = tmp_path / "temporary", tmp_path / "watch"
        temporary.mkdir()
        watch.mkdir()
        (watch / "sitecustomize.py").write_text(_WATCH)
        path = os.pathsep.join(filter(None, (str(watch), os.environ.get("PYTHONPATH"))))
        watching = {"PYTHONPATH": path, "WATCHED_CONNECTIONS": str(tmp_path / "connections")}
        command = [sys.executable, "-m", "tools.demo", "--contacts", str(contact_list), "--patient", "a", "--rule", "4"]
        process = subprocess.Popen(
            [*command, *options],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(temporary), **watching},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    try:
        yield begin
    finally:
        for process in started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def second(output: str, step: str) -> int:
    """The wall time since the start at which a step was told."""
    (line,) = (line for line in output.splitlines() if f"s  {step}" in line)
    return int(line.split()[0])


def until_told(process: "subprocess.Popen[str]", step: str) -> None:
    """Wait until the play says that it is through with a step."""
    assert process.stdout is not None
    for line in process.stdout:
        if step in line:
            break


def ports(temporary: Path) -> dict[int, str]:
    """The servers of a play that is under way, by the port that they listen at."""
    configs = [tomllib.loads(path.read_text()) for path in temporary.glob("*/backend/*/server.toml")]
    return {urlsplit(config["url"]).port or 80: config["name"] for config in configs}


def left_over(temporary: Path) -> list[str]:
    """Command lines of processes that have to do with the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            traces = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            traces += os.fsencode((process / "cwd").readlink())
        except OSError:
            continue
        if str(temporary).encode() in traces:
            found.append((process / "cmdline").read_text().replace("\0", " "))
    return found


def test_exactly_the_right_people_are_told_without_a_direct_word_to_the_nymserver_and_nothing_is_left(
    start: Start, tmp_path: Path
) -> None:
    temporary = tmp_path / "temporary"
    process = start(ALL, "--scale", "60")
    until_told(process, "backend:")
    servers = ports(temporary)
    output, errors = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 0, output + errors
    # Companions reach the mixes and all other servers they need, but what is for the nymserver goes through the mixes.
    reached: dict[str, set[str]] = {}
    for line in (tmp_path / "connections").read_text().splitlines():
        port, *words = line.split()
        (said,) = {"register", "report", "pass-on", "poll"}.intersection(words) or {"another"}
        if int(port) in servers:
            reached.setdefault(said, set()).add(servers[int(port)])
    mixes = {"mix-1", "mix-2", "mix-3"}
    assert reached.keys() == {"register", "report", "pass-on", "poll"}
    assert all(names & mixes for names in reached.values()), reached
    assert set().union(*reached.values()) == {*mixes, "discovery", "mailbox", "authority"}
    assert set(servers.values()) == {*mixes, "discovery", "mailbox", "authority", "nymserver"}
    # Ten minutes of contacts, at most 60 times as fast as they were: ten seconds, give or take the rounding of two.
    assert second(output, "contacts:") - second(output, "badges:") >= 9
    rows = [line.replace("│", " ").split() for line in output.splitlines() if line.startswith("│")]
    assert [row[0] for row in rows] == ["b", "c", "d"]
    assert "yes, 4.0 min 1 yes" in " ".join(rows[0])
    assert "yes, 4.0 min 2 yes" in " ".join(rows[1])
    assert " ".join(rows[2]).endswith("no yes")
    assert list(temporary.iterdir()) == []
    assert left_over(temporary) == []


def test_an_interrupt_stops_and_removes_everything(start: Start, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    process = start(TWO)
    until_told(process, "companions:")
    time.sleep(0.5)  # servers serve, badges boot, companions provision them
    # As a terminal does: to the whole group, badges included.
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 130
    assert errors.strip() == "interrupted; everything is stopped"
    assert list(temporary.iterdir()) == []
    assert left_over(temporary) == []


def test_a_failure_names_its_reason_and_stops_everything(start: Start, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    process = start(TWO)
    until_told(process, "backend:")
    (server,) = temporary.glob("*/backend/discovery")
    victims = [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if has_open(entry, server / "store")]
    assert victims
    for victim in victims:
        os.kill(victim, signal.SIGKILL)
    _, errors = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 1
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    assert list(temporary.iterdir()) == []
    assert left_over(temporary) == []


def has_open(process: Path, folder: Path) -> bool:
    """Whether it has a file of this folder open."""
    try:
        return any(each.readlink().is_relative_to(folder) for each in (process / "fd").iterdir())
    except OSError:
        return False


@pytest.mark.parametrize("scale", ["0", "-1", "inf", "nan", "fast"])
def test_a_scale_that_makes_no_sense_is_refused(scale: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        demo.main(["--patient", "a", "--contacts", "list.csv", f"--scale={scale}"])
    assert ended.value.code == 2
    assert "--scale" in capsys.readouterr().err
